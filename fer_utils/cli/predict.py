"""`fer-study predict`: print the faces in photos or a video, and write annotated copies."""

import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from fer_utils.errors import StudyError
from fer_utils.recognition.annotation import annotate
from fer_utils.recognition.found import ROW, RecognizedFace, as_answer
from fer_utils.recognition.images import Photo, UnreadableImage, is_annotated, save_annotated
from fer_utils.recognition.recognizer import Recognizer, photos_in
from fer_utils.recognition.video import COLUMNS, is_video, recognize_video
from fer_utils.storage import atomic_file, expect_replaceable

_logger = logging.getLogger(__name__)

_PHOTO_COLUMNS = ("file", *ROW)


class _Answered(NamedTuple):
    """A photo, its faces, and its answer as JSON."""

    path: Path
    faces: list[RecognizedFace]
    answer: dict


def predict(
    recognizer: Recognizer,
    *paths: Path,
    form: str = "text",
    annotated: Path | None = None,
    out: TextIO | None = None,
) -> None:
    """Classify the faces at each path, print them, and write annotated copies.

    Args:
        recognizer: finds and classifies faces.
        paths: photos and folders of photos, searched recursively, or one video.
        form: "text", "json" or "csv". JSON is one object for a single photo, else one per line
            that also has the file's name.
        annotated: the annotated photo or clip to write. For a folder or several paths it is a
            folder, with one PNG per photo.
        out: the stream to print to; None is standard output.

    Raises:
        StudyError: a path does not exist, or is neither photo nor video; a video is not the only
            path; no photo can be read; or `annotated` would replace a file of another origin.
    """
    out = out or sys.stdout
    for path in paths:
        if not path.exists():
            raise StudyError(
                f"{path}: expected a photo, a folder of photos or a video, found nothing there."
            )
    videos = [path for path in paths if path.is_file() and is_video(path)]
    if videos and len(paths) > 1:
        raise StudyError(
            f"{videos[0]}: expected photos and folders among several paths, found a video. "
            "Give the video as the only path."
        )
    if videos:
        _print_video(recognize_video(recognizer, videos[0], annotate=annotated), form, out)
    elif len(paths) == 1 and not paths[0].is_dir():
        _predict_photo(recognizer, paths[0], form, annotated, out)
    else:
        targets = _targets(paths)
        if annotated:
            _expect_apart(targets)
            for photo, target in targets.items():  # all before the first is classified
                _expect_place(annotated / target, photo)
        _print_photos(_drawn(recognizer, targets, annotated), form, out)


def _predict_photo(
    recognizer: Recognizer, path: Path, form: str, annotated: Path | None, out: TextIO
) -> None:
    if annotated:
        _expect_place(annotated, path)
    photo = Photo(path)
    # A large JPEG is decoded whole only after this, or the answer would depend on --annotate.
    faces = recognizer.recognize(photo)
    if annotated:
        _save(annotate(photo, faces), annotated)
    answer = as_answer(photo.size, recognizer.detector.name, faces)
    if form == "json":
        print(json.dumps(answer, indent=2), file=out)
    else:
        _print_photos([_Answered(path, faces, answer)], form, out)


def _targets(paths: Sequence[Path]) -> dict[Path, Path]:
    """The photos at and below the paths, and the relative path of each annotated copy."""
    targets: dict[Path, Path] = {}
    for path in paths:
        for photo in photos_in(path) if path.is_dir() else [path]:
            within = photo.relative_to(path) if path.is_dir() else Path(photo.name)
            # The suffix stays: two photos may differ in their suffix alone.
            targets.setdefault(photo, within.with_name(f"{within.name}.png"))
    return targets


def _drawn(
    recognizer: Recognizer, targets: dict[Path, Path], annotated: Path | None
) -> Iterator[_Answered]:
    """Yield each photo with its faces, after its annotated copy is written."""
    for path, photo, faces in recognizer.walk(list(targets)):
        if annotated:
            try:
                _save(annotate(photo, faces), annotated / targets[path])
            # Such as a name that .png makes too long, or a JPEG that fails only in full size.
            except (OSError, UnreadableImage) as problem:
                _logger.warning("%s: not annotated: %s", path, problem)
        yield _Answered(path, faces, as_answer(photo.size, recognizer.detector.name, faces))


def _expect_apart(targets: dict[Path, Path]) -> None:
    """Raise StudyError if two photos have the same annotated copy."""
    drawn: dict[Path, Path] = {}
    for photo, target in targets.items():
        other = drawn.setdefault(target, photo)
        if other != photo:
            raise StudyError(
                f"--annotate: expected photos of different names, found {other} and {photo}. "
                "Give the folder that contains both, or call the command for each."
            )


def _expect_place(target: Path, photo: Path) -> None:
    expect_replaceable(target, "an annotated photo", is_annotated, reads=photo)


def _print_photos(answered: Iterable[_Answered], form: str, out: TextIO) -> None:
    table = csv.DictWriter(out, _PHOTO_COLUMNS, lineterminator="\n")
    if form == "csv":
        table.writeheader()
    for path, faces, answer in answered:
        if form == "json":
            print(json.dumps({"file": str(path)} | answer), file=out)
        elif form == "csv":
            table.writerows({"file": path} | face.as_row() for face in faces)
        else:
            print(f"{path}: {_words(faces)}", file=out)


def _print_video(rows: Iterator[dict], form: str, out: TextIO) -> None:
    if form == "json":
        for row in rows:
            print(json.dumps(row), file=out)
    elif form == "csv":
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    else:
        _print_changes(rows, out)


def _print_changes(rows: Iterator[dict], out: TextIO) -> None:
    """Print a line whenever the expression of a tracked face changes."""
    shown: dict[int, tuple] = {}
    for row in rows:
        label = row["emotion"], row["uncertain"]
        if shown.get(row["track"]) != label:
            shown[row["track"]] = label
            doubt = " (uncertain)" if row["uncertain"] else ""
            share = row[row["emotion"]]
            print(
                f"{row['seconds']:8.2f} s  face {row['track']}: {row['emotion']} "
                f"{share:.0%}{doubt}",
                file=out,
            )
    if not shown:
        print("no face found", file=out)


def _words(faces: list[RecognizedFace]) -> str:
    words = [
        f"{face.emotion} {face.probabilities.max():.0%}{' (uncertain)' if face.uncertain else ''}"
        for face in faces
    ]
    return ", ".join(words) or "no face found"


def _save(image, target: Path) -> None:
    try:
        with atomic_file(target) as file:
            save_annotated(image, file)
    except ValueError:
        raise StudyError(
            f"{target}: expected a name with an image's suffix, such as .png or .jpg. Rename it."
        ) from None
