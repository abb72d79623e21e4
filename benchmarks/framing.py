"""The frame of faces in FER-2013 for each detector, and the cost of a wrong frame.

    python benchmarks/framing.py --csv fer2013.csv.gz [--yunet FILE] [--photos FOLDER]
    python benchmarks/framing.py --data data/prepared --parts boxes

The program reads Training and PublicTest, and not PrivateTest. It has three parts:

boxes: each detector searches --images Training images, enlarged three times on a blurred border of
    half the image's width. The part prints the centre and the sides of its boxes in FER-2013's
    pixels, and the frame and rise that crop the image again. An image of FER-2013 ends at chin and
    forehead. YuNet detects the whole head, so its box is smaller there than on a photo. --photos
    therefore adds a second measurement: the square that Haar's frame crops, in terms of YuNet's
    box, on photos in which both detectors find a face.
shifts: PublicTest accuracy of the model if each image is framed wider or closer, or translated. The
    border pixels are repeated.
pasted: --images PublicTest images are enlarged on a border as above, detected, cropped with
    `crop_face` at several frames, and classified. The part prints the accuracy of the images in
    which the detector found the face, and that of the images themselves.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from fer_utils.data.faces import Faces, load_faces
from fer_utils.data.sources import read
from fer_utils.emotions import PUBLIC, SIDE, TRAINING
from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Box
from fer_utils.recognition.images import open_image
from fer_utils.recognition.recognizer import Recognizer, crop_face
from fer_utils.recognition.search import Detector, find_faces
from fer_utils.recognition.yunet import YuNetDetector

PARTS = ("boxes", "shifts", "pasted")
ENLARGED = 3
BORDER = SIDE // 2  # pixels of FER-2013 on each side
FRAMES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)
SHIFTS = (1, 2, 3, 4, 5, 6)  # pixels of FER-2013
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


# --- the detectors' boxes ---


def paste(image: np.ndarray) -> np.ndarray:
    """Enlarge a grey image (48, 48) and add a blurred border. Returns RGB uint8 (288, 288, 3)."""
    large = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    border = BORDER * ENLARGED
    canvas = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 4 * ENLARGED)
    canvas[border:-border, border:-border] = large
    return cv2.cvtColor(canvas, cv2.COLOR_GRAY2RGB)


def find_pasted(detector: Detector, image: np.ndarray) -> Box | None:
    """The box nearest the centre of the pasted image; None if there is none within a quarter of the
    image's side."""
    canvas = paste(image)
    middle, reach = canvas.shape[0] / 2, SIDE * ENLARGED / 4
    near = [
        (max(abs(x + width / 2 - middle), abs(y + height / 2 - middle)), Box(x, y, width, height))
        for (x, y, width, height), _ in detector.detect(canvas)
    ]
    distance, box = min(near, default=(reach + 1, None))
    return box if distance <= reach else None


def in_face_pixels(box: Box) -> tuple[float, float, float, float]:
    """Convert a box of a pasted image to FER-2013's pixels.

    Returns:
        The box's centre to the right of and below the image's centre, its width and height.
    """
    middle = BORDER + SIDE / 2
    return (
        (box.x + box.width / 2) / ENLARGED - middle,
        (box.y + box.height / 2) / ENLARGED - middle,
        box.width / ENLARGED,
        box.height / ENLARGED,
    )


def frame_of(boxes: np.ndarray) -> tuple[float, float]:
    """The frame and rise that crop FER-2013's square again, as medians over boxes (n, 4) of
    `in_face_pixels`."""
    side = np.median(boxes[:, 2:].max(axis=1))
    return float(SIDE / side), float(np.median(boxes[:, 1]) / SIDE)


def frame_like(boxes: Iterable[tuple[Box, Box]], frame: float, rise: float) -> tuple[float, float]:
    """The frame and rise for each pair's second box that crop the same square as `frame` and `rise`
    do from the first box."""
    frames, rises = [], []
    for one, other in boxes:
        side = frame * max(one.width, one.height)
        middle = one.y + one.height / 2 - rise * side
        frames.append(side / max(other.width, other.height))
        rises.append((other.y + other.height / 2 - middle) / side)
    return float(np.median(frames)), float(np.median(rises))


def same_faces(ones: list[Box], others: list[Box]) -> list[tuple[Box, Box]]:
    """Pairs of boxes of two detectors whose centres are at most a quarter of the first box's side
    apart."""

    def apart(a: Box, b: Box) -> float:
        across = a.x + a.width / 2 - b.x - b.width / 2
        along = a.y + a.height / 2 - b.y - b.height / 2
        return max(abs(across), abs(along)) / max(a.width, a.height)

    return [(a, b) for a in ones for b in others if apart(a, b) < 0.25]


def on_photos(folder: Path, one: Detector, other: Detector) -> list[tuple[Box, Box]]:
    """Pairs of two detectors' boxes of the same face, over all photos in the folder."""
    pairs = []
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            continue
        photo = np.asarray(open_image(file))
        ones = [box for box, _ in find_faces(photo, one)]
        others = [box for box, _ in find_faces(photo, other)]
        pairs += same_faces(ones, others)
    return pairs


