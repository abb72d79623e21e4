"""Folders of images, as in Kaggle's image data sets of FER-2013: train/<emotion>/ and so on."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from fer_utils.data.faces import Faces, Source
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
"""Value of `test_usage` that divides the test part into PublicTest and PrivateTest."""

_TEST_USAGES = (PUBLIC, PRIVATE, SPLIT)


@dataclass(frozen=True)
class _Entry:
    """An image file with its split and emotion."""

    usage: str
    emotion: int
    file: Path

    @property
    def key(self) -> tuple[int, int, str]:
        return USAGES.index(self.usage), self.emotion, self.file.name

    @property
    def contradicts(self) -> bool:
        """True if the file's name begins with another split."""
        return any(self.file.name.startswith(f"{one}_") for one in USAGES if one != self.usage)


def looks_like_folder_source(path: Path) -> bool:
    """True if `path` is a folder with a part, such as train/, that has subfolders.

    As in `read_folder`, the parts may be a few levels down. False for paths that cannot be read.
    """
    try:
        for entry in visible(descend(Path(path))):
            is_part = part_of(entry.name) is not None and entry.is_dir()
            if is_part and any(below.is_dir() for below in visible(entry)):
                return True
    except (OSError, ValueError):  # OSError for a name that is too long; StudyError is a ValueError
        return False
    return False


def read_folder(
    folder: Path,
    *,
    resize: bool = False,
    test_usage: str | None = None,
    progress: bool = False,
) -> Faces:
    """Read images in <part>/<emotion>/. Hidden files are ignored.

    Names of parts, in upper or lower case:

    - train/ or training/ is Training.
    - PublicTest/ and PrivateTest/ are these splits.
    - validation/ (valid/, val/) and test/ (testing/) together are PublicTest and PrivateTest.
    - Only one of validation/ and test/ is the test part. If its file names begin with `PublicTest_`
      and `PrivateTest_`, they give the split. Otherwise `test_usage` does.

    Emotions have a name of `EMOTIONS` or a synonym such as anger, in upper or lower case, and a
    number before it is ignored. A number alone is the CSV's number.

    Args:
        folder: contains the parts, itself or in its only subfolder.
        resize: resize images that are not 48x48 (bicubic, with antialiasing).
        test_usage: split of the test part: "PublicTest", "PrivateTest", or "split". With "split",
            the images of an emotion, sorted by name, alternate between the two splits.
        progress: show a progress bar.

    Returns:
        Faces sorted by split, emotion and file name. `row` counts in this order. Images are read by
        `open_image`. Colour is converted to grey by ITU-R 601 luma. Notices list images that were
        split, resized, converted, ignored, or assigned by their names.

    Raises:
        StudyError: the layout is another, a file is no image, an image has another size and
            `resize` is false, or the split of the test part is unknown.
    """
    folder = Path(folder)
    if test_usage is not None and test_usage not in _TEST_USAGES:
        raise StudyError(
            f"--test-usage: expected one of {', '.join(_TEST_USAGES)}, found {test_usage!r}. "
            "Choose one of them, or leave it out."
        )
    if not folder.is_dir():
        found = "no folder. Check the path"
        if folder.exists():
            found = "a file. Unpack it if it is an archive"
        raise StudyError(f"{folder}: expected a folder with {LAYOUT}; found {found}.")
    folder = descend(folder)
    entries, notices = _entries(folder, test_usage)
    entries.sort(key=lambda entry: entry.key)

    images = np.empty((len(entries), SIDE, SIDE), np.uint8)
    resized = coloured = 0
    # A file name may contain bytes that a terminal cannot print.
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


