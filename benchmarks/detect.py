"""Count the faces that each detector finds in photos, and time the detectors.

    python benchmarks/detect.py --photos FOLDER [--yunet yunet_n_640_640.onnx] [--annotate OUT]

FOLDER contains photos and faces.csv, with the columns file and faces (the number of faces in each
photo). `find_faces` searches the photos, as it does in the recogniser. The counts of found, missed
and false faces compare the number of boxes with the number of faces, because faces.csv has no
boxes. A box beside a face therefore counts as found. --annotate writes each photo with its boxes,
to check them.

A photo's time is the median of --repeats detections on one thread, after one that is not counted.
It includes scaling the photo and excludes reading the file.
"""

import argparse
import csv
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Detection
from fer_utils.recognition.images import open_image
from fer_utils.recognition.search import Detector, find_faces
from fer_utils.recognition.yunet import YuNetDetector

COLOURS = {"haar": (255, 120, 0), "yunet": (0, 160, 255)}


@dataclass(frozen=True)
class Count:
    """Numbers of found and missed faces and of false boxes."""

    found: int
    missed: int
    false: int

    @classmethod
    def of(cls, boxes: int, faces: int) -> "Count":
        """Compare the number of boxes with the number of faces in the photo."""
        return cls(min(boxes, faces), max(0, faces - boxes), max(0, boxes - faces))

    def __add__(self, other: "Count") -> "Count":
        return Count(self.found + other.found, self.missed + other.missed, self.false + other.false)


def read_counts(folder: Path) -> dict[str, int]:
    """Read the number of faces by file name from the folder's faces.csv.

    Raises:
        StudyError: the file is missing, has other columns, or names a missing photo.
    """
    file = folder / "faces.csv"
    try:
        with file.open(newline="", encoding="utf-8") as table:
            counts = {row["file"]: int(row["faces"]) for row in csv.DictReader(table)}
    except (OSError, KeyError, ValueError) as problem:
        raise StudyError(
            f"{file}: expected columns file and faces, found {problem!r}. Write one row per photo."
        ) from None
    absent = [name for name in counts if not (folder / name).is_file()]
    if absent or not counts:
        raise StudyError(
            f"{file}: expected photos of {folder}, found none named "
            f"{', '.join(absent) or 'at all'}."
        )
    return counts


def timed(detector: Detector, photo: np.ndarray, repeats: int) -> tuple[list[Detection], float]:
    """The detections in a photo, and the median milliseconds."""
    found = find_faces(photo, detector)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        find_faces(photo, detector)
        times.append(time.perf_counter() - started)
    return found, statistics.median(times) * 1e3


def report(counts: dict[str, int], results: dict[str, dict[str, tuple[int, float]]]) -> str:
    """A table of photos and a total.

    Args:
        counts: number of faces by photo.
        results: number of boxes and milliseconds by detector and photo.
    """
    head = f"{'photo':16} {'faces':>5}"
    for name in results:
        head += f"  | {name:>6} found missed false     ms"
    lines = [head]
    totals = dict.fromkeys(results, Count(0, 0, 0))
    for photo, faces in counts.items():
        line = f"{photo:16} {faces:5}"
        for name, of_photo in results.items():
            boxes, took = of_photo[photo]
            count = Count.of(boxes, faces)
            totals[name] += count
            line += f"  | {'':>6} {count.found:5} {count.missed:6} {count.false:5} {took:6.1f}"
        lines.append(line)
    line = f"{'all':16} {sum(counts.values()):5}"
    for name, of_photo in results.items():
        count, took = totals[name], statistics.median(took for _, took in of_photo.values())
        line += f"  | {'':>6} {count.found:5} {count.missed:6} {count.false:5} {took:6.1f}"
    lines.append(line + "  (median of the photos)")
    return "\n".join(lines)


def draw(photo: np.ndarray, found: dict[str, list[Detection]]) -> np.ndarray:
    """The photo, BGR, with the boxes and scores of each detector in its colour."""
    picture = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    for name, detections in found.items():
        for (x, y, width, height), score in detections:
            cv2.rectangle(picture, (x, y), (x + width, y + height), COLOURS[name], 2)
            place = (x + 3, y + (18 if name == "haar" else height - 6))
            cv2.putText(
                picture,
                f"{name} {score:.2f}",
                place,
                cv2.FONT_HERSHEY_SIMPLEX,
                0.5,
                COLOURS[name],
                1,
            )
    return picture


def compare(
    folder: Path, detectors: dict[str, Detector], repeats: int, annotate: Path | None
) -> str:
    counts = read_counts(folder)
    results = {name: {} for name in detectors}
    for file in counts:
        photo, found = np.asarray(open_image(folder / file)), {}
        for name, detector in detectors.items():
            found[name], took = timed(detector, photo, repeats)
            results[name][file] = len(found[name]), took
        if annotate:
            annotate.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(annotate / file), draw(photo, found))
    return report(counts, results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder with photos and faces.csv"
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; default: without YuNet")
    parser.add_argument(
        "--repeats", type=int, default=7, help="timed detections per photo; default: 7"
    )
    parser.add_argument(
        "--annotate", type=Path, metavar="OUT", help="folder for the photos with their boxes"
    )
    given = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        detectors: dict[str, Detector] = {"haar": HaarDetector()}
        if given.yunet:
            detectors["yunet"] = YuNetDetector(given.yunet)
        print(
            f"OpenCV {cv2.__version__}, 1 thread, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f} at the start"
        )
        print(compare(given.photos, detectors, given.repeats, given.annotate))
    except StudyError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
