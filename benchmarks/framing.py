"""How FER-2013 frames faces, for each detector, and what a wrong frame costs.

    python benchmarks/framing.py --csv fer2013.csv.gz [--yunet yunet_n_640_640.onnx] [--photos
    FOLDER] python benchmarks/framing.py --data data/prepared --parts boxes

Training and PublicTest are used, PrivateTest is not. Three parts:

boxes: where each detector finds the face in --images Training images, enlarged three times on a
blurred border half
    the image wide: its box's middle and sides in FER-2013's pixels, and the square (frame and rise,
    as detectors have them) that would give the image back. An image of FER-2013 ends at chin and
    forehead, and a detector that goes by the whole head (YuNet) draws a smaller box there than on a
    photo. Hence, with --photos, a second way for it: on photos where both detectors find a face,
    the square that Haar's frame cuts, in terms of the other's box.
shifts: PublicTest accuracy of the model when each image is framed anew, wider or closer, or moved,
the border repeated.
pasted: --images PublicTest images, each enlarged on a blurred border as above, detected, cut with
`crop_face` at
    several frames and classified: accuracy where the detector found the face, beside that of the
    images themselves.
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
from fer_utils.recognition.detectors import Detector, HaarDetector, YuNetDetector, find_faces
from fer_utils.recognition.found import Box
from fer_utils.recognition.images import open_image
from fer_utils.recognition.recognizer import Recognizer, crop_face

PARTS = ("boxes", "shifts", "pasted")
ENLARGED = 3
BORDER = SIDE // 2  # pixels of FER-2013 on each side
FRAMES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)
SHIFTS = (1, 2, 3, 4, 5, 6)  # pixels of FER-2013
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


# --- where detectors find the faces ---


def paste(image: np.ndarray) -> np.ndarray:
    """A grey image (48, 48) enlarged, on a border that goes on from its own, blurred: uint8 RGB
    (288, 288, 3)."""
    large = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    border = BORDER * ENLARGED
    canvas = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 4 * ENLARGED)
    canvas[border:-border, border:-border] = large
    return cv2.cvtColor(canvas, cv2.COLOR_GRAY2RGB)


def find_pasted(detector: Detector, image: np.ndarray) -> Box | None:
    """The box nearest the middle of the pasted image, or None where there is none within a quarter
    of its side."""
    canvas = paste(image)
    middle, reach = canvas.shape[0] / 2, SIDE * ENLARGED / 4
    near = [
        (max(abs(x + width / 2 - middle), abs(y + height / 2 - middle)), Box(x, y, width, height))
        for (x, y, width, height), _ in detector.detect(canvas)
    ]
    distance, box = min(near, default=(reach + 1, None))
    return box if distance <= reach else None


def in_face_pixels(box: Box) -> tuple[float, float, float, float]:
    """A pasted image's box in FER-2013's pixels: its middle right of and below the image's, its
    width and height."""
    middle = BORDER + SIDE / 2
    return (
        (box.x + box.width / 2) / ENLARGED - middle,
        (box.y + box.height / 2) / ENLARGED - middle,
        box.width / ENLARGED,
        box.height / ENLARGED,
    )


def frame_of(boxes: np.ndarray) -> tuple[float, float]:
    """Frame and rise that give FER-2013's square back from boxes (n, 4) as `in_face_pixels` has
    them, by medians."""
    side = np.median(boxes[:, 2:].max(axis=1))
    return float(SIDE / side), float(np.median(boxes[:, 1]) / SIDE)


def frame_like(boxes: Iterable[tuple[Box, Box]], frame: float, rise: float) -> tuple[float, float]:
    """Frame and rise that cut from each pair's second box the square that `frame` and `rise` cut
    from the first."""
    frames, rises = [], []
    for one, other in boxes:
        side = frame * max(one.width, one.height)
        middle = one.y + one.height / 2 - rise * side
        frames.append(side / max(other.width, other.height))
        rises.append((other.y + other.height / 2 - middle) / side)
    return float(np.median(frames)), float(np.median(rises))


def same_faces(ones: list[Box], others: list[Box]) -> list[tuple[Box, Box]]:
    """Pairs of boxes of two detectors whose middles lie within a quarter of the first's side of
    each other."""

    def apart(a: Box, b: Box) -> float:
        across = a.x + a.width / 2 - b.x - b.width / 2
        along = a.y + a.height / 2 - b.y - b.height / 2
        return max(abs(across), abs(along)) / max(a.width, a.height)

    return [(a, b) for a in ones for b in others if apart(a, b) < 0.25]


def on_photos(folder: Path, detectors: Iterable[Detector]) -> list[tuple[Box, Box]]:
    """Pairs of the two detectors' boxes of the same face, of all photos in the folder."""
    pairs = []
    for file in sorted(
        path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    ):
        photo = np.asarray(open_image(file))
        pairs += same_faces(
            *([box for box, _ in find_faces(photo, detector)] for detector in detectors)
        )
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
        for label, column in zip(
            ("middle, right", "middle, below", "width", "height"), boxes.T, strict=True
        ):
            low, median, high = np.percentile(column, (25, 50, 75))
            print(f"    {label:14} {median:6.2f} ({low:.2f} to {high:.2f})")
        print(
            "    so frame {:.3f} and rise {:.3f}; the detector has {:.3f} and {:.3f}".format(
                *frame_of(boxes), detector.frame, detector.rise
            )
        )
    if photos and len(detectors) == 2:
        haar, yunet = detectors.values()
        pairs = on_photos(photos, (haar, yunet))
        if pairs:
            frame, rise = frame_like(pairs, haar.frame, haar.rise)
            print(
                f"  yunet, as haar's {haar.frame:.3f} on {len(pairs)} faces of photos: {frame:.3f} "
                f"and {rise:.3f}"
            )


