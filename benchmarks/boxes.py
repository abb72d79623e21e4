"""Which boxes of a detector lie on which faces, whose places are known."""

from collections.abc import Sequence

from fer_utils.recognition.found import Box


def lies_on(box: Box, face: Box) -> bool:
    """Whether a detector's box lies on a face.

    The box's centre is in the middle half of the face, across and down, and its longer side is
    between half and twice the face's. Detectors draw boxes of different shapes around the same
    face, so the intersection over the union would measure the shape, too.
    """
    across = abs(box.x + box.width / 2 - face.x - face.width / 2)
    down = abs(box.y + box.height / 2 - face.y - face.height / 2)
    ratio = max(box.width, box.height) / max(face.width, face.height)
    return across <= face.width / 4 and down <= face.height / 4 and 0.5 <= ratio <= 2


def match(boxes: Sequence[Box], faces: Sequence[Box]) -> dict[int, int]:
    """Return the index of the box that lies on each face, by the index of the face.

    Each box counts for one face. Faces on which no box lies are absent.
    """
    left, found = list(range(len(boxes))), {}
    for index, face in enumerate(faces):
        on = next((number for number in left if lies_on(boxes[number], face)), None)
        if on is not None:
            left.remove(on)
            found[index] = on
    return found
