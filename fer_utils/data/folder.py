"""Folders of images, as Kaggle's copies of FER-2013 have them: train/<emotion>/ and so on."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from fer_utils.data.faces import Faces
from fer_utils.data.layout import (
    LAYOUT,
    TEST,
    VALIDATION,
    descend,
    emotion_of,
    emotions,
    numbered,
    part_of,
    parts,
    visible,
)
from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, SIDE, USAGES
from fer_utils.errors import StudyError
from fer_utils.recognition.images import UnreadableImage, open_image

SPLIT = "split"
"""Value of `test_usage` that deals the test part out to PublicTest and PrivateTest."""

_ANSWERS = (PUBLIC, PRIVATE, SPLIT)


@dataclass(frozen=True)
class _Entry:
    """An image file and what it is."""

    usage: str
    emotion: int
    file: Path

    @property
    def key(self) -> tuple[int, int, str]:
        return USAGES.index(self.usage), self.emotion, self.file.name

    @property
    def elsewhere(self) -> bool:
        """Whether the file's name begins with another usage than the folder gives it."""
        return any(self.file.name.startswith(f"{one}_") for one in USAGES if one != self.usage)


def looks_like_folder_source(path: Path) -> bool:
    """Whether `path` is a folder with a part, such as train/, that has folders in it.

    As in `read_folder` the parts may lie a few levels down. What cannot be read is no such folder.
    """
    try:
        return any(
            part_of(part.name) is not None and any(below.is_dir() for below in visible(part))
            for part in visible(descend(Path(path)))
            if part.is_dir()
        )
    except (OSError, ValueError):  # such as a name that is too long, and StudyError
        return False


def read_folder(
    folder: Path,
    *,
    resize: bool = False,
    test_usage: str | None = None,
    progress: bool = False,
) -> Faces:
    """Read images in <part>/<emotion>/. What is hidden is left out.

    Parts are train/ (or Training/) and either PublicTest/ and PrivateTest/, or validation/ (valid/,
    val/) and test/ (testing/), in any case. Where both of the latter are there, validation/ is
    PublicTest and test/ is PrivateTest. Where only one of them is there, it is the test part: the
    usage is told by names of its files that begin with `PublicTest_` and `PrivateTest_`, or else by
    `test_usage`.

    Emotions are named as in `EMOTIONS` or by a usual synonym such as anger, in any case, a number
    before it allowed; or by the CSV's number alone.

    Args:
        folder: holds the parts, itself or in the one folder that it holds.
        resize: bring images of another size to 48x48 (bicubic, smoothed where they shrink).
        test_usage: what the test part is: "PublicTest", "PrivateTest", or "split" to give each
            emotion's images, sorted by name, to one and the other in turn.
        progress: show a progress bar.

    Returns:
        Faces sorted by usage, emotion and file name; `row` counts in this order. Images are read by
        `open_image`; colour becomes grey by ITU-R 601 luma. Notices tell what was split, resized,
        turned grey, left out, or concluded from names.

    Raises:
        StudyError: another layout, a file that is no image, an image of another size that is not to
            be resized, or a test part of which nobody says what it is.
    """
    folder = Path(folder)
    if test_usage is not None and test_usage not in _ANSWERS:
        raise StudyError(
            f"--test-usage: expected one of {', '.join(_ANSWERS)}, found {test_usage!r}. "
            "Say what the test images are, or leave it out."
        )
    if not folder.is_dir():
        found = "a file. Unpack it where it is an archive" if folder.exists() else "no such folder"
        raise StudyError(f"{folder}: expected a folder with {LAYOUT}; found {found}.")
    folder = descend(folder)
    entries, notices = _entries(folder, test_usage)
    entries.sort(key=lambda entry: entry.key)

    images = np.empty((len(entries), SIDE, SIDE), np.uint8)
    resized = coloured = 0
    # A name need not be text, and a terminal takes nothing else.
    name = os.fsencode(folder.name).decode(errors="backslashreplace")
    for index, entry in enumerate(tqdm(entries, desc=name, unit="image", disable=not progress)):
        images[index], other_size, colour = _grey(entry.file, resize)
        resized += other_size
        coloured += colour
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


