"""Count the faces of many sizes that each search finds in composed scenes.

    python benchmarks/scenes.py --photos FOLDER [--yunet FILE] [--scenes 45] [--seed 0] [--save OUT]

FOLDER contains photos and faces.csv (columns file and faces), as for detect.py. Faces are cut out
of the photos in which the Haar cascade finds as many as faces.csv says. They are pasted with soft
edges on blurred noise, at sides from 2.5 % to 20 % of the scene's longer side, evenly in the
logarithm, and do not overlap. The places are known, so a face counts as found if a box lies on it,
as boxes.py says. Other boxes are false.

Three searches are compared: Haar with two full searches, Haar as it is (its second search looks
only for small faces), and YuNet. Haar found every face before it was pasted, so the numbers say
what the limit costs and which sizes are found. They do not say which detector is better.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from boxes import match
from detect import Count, read_counts

from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Box, Detection
from fer_utils.recognition.images import open_image
from fer_utils.recognition.search import Detector, find_faces
from fer_utils.recognition.yunet import YuNetDetector

SIZE = (2048, 1536)
SMALLEST, LARGEST = 0.025, 0.2
"""Sides of the pasted faces, as shares of the scene's longer side."""

MARGIN = 0.4
"""What is cut out around a face on each side, as a share of the box's side."""

_SLOTS = 18
_TRIES = 100
_ENLARGED = 1.5
"""A face is pasted at most this many times as large as it was, because a blurred one is none."""


@dataclass(frozen=True)
class Cutting:
    """A face with its surroundings: uint8 RGB (s, s, 3), and the side of the face in pixels."""

    pixels: np.ndarray
    side: int


class FullHaar(HaarDetector):
    """Haar whose second search looks for faces of all sizes, too."""

    def detect_small(self, photo: np.ndarray, largest: int) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3)."""
        return self.detect(photo)


def cuttings(folder: Path) -> list[Cutting]:
    """Cut the faces out of the photos in which Haar finds as many as faces.csv says.

    Raises:
        StudyError: faces.csv is missing or wrong, or there is no such face.
    """
    detector, cut = HaarDetector(), []
    for name, faces in read_counts(folder).items():
        photo = np.asarray(open_image(folder / name))
        found = find_faces(photo, detector)
        for box, _ in found if len(found) == faces else ():
            side = max(box.width, box.height)
            reach = round(side * (0.5 + MARGIN))
            x, y = box.x + box.width // 2, box.y + box.height // 2
            padded = cv2.copyMakeBorder(photo, *4 * [reach], cv2.BORDER_REPLICATE)
            cut.append(Cutting(padded[y : y + 2 * reach, x : x + 2 * reach], side))
    if not cut:
        raise StudyError(
            f"{folder}: expected photos in which Haar finds the faces of faces.csv, found none. "
            "Name other photos."
        )
    return cut


def compose(faces: Sequence[Cutting], generator: np.random.Generator) -> tuple[np.ndarray, list]:
    """Compose a scene. Returns it, uint8 RGB (h, w, 3), and the faces' places as a list of Box."""
    width, height = SIZE
    noise = generator.integers(40, 216, (height // 32, width // 32, 3), np.uint8)
    scene = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    places: list[Box] = []
    taken = np.zeros((height, width), bool)
    for _ in range(_SLOTS):
        share = np.exp(generator.uniform(np.log(SMALLEST), np.log(LARGEST)))
        side = round(share * max(SIZE))
        fitting = [face for face in faces if side <= _ENLARGED * face.side]
        if not fitting:
            continue
        face = fitting[generator.integers(len(fitting))]
        whole = round(side * (1 + 2 * MARGIN))
        for _ in range(_TRIES):
            x, y = generator.integers(width - whole), generator.integers(height - whole)
            area = np.s_[y : y + whole, x : x + whole]
            if not taken[area].any():
                break
        else:
            continue
        taken[area] = True
        smaller = cv2.INTER_AREA if whole < len(face.pixels) else cv2.INTER_CUBIC
        pasted = cv2.resize(face.pixels, (whole, whole), interpolation=smaller)
        # Hard edges would be features that no photo has.
        edge = np.linspace(-1, 1, whole)
        soft = np.clip(8 * (1 - np.maximum(abs(edge)[:, None], abs(edge))), 0, 1)[..., None]
        scene[area] = np.round(soft * pasted + (1 - soft) * scene[area])
        start = (whole - side) // 2
        places.append(Box(int(x) + start, int(y) + start, side, side))
    return scene, places


def report(searches: dict[str, Detector], scenes: list[tuple[np.ndarray, list[Box]]]) -> str:
    """Search all scenes and return the table as text."""
    sides = np.array([face.width for _, faces in scenes for face in faces]) / max(SIZE)
    edges = np.geomspace(SMALLEST, LARGEST, 4)
    # Sides are whole pixels, so the first and the last are rounded beyond the edges.
    band_of = np.digitize(sides, edges[1:-1])
    bands = [band_of == number for number in range(3)]
    names = [f"{low:.1%} to {high:.1%}" for low, high in pairwise(edges)]
    lines = [
        f"{len(scenes)} scenes of {SIZE[0]} x {SIZE[1]} pixels, {len(sides)} faces",
        f"{'':12} {'found':>6} {'missed':>7} {'false':>6} | missed by share of the longer side: "
        + ", ".join(f"{name} ({band.sum()})" for name, band in zip(names, bands, strict=True)),
    ]
    seen: dict[str, np.ndarray] = {}
    for name, detector in searches.items():
        total, found = Count(0, 0, 0), []
        for scene, faces in scenes:
            boxes = [detection.box for detection in find_faces(scene, detector)]
            matched = match(boxes, faces)
            total += Count(len(matched), len(faces) - len(matched), len(boxes) - len(matched))
            found += [index in matched for index in range(len(faces))]
        seen[name] = np.array(found, bool)
        missed = ", ".join(str((band & ~seen[name]).sum()) for band in bands)
        lines.append(f"{name:12} {total.found:6} {total.missed:7} {total.false:6} | {missed}")
    full, limited = seen["haar, full"], seen["haar"]
    lines.append(
        f"only the full search of Haar finds {(full & ~limited).sum()}, only the limited one "
        f"{(limited & ~full).sum()}"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder with photos and faces.csv"
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; default: without YuNet")
    parser.add_argument("--scenes", type=int, default=45, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--save", type=Path, metavar="OUT", help="folder for the scenes")
    given = parser.parse_args()
    try:
        searches: dict[str, Detector] = {"haar, full": FullHaar(), "haar": HaarDetector()}
        if given.yunet:
            searches["yunet"] = YuNetDetector(given.yunet)
        faces, generator = cuttings(given.photos), np.random.default_rng(given.seed)
        scenes = [compose(faces, generator) for _ in range(given.scenes)]
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            for number, (scene, _) in enumerate(scenes):
                cv2.imwrite(str(given.save / f"{number:03}.png"), scene[..., ::-1])
        print(f"{len(faces)} faces cut out; OpenCV {cv2.__version__}, {os.cpu_count()} cores")
        print(report(searches, scenes))
    except StudyError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