SOURCE = Source(
    read_folder,
    options=("resize", "test_usage"),
    path="the folder that contains train/<emotion>/ and test/<emotion>/",
    no_votes="images in folders have lost the order of the CSV's rows, which votes need",
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
        notices.append(f"Folders with a number as name were read with the CSV's numbers: {named}.")
    images: dict[str, list[tuple[int, Path]]] = {}
    for part, folders in by_emotion.items():
        files = [
            (emotion, file) for emotion in sorted(folders) for file in _files(folders[emotion])
        ]
        if files:  # a part without images does not count as a part
            images[part] = files
    if not images:
        raise StudyError(f"{folder}: expected images in {LAYOUT}; found none. Put them there.")
    usages, more = _usages(folder, found, images, test_usage)
    notices += more
    entries = []
    for part, files in images.items():
        for usage, (emotion, file) in zip(usages[part], files, strict=True):
            entries.append(_Entry(usage, emotion, file))
    if contradicting := sum(entry.contradicts for entry in entries):
        notices.append(
            f"The names of {contradicting:,} of {len(entries):,} files begin with another split "
            "than that of their folder, which was used: scores are not comparable with published "
            "ones."
        )
    return entries, notices


def _no_parts(folder: Path) -> StudyError:
    entries = visible(folder)
    names = ", ".join(entry.name for entry in entries[:10]) or "none"
    if not any(emotion_of(entry.name) is not None and entry.is_dir() for entry in entries):
        return StudyError(
            f"{folder}: expected images in {LAYOUT}; found {names}. Put them there, or choose the "
            "folder that contains train/ and test/."
        )
    advice = "Move images for training to train/, and images for testing to test/."
    if part_of(folder.name) is not None:
        advice = f"Choose the folder above, {folder.parent}."
    return StudyError(
        f"{folder}: expected {LAYOUT}; found emotions without a part above them: {names}. Their "
        f"splits are unknown. {advice}"
    )


def _second_copy(folder: Path, here: list[Path], other: Path) -> str:
    """The notice for the folder `other`, which contains a copy of the parts `here` beside it.

    Raises:
        StudyError: `other` contains something else.
    """
    if not looks_like_folder_source(other):
        raise StudyError(f"{other}: expected {LAYOUT}; found another folder. Move it away.")
    # Kaggle's jonathanoheix/face-expression-recognition-dataset has images/train/ and, once more,
    # images/images/train/.
    inner = descend(other)
    if _sizes(folder, here) != _sizes(inner, list(parts(inner)[0].values())):
        raise StudyError(
            f"{other}: expected {LAYOUT} once; found it again, with other files than in {folder}. "
            f"Choose {inner} to read these files, or move it away."
        )
    return f"{other.name}/ was ignored: its files have the names and sizes of those beside it."


def _sizes(folder: Path, places: list[Path]) -> dict[Path, int]:
    """The size in bytes of each visible file in `places`, by its path relative to `folder`."""
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
    """The split of each image, by part, and notices."""
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
            f"{folder}: expected no --test-usage, because {names} give the splits; found "
            f"{test_usage}. Leave it out."
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
    """The split of each image of the only test part, sorted by emotion and name, and notices."""
    names = [file.name for _, file in images]
    public = [name.startswith(f"{PUBLIC}_") for name in names]
    private = [name.startswith(f"{PRIVATE}_") for name in names]
    named = sum(public) + sum(private)
    if 0 < named < len(images):
        first = next(i for i in range(len(images)) if not public[i] and not private[i])
        raise StudyError(
            f"{images[first][1]}: expected a name that begins with {PUBLIC}_ or {PRIVATE}_, as in "
            f"{named:,} other files of {place.name}/. Rename it, or move it away."
        )
    if named:
        if test_usage is not None:
            raise StudyError(
                f"{place}: expected no --test-usage, because file names give the splits; found "
                f"{test_usage}. Leave it out."
            )
        return [PUBLIC if one else PRIVATE for one in public], []
    if test_usage is None:
        raise StudyError(
            f"{place}: expected file names that begin with {PUBLIC}_ and {PRIVATE}_; found "
            f"{names[0]}. Give the split of {place.name}/ with --test-usage and one of "
            f"{', '.join(_TEST_USAGES)}."
        )
    if test_usage != SPLIT:
        return [test_usage] * len(images), []
    usages = []
    counts = [0] * len(EMOTIONS)
    for emotion, _ in images:
        usages.append(PRIVATE if counts[emotion] % 2 else PUBLIC)
        counts[emotion] += 1
    return usages, [
        f"{PUBLIC} and {PRIVATE} are two halves of {place.name}/ made by this study, not the "
        "contest's: scores are not comparable with published ones."
    ]


def _grey(file: Path, resize: bool) -> tuple[np.ndarray, bool, bool]:
    """Read an image: uint8 (48, 48), whether it had another size, and whether it had colour."""
    try:
        image = open_image(file)
    except UnreadableImage as problem:
        raise StudyError(f"{problem} Move it away if it is no image of a face.") from None
    other_size = image.size != (SIDE, SIDE)
    if other_size and not resize:
        raise StudyError(
            f"{file}: expected an image of {SIDE}x{SIDE} pixels, found "
            f"{image.width}x{image.height}. Add --resize to resize such images."
        )
    pixels = np.asarray(image)
    colour = bool((pixels != pixels[..., :1]).any())
    grey = image.convert("L")
    if other_size:
        grey = grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(grey), other_size, colour