def _entries(folder: Path, test_usage: str | None) -> tuple[list[_Entry], list[str]]:
    """The images below the parts in `folder`, and notices."""
    found, others = parts(folder)
    if not found:
        raise _no_parts(folder)
    notices = [_second_copy(folder, list(found.values()), other) for other in others]
    by_emotion = {part: emotions(place) for part, place in found.items()}
    if any(numbered(each) for each in by_emotion.values()):
        named = ", ".join(f"{number} {name}" for number, name in enumerate(EMOTIONS))
        notices.append(f"Folders named by a number alone were read with the CSV's: {named}.")
    images = {
        part: [(emotion, file) for emotion in sorted(each) for file in _files(each[emotion])]
        for part, each in by_emotion.items()
    }
    # A part without images says nothing about the others.
    images = {part: each for part, each in images.items() if each}
    if not images:
        raise StudyError(f"{folder}: expected images in {LAYOUT}; found none. Put them there.")
    usages, more = _usages(folder, found, images, test_usage)
    entries = [
        _Entry(usage, emotion, file)
        for part, each in images.items()
        for usage, (emotion, file) in zip(usages[part], each, strict=True)
    ]
    notices += more
    if elsewhere := sum(entry.elsewhere for entry in entries):
        notices.append(
            f"The names of {elsewhere:,} of {len(entries):,} files begin with another usage than "
            "their folder's, which was followed: scores are not comparable with published ones."
        )
    return entries, notices


def _no_parts(folder: Path) -> StudyError:
    entries = visible(folder)
    names = ", ".join(entry.name for entry in entries[:10]) or "none"
    if not any(emotion_of(entry.name) is not None and entry.is_dir() for entry in entries):
        return StudyError(
            f"{folder}: expected images in {LAYOUT}; found {names}. Put them there, or give the "
            "folder that holds train/ and test/."
        )
    advice = (
        f"Give the folder above, {folder.parent}."
        if part_of(folder.name) is not None
        else "Put what is for training below train/, and what is for testing below test/."
    )
    return StudyError(
        f"{folder}: expected {LAYOUT}; found the emotions without a part above them, {names}, so "
        f"that nobody can tell training from testing. {advice}"
    )


def _second_copy(folder: Path, here: list[Path], other: Path) -> str:
    """The notice for a folder beside the parts `here` that holds the same once more.

    Raises:
        StudyError: it holds something else.
    """
    if not looks_like_folder_source(other):
        raise StudyError(f"{other}: expected {LAYOUT}; found another folder. Move it away.")
    # Kaggle's jonathanoheix/face-expression-recognition-dataset has images/train/ and, once more,
    # images/images/train/.
    inner = descend(other)
    if _sizes(folder, here) != _sizes(inner, list(parts(inner)[0].values())):
        raise StudyError(
            f"{other}: expected {LAYOUT} once; found them here again, with other files than in "
            f"{folder}. Give {inner} to read these, or move it away."
        )
    return f"{other.name}/ was left out: its files have the names and sizes of those beside it."


def _sizes(folder: Path, places: list[Path]) -> dict[Path, int]:
    """Size in bytes of each visible file in `places`, by its path from `folder`."""
    sizes: dict[Path, int] = {}
    for place in places:
        for entry in visible(place):
            if entry.is_dir():
                sizes |= _sizes(folder, [entry])
            else:
                sizes[entry.relative_to(folder)] = entry.stat().st_size
    return sizes


def _files(folder: Path) -> list[Path]:
    files = visible(folder)
    for file in files:
        if not file.is_file():
            raise StudyError(f"{file}: expected an image file, found something else. Move it away.")
    return files


