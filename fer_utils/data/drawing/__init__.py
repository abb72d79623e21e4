"""Drawn faces: action units move the geometry of a random face, which is painted and lit.

units: action units and the prototypes of the emotions.
geometry, canvas: shapes as points, and the canvas that they are painted on.
person: random people.
head, features, hair: the parts of a face.
light, rendering: the light, and the whole picture.
objects: pictures without a face.
"""

from fer_utils.data.drawing.canvas import to_bytes
from fer_utils.data.drawing.objects import draw_object
from fer_utils.data.drawing.person import random_person
from fer_utils.data.drawing.rendering import check_whole, draw_face, render
from fer_utils.data.drawing.units import ACTION_UNITS, DRAWABLE, both_sides

__all__ = [
    "ACTION_UNITS",
    "DRAWABLE",
    "both_sides",
    "check_whole",
    "draw_face",
    "draw_object",
    "random_person",
    "render",
    "to_bytes",
]
