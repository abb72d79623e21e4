"""`fer-study predict`: the faces of a photo, a folder or a video, printed as text, JSON or CSV, or drawn."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from fer_utils.annotation import annotate
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.images import UnreadableImage, open_image
from fer_utils.recognition import RecognizedFace, Recognizer
from fer_utils.storage import atomic_file
from fer_utils.video import COLUMNS, recognize_video

_PHOTO_COLUMNS = ("file", "x", "y", "width", "height", "score", "emotion", "uncertain", *EMOTIONS)


def predict(
    recognizer: Recognizer, path: Path, *, form: str = "text", annotated: Path | None = None, out: TextIO | None = None
) -> None:
    """Recognise what is at `path`, print it, and draw it where asked for.

    Args:
        recognizer: does it.
        path: a photo, a folder of photos (and of folders), or a video.
        form: "text", "json" or "csv". Of a folder or a video JSON is an object a line.
        annotated: where the drawn photo or clip goes, or the folder for a folder's photos.
        out: printed to; standard output when None.

    Raises:
        StudyError: there is nothing at `path`, or it is neither photo nor video.
    """
    out = out or sys.stdout
    if path.is_dir():
        _print_photos(_folder(recognizer, path, annotated), form, out)
        return
    if not path.is_file():
        raise StudyError(f"{path}: expected a photo, a folder of photos or a video, found nothing there.")
    try:
        photo = open_image(path)
    except UnreadableImage as not_a_photo:
        try:
            rows = recognize_video(recognizer, path, annotate=annotated)
        except StudyError as not_a_video:
            raise StudyError(f"{not_a_photo} As a video: {not_a_video}") from None
        _print_video(rows, form, out)
        return
    faces = recognizer.recognize(photo)
    if annotated:
        _save(annotate(photo, faces), annotated)
    if form == "json":
        answer = {"width": photo.width, "height": photo.height, "faces": [face.as_dict() for face in faces]}
        print(json.dumps(answer, indent=2), file=out)
    else:
        _print_photos([(path, faces)], form, out)


def _folder(recognizer: Recognizer, folder: Path, annotated: Path | None) -> Iterator[tuple[Path, list]]:
    for path, faces in recognizer.recognize_folder(folder):
        if annotated:
            # Two files may differ in their ending alone.
            target = annotated / path.relative_to(folder)
            _save(annotate(path, faces), target.with_name(f"{target.name}.png"))
        yield path, faces


def _print_photos(found: Iterable[tuple[Path, list[RecognizedFace]]], form: str, out: TextIO) -> None:
    table = csv.writer(out, lineterminator="\n")
    if form == "csv":
        table.writerow(_PHOTO_COLUMNS)
    for path, faces in found:
        if form == "json":
            print(json.dumps({"file": str(path), "faces": [face.as_dict() for face in faces]}), file=out)
        elif form == "csv":
            for face in faces:
                plain = face.as_dict()
                place = (plain["box"][edge] for edge in ("x", "y", "width", "height"))
                shares = plain["probabilities"].values()
                table.writerow([path, *place, plain["score"], plain["emotion"], plain["uncertain"], *shares])
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
    """A line whenever somebody's expression changes."""
    shown: dict[int, tuple] = {}
    for row in rows:
        label = row["emotion"], row["uncertain"]
        if shown.get(row["track"]) != label:
            shown[row["track"]] = label
            doubt = " (uncertain)" if row["uncertain"] else ""
            share = row[row["emotion"]]
            print(f"{row['seconds']:8.2f} s  face {row['track']}: {row['emotion']} {share:.0%}{doubt}", file=out)
    if not shown:
        print("no face found", file=out)


def _words(faces: list[RecognizedFace]) -> str:
    words = [
        f"{face.emotion} {face.probabilities.max():.0%}{' (uncertain)' if face.uncertain else ''}" for face in faces
    ]
    return ", ".join(words) or "no face found"


def _save(image, target: Path) -> None:
    try:
        with atomic_file(target) as file:
            image.save(file)
    except ValueError:
        raise StudyError(
            f"{target}: expected a name that ends as an image's does, such as .png or .jpg. Name it so."
        ) from None