def _usages(
    folder: Path,
    found: dict[str, Path],
    images: dict[str, list[tuple[int, Path]]],
    test_usage: str | None,
) -> tuple[dict[str, list[str]], list[str]]:
    """The usage of each image of each part, and notices."""
    tests = [part for part in (VALIDATION, TEST) if part in images]
    direct = [part for part in (PUBLIC, PRIVATE) if part in images]
    names = " and ".join(f"{found[part].name}/" for part in (*tests, *direct))
    if tests and direct:
        raise StudyError(
            f"{folder}: expected {PUBLIC}/ and {PRIVATE}/, or validation/ and test/; found "
            f"{names}. Rename them to {PUBLIC}/ and {PRIVATE}/, or move some away."
        )
    meaning = {VALIDATION: PUBLIC, TEST: PRIVATE}
    usages = {part: [meaning.get(part, part)] * len(each) for part, each in images.items()}
    if len(tests) == 1:
        files, place = images[tests[0]], found[tests[0]]
        usages[tests[0]], notices = _test_usages(files, test_usage, place)
        return usages, notices
    if test_usage is not None and (tests or direct):
        raise StudyError(
            f"{folder}: {names} tell {PUBLIC} from {PRIVATE} already; found --test-usage "
            f"{test_usage} too. Leave it out."
        )
    if not tests:
        return usages, []
    validation, test = (found[part].name for part in tests)
    return usages, [f"{validation}/ was read as {PUBLIC} and {test}/ as {PRIVATE}."]


def _test_usages(
    images: list[tuple[int, Path]],
    test_usage: str | None,
    place: Path,
) -> tuple[list[str], list[str]]:
    """The usage of each image of the one test part, sorted by emotion and name, and notices."""
    names = [file.name for _, file in images]
    named = [next((u for u in (PUBLIC, PRIVATE) if one.startswith(f"{u}_")), None) for one in names]
    telling = [usage for usage in named if usage]
    if telling and len(telling) != len(images):
        raise StudyError(
            f"{images[named.index(None)][1]}: expected a name that begins with {PUBLIC}_ or "
            f"{PRIVATE}_, as {len(telling):,} others in {place.name}/ do. "
            "Rename it, or move it away."
        )
    if telling:
        if test_usage is not None:
            raise StudyError(
                f"{place}: file names tell {PUBLIC} from {PRIVATE} already; found --test-usage "
                f"{test_usage} too. Leave it out."
            )
        return telling, []
    if test_usage is None:
        raise StudyError(
            f"{place}: expected file names that begin with {PUBLIC}_ and {PRIVATE}_; found such as "
            f"{names[0]}. Say what {place.name}/ is with --test-usage and one of "
            f"{', '.join(_ANSWERS)}."
        )
    if test_usage != SPLIT:
        return [test_usage] * len(images), []
    dealt = dict.fromkeys(range(len(EMOTIONS)), 0)
    usages = []
    for emotion, _ in images:
        usages.append(PRIVATE if dealt[emotion] % 2 else PUBLIC)
        dealt[emotion] += 1
    return usages, [
        f"{PUBLIC} and {PRIVATE} are two halves of {place.name}/ dealt out by this study, not the "
        "contest's: scores are not comparable with published ones."
    ]


def _grey(file: Path, resize: bool) -> tuple[np.ndarray, bool, bool]:
    """uint8 (48, 48), whether the image had another size, and whether it had colour."""
    try:
        image = open_image(file)
    except UnreadableImage as problem:
        raise StudyError(f"{problem} If it is no image of a face, move it away.") from None
    other_size = image.size != (SIDE, SIDE)
    if other_size and not resize:
        raise StudyError(
            f"{file}: expected an image of {SIDE}x{SIDE} pixels, found "
            f"{image.width}x{image.height}. Say --resize to have such images resized."
        )
    pixels = np.asarray(image)
    colour = bool((pixels != pixels[..., :1]).any())
    grey = image.convert("L")
    if other_size:
        grey = grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(grey), other_size, colour
