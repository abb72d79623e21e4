"""Facial action units: the prototypes of the emotions, and the units that can be drawn."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

ACTION_UNITS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "angry": (4, 5, 7, 23),
        "disgust": (9, 15, 16),
        "fear": (1, 2, 4, 5, 20, 26),
        "happy": (6, 12),
        "sad": (1, 4, 15),
        "surprise": (1, 2, 5, 26),
        "neutral": (),
    }
)
"""The action units of each emotion's prototype, one combination of EMFACS per emotion (Friesen &
Ekman 1983). The numbers are those of the Facial Action Coding System (Ekman & Friesen 1978).

1 inner brow raiser, 2 outer brow raiser, 4 brow lowerer, 5 upper lid raiser, 6 cheek raiser, 7 lid
tightener, 9 nose wrinkler, 12 lip corner puller, 15 lip corner depressor, 16 lower lip depressor,
20 lip stretcher, 23 lip tightener, 26 jaw drop. `draw_face` also draws 17 (chin raiser), 25 (lips
part) and 43 (eyes closed).
"""

DRAWABLE = (1, 2, 4, 5, 6, 7, 9, 12, 15, 16, 17, 20, 23, 25, 26, 43)
"""The action units that change a drawn face."""


def both_sides(units: Mapping[int, float]) -> np.ndarray:
    """Equal intensities for both sides of the face, float64 (2, 44).

    The rows are the left and right of the picture. The columns are numbers of action units.
    """
    sides = np.zeros((2, DRAWABLE[-1] + 1))
    for unit, intensity in units.items():
        sides[:, unit] = intensity
    return sides
