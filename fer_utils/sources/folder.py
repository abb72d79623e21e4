"""A folder of images, as Kaggle's dataset msambare/fer2013 has it: train/<emotion>/* and test/<emotion>/*."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, SIDE, TRAINING, USAGES
from fer_utils.errors import StudyError
from fer_utils.faces import Faces

SPLIT = "split"
"""Value of `test_usage` that deals test/ out to PublicTest and PrivateTest."""

_PARTS = ("train", "test")
_LAYOUT = "train/<emotion>/ and test/<emotion>/ with the emotions " + ", ".join(EMOTIONS)
# Modes of eight bits a channel; wider ones would have to be scaled by a rule that nobody gave.
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}


@dataclass(frozen=True)
class _Entry:
    """An image file and where it lies."""

    usage: str
    emotion: int
    file: Path

    @property
    def key(self) -> tuple[int, int, str]:
        return USAGES.index(self.usage), self.emotion, self.file.name


def read_folder(folder: Path, *, resize: bool = False, test_usage: str | None = None, progress: bool = False) -> Faces:
    """Read train/<emotion>/* and test/<emotion>/*; the emotion is the folder's name. Hidden files are left out.

    Args:
        folder: holds train/ or test/, or both.
        resize: bring images of another size to 48x48 (bicubic, smoothed where they shrink).
        test_usage: what test/ is, where its file names do not begin with `PublicTest_` and `PrivateTest_`:
            "PublicTest", "PrivateTest", or "split" to give each emotion's images, sorted by name, to one and
            the other in turn.
        progress: show a progress bar.

    Returns:
        Faces sorted by usage, emotion and file name; `row` counts in this order. Colour becomes grey by
        ITU-R 601 luma. Notices tell what was split, resized or turned grey.

    Raises:
        StudyError: another layout, a file that is no image of eight bits, an image of another size that is not
            to be resized, or a test/ of which nobody says what it is.
    """
    folder = Path(folder)
    train, test = (_images(folder, part) for part in _PARTS)
    usages, notices = _test_usages([file for _, file in test], test_usage, folder)
    entries = [_Entry(TRAINING, emotion, file) for emotion, file in train]
    entries += [_Entry(usage, emotion, file) for usage, (emotion, file) in zip(usages, test, strict=True)]
    if not entries:
        raise StudyError(f"{folder}: expected images in {_LAYOUT}; found none. Put them there.")
    entries.sort(key=lambda entry: entry.key)

    images = np.empty((len(entries), SIDE, SIDE), np.uint8)
    resized = coloured = 0
    for index, entry in enumerate(tqdm(entries, desc=folder.name, unit="image", disable=not progress)):
        images[index], other_size, other_mode = _grey(entry.file, resize)
        resized += other_size
        coloured += other_mode
    if resized:
        notices.append(f"Resized to {SIDE}x{SIDE} pixels: {resized:,} of {len(entries):,} images.")
    if coloured:
        notices.append(f"Converted to grey: {coloured:,} of {len(entries):,} images.")
    return Faces(
        images=images,
        emotion=np.array([entry.emotion for entry in entries], np.uint8),
        usage=np.array([entry.usage for entry in entries], np.str_),
        row=np.arange(len(entries), dtype=np.int64),
        source="folder",
        notices=tuple(notices),
    )


def _entries(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted by name, without what is hidden."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _images(folder: Path, part: str) -> list[tuple[int, Path]]:
    """Emotion and file of each image in one of train/ and test/, sorted; none where the part is missing."""
    if not folder.is_dir():
        raise StudyError(f"{folder}: expected a folder with {_LAYOUT}; found no such folder.")
    for entry in _entries(folder):
        if entry.is_dir() and entry.name not in _PARTS:
            raise StudyError(f"{entry}: expected {_LAYOUT}; found another folder. Move it away.")
    found: list[tuple[int, Path]] = []
    if not (folder / part).is_dir():
        return found
    for below in _entries(folder / part):
        if below.name not in EMOTIONS or not below.is_dir():
            raise StudyError(
                f"{below}: expected a folder named after an emotion ({', '.join(EMOTIONS)}). Move it away."
            )
        for file in _entries(below):
            if not file.is_file():
                raise StudyError(f"{file}: expected an image file, found something else. Move it away.")
            found.append((EMOTIONS.index(below.name), file))
    return sorted(found)


def _test_usages(files: list[Path], test_usage: str | None, folder: Path) -> tuple[list[str], list[str]]:
    """The usage of each file of test/, which are sorted by emotion and name, and notices."""
    allowed = (PUBLIC, PRIVATE, SPLIT)
    if test_usage is not None and test_usage not in allowed:
        raise StudyError(f"--test-usage: expected one of {', '.join(allowed)}, found {test_usage!r}.")
    if not files:
        return [], []
    named = [next((usage for usage in (PUBLIC, PRIVATE) if file.name.startswith(f"{usage}_")), None) for file in files]
    telling = [usage for usage in named if usage]
    if telling and len(telling) != len(files):
        mute = files[named.index(None)]
        raise StudyError(
            f"{mute}: expected a name that begins with {PUBLIC}_ or {PRIVATE}_, as {len(telling):,} others in "
            "test/ do. Rename it, or move it away."
        )
    if telling:
        if test_usage is not None:
            raise StudyError(
                f"{folder / 'test'}: file names tell PublicTest from PrivateTest already; found --test-usage "
                f"{test_usage} too. Leave it out."
            )
        return telling, []
    if test_usage is None:
        raise StudyError(
            f"{folder / 'test'}: expected file names that begin with {PUBLIC}_ and {PRIVATE}_; found such as "
            f"{files[0].name}. Say what test/ is with --test-usage and one of {', '.join(allowed)}."
        )
    if test_usage != SPLIT:
        return [test_usage] * len(files), []
    dealt: dict[str, int] = {}
    usages = []
    for file in files:
        emotion = file.parent.name
        dealt[emotion] = dealt.get(emotion, 0) + 1
        usages.append(PUBLIC if dealt[emotion] % 2 else PRIVATE)
    return usages, [
        f"{PUBLIC} and {PRIVATE} are two halves of test/ dealt out by this study, not the contest's: scores are not "
        "comparable with published ones."
    ]


def _grey(file: Path, resize: bool) -> tuple[np.ndarray, bool, bool]:
    """uint8 (48, 48), whether the image had another size, and whether it was stored as other than grey."""
    try:
        with Image.open(file) as image:
            other_size, other_mode = image.size != (SIDE, SIDE), image.mode != "L"
            if other_size and not resize:
                raise StudyError(
                    f"{file}: expected an image of {SIDE}x{SIDE} pixels, found {image.width}x{image.height}. "
                    "Say --resize to have such images resized."
                )
            if image.mode not in _MODES:
                raise StudyError(
                    f"{file}: expected an image of eight bits a channel, found mode {image.mode}. Convert it."
                )
            grey = image.convert("L")
            if other_size:
                grey = grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            return np.asarray(grey), other_size, other_mode
    except StudyError:
        raise
    # Pillow's formats raise many kinds where a file is damaged, and name no common one.
    except Exception as problem:
        raise StudyError(f"{file}: expected an image, found {problem}. Get it again, or move it away.") from problem