# --- what a wrong frame costs ---


def reframe(images: np.ndarray, frame: float, across: float = 0, down: float = 0) -> np.ndarray:
    """Images uint8 (n, 48, 48) as a square `frame` times as large would show them, moved by so many
    of its pixels.

    The face moves against the square: to the right and down by the amounts given. The border's
    pixels are repeated.
    """
    middle = (SIDE - 1) / 2
    # Where each pixel of the result comes from (WARP_INVERSE_MAP).
    matrix = np.float32(
        [
            [frame, 0, middle - frame * (middle + across)],
            [0, frame, middle - frame * (middle + down)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack(
        [
            cv2.warpAffine(
                image, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            for image in images
        ]
    )


def accuracy(recognizer: Recognizer, images: np.ndarray, emotion: np.ndarray) -> float:
    """Share of images whose most probable emotion is the label."""
    return float((recognizer.classify(images).argmax(axis=1) == emotion).mean())


def shifts_part(faces: Faces, recognizer: Recognizer) -> None:
    images, plain = (
        np.asarray(faces.images),
        accuracy(recognizer, np.asarray(faces.images), faces.emotion),
    )
    print(
        f"\n{len(faces)} PublicTest images as they are: accuracy {plain:.2%}; framed anew, points "
        "of difference"
    )
    for frame in FRAMES:
        score = accuracy(recognizer, reframe(images, frame), faces.emotion)
        print(f"  frame {frame:.1f} {100 * (score - plain):+6.2f}")
    print("  moved by " + "".join(f"{name:>8}" for name in DIRECTIONS))
    for shift in SHIFTS:
        scores = [
            accuracy(recognizer, reframe(images, 1, shift * across, shift * down), faces.emotion)
            for across, down in DIRECTIONS.values()
        ]
        print(f"  {shift} pixels  " + "".join(f"{100 * (score - plain):+8.2f}" for score in scores))


def pasted_part(faces: Faces, recognizer: Recognizer, detectors: dict[str, Detector]) -> None:
    print(f"\n{len(faces)} PublicTest images pasted, found, cut and classified: accuracy")
    for name, detector in detectors.items():
        found = [find_pasted(detector, image) for image in faces.images]
        there = np.array([box is not None for box in found])
        if not there.any():
            print(f"  {name:6} found none")
            continue
        emotion = faces.emotion[there]
        plain = accuracy(recognizer, np.asarray(faces.images)[there], emotion)
        print(f"  {name:6} found {there.mean():.1%}; of these, the images themselves {plain:.2%}")
        boxes = [
            (paste(image), box)
            for image, box in zip(faces.images, found, strict=True)
            if box is not None
        ]
        for frame in sorted({*FRAMES, detector.frame}):
            crops = np.stack([crop_face(photo, box, frame, detector.rise) for photo, box in boxes])
            own = "  the detector's own" if frame == detector.frame else ""
            print(f"    frame {frame:5.3f} {accuracy(recognizer, crops, emotion):7.2%}{own}")


def some(faces: Faces, usage: str, count: int) -> Faces:
    """So many faces of a usage, drawn by a fixed seed; all where there are fewer."""
    chosen = faces.of(usage)
    if count >= len(chosen):
        return chosen
    return chosen.select(
        np.sort(np.random.default_rng(0).choice(len(chosen), count, replace=False))
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", type=Path, help="Kaggle's fer2013.csv, or a packing of it")
    source.add_argument("--data", type=Path, help="folder of prepared faces")
    parser.add_argument(
        "--images", type=int, default=1500, help="Training, and pasted PublicTest (default: 1500)"
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file (default: without YuNet)")
    parser.add_argument(
        "--photos", type=Path, help="folder of photos on which YuNet's box is compared with Haar's"
    )
    parser.add_argument(
        "--model", type=Path, help="folder of an exported model (default: the released one)"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    try:
        faces = (load_faces(given.data) if given.data else read("csv", given.csv)).without_private()
        detectors = {"haar": HaarDetector()} | (
            {"yunet": YuNetDetector(given.yunet)} if given.yunet else {}
        )
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
