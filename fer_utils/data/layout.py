"""How folders of images are laid out: parts such as train/, and in each a folder an emotion.

Kaggle's copies of FER-2013 call the same things by many names. This is where the names are known.
"""

import re
from pathlib import Path

from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError

VALIDATION, TEST = "validation", "test"
"""Parts whose names are not a usage's: what they are depends on which of them are there."""

LAYOUT = f"train/<emotion>/ and test/<emotion>/ with the emotions {', '.join(EMOTIONS)}"
"""What a folder should hold, for messages."""

_PARTS = {
    **dict.fromkeys(("train", "training"), TRAINING),
    **dict.fromkeys(("validation", "valid", "val"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
    "publictest": PUBLIC,
    "privatetest": PRIVATE,
}
_SYNONYMS = {
    "angry": ("anger",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid"),
    "happy": ("happiness", "joy"),
    "sad": ("sadness",),
    "surprise": ("surprised", "suprise", "suprised"),
    "neutral": ("neutrality",),
}
_EMOTIONS = {word: n for n, name in enumerate(EMOTIONS) for word in (name, *_SYNONYMS[name])}
_NUMBERS = tuple(map(str, range(len(EMOTIONS))))
_LEFTOVERS = ("__macosx", "thumbs.db", "desktop.ini")
_LEVELS = 4


def visible(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted by name, without what is hidden or left behind by systems.

    Raises:
        StudyError: it is no folder, or cannot be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as problem:
        raise StudyError(
            f"{folder}: expected a folder that can be read, found {problem.strerror}. "
            "Check its name, and whether you may read it."
        ) from None
    return [entry for entry in entries if not _hidden(entry.name)]


def descend(folder: Path) -> Path:
    """`folder`, or the folder that is all it holds, a few levels down.

    Kaggle's archives unpack to one folder, such as archive/ or images/. A part or an emotion is
    not entered.

    Raises:
        StudyError: a folder cannot be read.
    """
    for _ in range(_LEVELS):
        only, *more = visible(folder) or [folder]
        known = part_of(only.name) is not None or emotion_of(only.name) is not None
        if more or known or not only.is_dir():
            break
        folder = only
    return folder


def part_of(name: str) -> str | None:
    """What a folder of this name holds: a usage, `VALIDATION` or `TEST`. None for other names."""
    return _PARTS.get(re.sub(r"[\s_-]", "", name).casefold())


def emotion_of(name: str) -> int | None:
    """Number of the emotion that a folder is named after, 0..6, or None.

    A number before the name is left unread, because people count emotions in many orders. A number
    alone is the CSV's.
    """
    if name in _NUMBERS:
        return int(name)
    return _EMOTIONS.get(re.sub(r"^[0-9]*[\s._-]*", "", name).casefold().strip())


def parts(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The folders in `folder` by what they hold, and the folders of other names.

    Raises:
        StudyError: two folders hold the same part, or the folder cannot be read.
    """
    found: dict[str, Path] = {}
    others = []
    for entry in visible(folder):
        if not entry.is_dir():
            continue
        part = part_of(entry.name)
        if part is None:
            others.append(entry)
        elif part in found:
            raise _twice(folder, found[part], entry, part)
        else:
            found[part] = entry
    return found, others


def emotions(folder: Path) -> dict[int, Path]:
    """The folders in one part by their emotion's number.

    Raises:
        StudyError: something else lies there, two folders are named after the same emotion, or the
            folder cannot be read.
    """
    found: dict[int, Path] = {}
    for entry in visible(folder):
        number = emotion_of(entry.name)
        if number is None or not entry.is_dir():
            raise StudyError(
                f"{entry}: expected a folder named after an emotion ({', '.join(EMOTIONS)}) or "
                f"the CSV's number of one (0 to 6), found {_kind(entry)}. Move it away."
            )
        if number in found:
            raise _twice(folder, found[number], entry, EMOTIONS[number])
        found[number] = entry
    return found


def numbered(folders: dict[int, Path]) -> bool:
    """Whether one of the emotions' folders is named by a number alone."""
    return any(folder.name in _NUMBERS for folder in folders.values())


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LEFTOVERS


def _kind(entry: Path) -> str:
    if not entry.is_dir():
        return "a file"
    if re.sub(r"[^a-z]", "", entry.name.casefold()) == "contempt":
        return "contempt, the eighth emotion of FER+, which FER-2013 does not have"
    return f"the name {entry.name!r}"


def _twice(folder: Path, first: Path, second: Path, meaning: str) -> StudyError:
    return StudyError(
        f"{folder}: expected one folder for {meaning}, found {first.name} and {second.name}. "
        "Put what they hold into one, or move one away."
    )
