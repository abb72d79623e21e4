"""The layout of folders of images: parts such as train/ with one folder per emotion.

Kaggle's image data sets of FER-2013 use different names. This module recognises them.
"""

import re
from pathlib import Path

from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError

VALIDATION, TEST = "validation", "test"
"""Parts without the name of a split. Their splits depend on which of the two are present."""

LAYOUT = f"train/<emotion>/ and test/<emotion>/ with the emotions {', '.join(EMOTIONS)}"
"""The expected layout, for messages."""

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
    """The entries of `folder`, sorted by name, without hidden files and files of the system.

    Raises:
        StudyError: it is no folder, or cannot be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as problem:
        raise StudyError(
            f"{folder}: expected a readable folder, found {problem.strerror}. Check its name and "
            "your permissions."
        ) from None
    return [entry for entry in entries if not _hidden(entry.name)]


def descend(folder: Path) -> Path:
    """Follow folders that contain nothing but one folder, a few levels down.

    Kaggle's archives unpack to one folder, such as archive/ or images/. A part or an emotion is
    not entered.

    Raises:
        StudyError: a folder cannot be read.
    """
    for _ in range(_LEVELS):
        entries = visible(folder)
        if len(entries) != 1 or not entries[0].is_dir():
            break
        name = entries[0].name
        if part_of(name) is not None or emotion_of(name) is not None:
            break
        folder = entries[0]
    return folder


def part_of(name: str) -> str | None:
    """The part that a folder's name means: a split, `VALIDATION`, `TEST`, or None."""
    return _PARTS.get(re.sub(r"[\s_-]", "", name).casefold())


def emotion_of(name: str) -> int | None:
    """The number of the emotion that a folder's name means, 0 to 6, or None.

    A number before the name is ignored, because data sets number emotions differently. A number
    alone is the CSV's number.
    """
    if name in _NUMBERS:
        return int(name)
    return _EMOTIONS.get(re.sub(r"^[0-9]*[\s._-]*", "", name).casefold().strip())


def parts(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The subfolders by part, and the subfolders with other names.

    Raises:
        StudyError: two subfolders are the same part, or the folder cannot be read.
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
    """The subfolders of a part by emotion number.

    Raises:
        StudyError: an entry is something else, two subfolders are the same emotion, or the folder
            cannot be read.
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
    """True if one of the emotions' folders has a number alone as its name."""
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
        "Merge them, or move one away."
    )
