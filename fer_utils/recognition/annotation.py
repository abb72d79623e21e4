"""Drawing results: on photos, with bars beside each face, and on the frames of videos."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.found import Box, RecognizedFace
from fer_utils.recognition.images import AnyImage, open_image

_ACCENT = (255, 176, 64, 255)
_INK = (23, 22, 26, 230)
_PALE = (255, 255, 255, 255)
_DIM = (176, 173, 182, 255)
_TRACK = (62, 60, 68, 255)


def annotate(image: AnyImage, faces: list[RecognizedFace]) -> Image.Image:
    """Draw each face's box, label and seven probabilities on a copy of the photo.

    The probabilities are bars. A question mark after the emotion means that it is uncertain. In a
    group, a face has only a label if its bars would hide another face.

    Args:
        image: any input of `recognize`.
        faces: the faces to draw.

    Returns:
        The upright photo, RGB. Its longer side has at least 720 pixels; smaller photos are
        enlarged, because text in a thumbnail is illegible.

    Raises:
        UnreadableImage: the photo cannot be read, as in `recognize`.
    """
    photo = open_image(image)
    enlarged = max(1.0, 720 / max(photo.size))
    if enlarged > 1:
        size = [max(1, round(side * enlarged)) for side in photo.size]
        photo = photo.resize(size, Image.Resampling.LANCZOS)
    boxes = [tuple(enlarged * edge for edge in _edges(face.box)) for face in faces]
    layer = Image.new("RGBA", photo.size)
    draw = ImageDraw.Draw(layer)
    unit = max(photo.size) / 720  # one pixel of a photo 720 pixels long
    for box in boxes:
        _draw_box(draw, box, unit)
    taken = list(boxes)
    for face, box in zip(faces, boxes, strict=True):
        panel = _Panel(face, unit)
        place = panel.place(box, photo.size, taken)
        if len(faces) > 1 and _hidden(place, taken):
            panel = _Panel(face, unit, bars=False)
            place = panel.place(box, photo.size, taken)
        taken.append(place)
        panel.draw(draw, place)
    return Image.alpha_composite(photo.convert("RGBA"), layer).convert("RGB")


def draw_on_frame(frame: np.ndarray, faces: Sequence[RecognizedFace]) -> np.ndarray:
    """Draw each face's box and label on a copy of a frame, uint8 RGB (h, w, 3).

    The label is the emotion and its probability in per cent. A question mark after the emotion
    means that it is uncertain. Drawing takes about a millisecond.
    """
    drawn = np.ascontiguousarray(frame).copy()
    unit = max(max(frame.shape[:2]) / 720, 0.5)
    font, thick, size = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.5 * unit)), 0.6 * unit
    for face in faces:
        x, y, width, height = face.box
        corner = (x + width, y + height)
        cv2.rectangle(drawn, (x, y), corner, _INK[:3], 2 * thick + 1)
        cv2.rectangle(drawn, (x, y), corner, _ACCENT[:3], thick)
        text = f"{_label(face)} {face.probabilities.max():.0%}"
        (text_width, text_height), baseline = cv2.getTextSize(text, font, size, thick)
        card_width, card_height = text_width + 2 * thick, text_height + baseline + 2 * thick
        # The label lies above the face, or below if there is no room, and inside the frame.
        left = min(max(0, x), max(0, frame.shape[1] - card_width))
        below = min(y + height, frame.shape[0] - card_height)
        top = y - card_height if y >= card_height else below
        card_corner = (left + card_width, top + card_height)
        cv2.rectangle(drawn, (left, top), card_corner, _INK[:3], cv2.FILLED)
        start = (left + thick, top + card_height - baseline - thick // 2)
        cv2.putText(drawn, text, start, font, size, _PALE[:3], thick, cv2.LINE_AA)
    return drawn


def _label(face: RecognizedFace) -> str:
    return f"{face.emotion}?" if face.uncertain else face.emotion


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.x + box.width, box.y + box.height


def _overlap(a: tuple, b: tuple) -> float:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _hidden(place: tuple, taken: list[tuple]) -> float:
    return sum(_overlap(place, other) for other in taken)


def _draw_box(draw: ImageDraw.ImageDraw, box: tuple, unit: float) -> None:
    radius = min(8 * unit, (box[2] - box[0]) / 6)
    # A dark line outside the bright one makes the box visible on any background.
    around = (box[0] - unit, box[1] - unit, box[2] + unit, box[3] + unit)
    draw.rounded_rectangle(around, radius + unit, outline=_INK, width=max(2, round(4.5 * unit)))
    draw.rounded_rectangle(box, radius, outline=_ACCENT, width=max(1, round(2.5 * unit)))


class _Panel:
    """A dark card beside a face with its emotion, and with seven bars below if `bars` is true."""

    def __init__(self, face: RecognizedFace, unit: float, bars: bool = True) -> None:
        self.face = face
        self.unit = unit
        self.bars = bars
        self.width = (158 if bars else 118) * unit
        self.height = (38 + 15 * len(EMOTIONS) if bars else 30) * unit

    def place(self, box: tuple, photo: tuple[int, int], taken: list[tuple]) -> tuple:
        """Return the card's rectangle: of eight places around `box`, the one that hides least."""
        gap = 7 * self.unit
        xs = {
            "left": box[0] - gap - self.width,
            "start": box[0],
            "end": box[2] - self.width,
            "right": box[2] + gap,
        }
        ys = {
            "above": box[1] - gap - self.height,
            "top": box[1],
            "low": box[3] - self.height,
            "below": box[3] + gap,
        }
        # Of places that hide equally much, the first one is taken.
        order = (
            ("right", "top"),
            ("left", "top"),
            ("right", "low"),
            ("left", "low"),
            ("start", "below"),
            ("end", "below"),
            ("start", "above"),
            ("end", "above"),
        )
        places = []
        for x, y in order:
            left = min(max(gap, xs[x]), photo[0] - self.width - gap)
            top = min(max(gap, ys[y]), photo[1] - self.height - gap)
            places.append((left, top, left + self.width, top + self.height))
        return min(places, key=lambda place: _hidden(place, taken))

    def draw(self, draw: ImageDraw.ImageDraw, place: tuple) -> None:
        unit, (left, top, right, _) = self.unit, place
        draw.rounded_rectangle(place, 8 * unit, fill=_INK)
        title, text = ImageFont.load_default(15 * unit), ImageFont.load_default(10.5 * unit)
        best = int(self.face.probabilities.argmax())
        inner, edge = left + 11 * unit, right - 11 * unit
        y = top + (17 if self.bars else 15) * unit
        draw.text((inner, y), _label(self.face), fill=_PALE, font=title, anchor="lm")
        draw.text(
            (edge, y), f"{self.face.probabilities[best]:.0%}", fill=_ACCENT, font=title, anchor="rm"
        )
        if not self.bars:
            return
        start = inner + 52 * unit
        for row, (emotion, p) in enumerate(zip(EMOTIONS, self.face.probabilities, strict=True)):
            y = top + (39 + 15 * row) * unit
            draw.text(
                (inner, y), emotion, fill=_PALE if row == best else _DIM, font=text, anchor="lm"
            )
            bar = (start, y - 3 * unit, edge, y + 3 * unit)
            draw.rounded_rectangle(bar, 3 * unit, fill=_TRACK)
            length = float(p) * (edge - start)
            if length >= 1:
                filled = (start, bar[1], start + length, bar[3])
                radius = min(3 * unit, length / 2)
                draw.rounded_rectangle(filled, radius, fill=_ACCENT if row == best else _DIM)