def boxes_part(faces: Faces, detectors: dict[str, Detector], photos: Path | None) -> None:
    print(f"\nboxes on {len(faces)} Training images, in FER-2013's pixels: median (quartiles)")
    for name, detector in detectors.items():
        found = [box for image in faces.images if (box := find_pasted(detector, image)) is not None]
        if not found:
            print(f"  {name:6} found none")
            continue
        boxes = np.array([in_face_pixels(box) for box in found])
        print(f"  {name:6} found {len(found) / len(faces):.1%}")
        labels = ("centre, right", "centre, below", "width", "height")
        for label, column in zip(labels, boxes.T, strict=True):
            low, median, high = np.percentile(column, (25, 50, 75))
            print(f"    {label:14} {median:6.2f} ({low:.2f} to {high:.2f})")
        frame, rise = frame_of(boxes)
        print(
            f"    measured frame {frame:.3f} and rise {rise:.3f}; "
            f"the detector's are {detector.frame:.3f} and {detector.rise:.3f}"
        )
    if photos and len(detectors) == 2:
        haar, yunet = detectors.values()
        pairs = on_photos(photos, haar, yunet)
        if pairs:
            frame, rise = frame_like(pairs, haar.frame, haar.rise)
            print(
                f"  yunet, to crop as haar's frame {haar.frame:.3f} on {len(pairs)} faces of "
                f"photos: {frame:.3f} and {rise:.3f}"
            )


# --- the cost of a wrong frame ---


def reframe(images: np.ndarray, frame: float, across: float = 0, down: float = 0) -> np.ndarray:
    """Crop images, uint8 (n, 48, 48), with a square `frame` times as large, and resize to 48 × 48.

    The face moves by `across` pixels to the right and by `down` pixels down. Border pixels are
    repeated.
    """
    middle = (SIDE - 1) / 2
    # Maps each pixel of the result to its source (WARP_INVERSE_MAP).
    matrix = np.float32(
        [
            [frame, 0, middle - frame * (middle + across)],
            [0, frame, middle - frame * (middle + down)],
        ]
    )
    options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}
    return np.stack([cv2.warpAffine(image, matrix, (SIDE, SIDE), **options) for image in images])


def accuracy(recognizer: Recognizer, images: np.ndarray, emotion: np.ndarray) -> float:
    """The share of images whose most probable emotion is the label."""
    return float((recognizer.classify(images).argmax(axis=1) == emotion).mean())


def shifts_part(faces: Faces, recognizer: Recognizer) -> None:
    images = np.asarray(faces.images)
    plain = accuracy(recognizer, images, faces.emotion)
    print(f"\n{len(faces)} PublicTest images: accuracy {plain:.2%}; changes below in points")
    for frame in FRAMES:
        score = accuracy(recognizer, reframe(images, frame), faces.emotion)
        print(f"  frame {frame:.1f} {100 * (score - plain):+6.2f}")
    print("  moved by " + "".join(f"{name:>8}" for name in DIRECTIONS))
    for shift in SHIFTS:
        line = f"  {shift} pixels  "
        for across, down in DIRECTIONS.values():
            moved = reframe(images, 1, shift * across, shift * down)
            line += f"{100 * (accuracy(recognizer, moved, faces.emotion) - plain):+8.2f}"
        print(line)


def pasted_part(faces: Faces, recognizer: Recognizer, detectors: dict[str, Detector]) -> None:
    print(f"\n{len(faces)} PublicTest images pasted, detected, cropped and classified: accuracy")
    for name, detector in detectors.items():
        found = [find_pasted(detector, image) for image in faces.images]
        there = np.array([box is not None for box in found])
        if not there.any():
            print(f"  {name:6} found none")
            continue
        images, emotion = np.asarray(faces.images)[there], faces.emotion[there]
        plain = accuracy(recognizer, images, emotion)
        print(f"  {name:6} found {there.mean():.1%}; accuracy of these images {plain:.2%}")
        boxes = [box for box in found if box is not None]
        photos = [paste(image) for image in images]
        for frame in sorted({*FRAMES, detector.frame}):
            crops = [
                crop_face(photo, box, frame, detector.rise)
                for photo, box in zip(photos, boxes, strict=True)
            ]
            own = "  the detector's own" if frame == detector.frame else ""
            score = accuracy(recognizer, np.stack(crops), emotion)
            print(f"    frame {frame:5.3f} {score:7.2%}{own}")


def some(faces: Faces, split: str, count: int) -> Faces:
    """`count` faces of a split, sampled with a fixed seed; all faces if there are fewer."""
    chosen = faces.of(split)
    if count >= len(chosen):
        return chosen
    sample = np.random.default_rng(0).choice(len(chosen), count, replace=False)
    return chosen.select(np.sort(sample))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", type=Path, help="Kaggle's CSV, packed or not")
    source.add_argument("--data", type=Path, help="folder of prepared faces")
    parser.add_argument(
        "--images",
        type=int,
        default=1500,
        help="number of Training images, and of pasted PublicTest images; default: 1500",
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; default: without YuNet")
    parser.add_argument(
        "--photos", type=Path, help="folder of photos on which YuNet's box is compared with Haar's"
    )
    parser.add_argument(
        "--model", type=Path, help="folder of an exported model; default: the released model"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    try:
        faces = (load_faces(given.data) if given.data else read("csv", given.csv)).without_private()
        detectors: dict[str, Detector] = {"haar": HaarDetector()}
        if given.yunet:
            detectors["yunet"] = YuNetDetector(given.yunet)
        print(f"OpenCV {cv2.__version__}; faces from {faces.source}")
        if "boxes" in given.parts:
            boxes_part(some(faces, TRAINING, given.images), detectors, given.photos)
        if {"shifts", "pasted"} & {*given.parts}:
            recognizer = Recognizer(given.model, threads=os.cpu_count())
            print(f"\nmodel {recognizer.card['name']}")
        if "shifts" in given.parts:
            shifts_part(faces.of(PUBLIC), recognizer)
        if "pasted" in given.parts:
            pasted_part(some(faces, PUBLIC, given.images), recognizer, detectors)
    except StudyError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
