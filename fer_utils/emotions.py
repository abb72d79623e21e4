"""The seven emotions and three splits of FER-2013, in their order.

The order is that of the numbers in Kaggle's CSV. Folder names sort differently (neutral before
sad), so all code takes the order from here.
"""

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Emotion names; the index is the number in the CSV, uint8."""

USAGES = ("Training", "PublicTest", "PrivateTest")
"""The splits, as the CSV's column Usage names them. PublicTest is the validation set, on which
every choice is made. PrivateTest is scored once for a finished model, and informs no choice."""

TRAINING, PUBLIC, PRIVATE = USAGES

CANONICAL_COUNTS = {
    TRAINING: (3995, 436, 4097, 7215, 4830, 3171, 4965),
    PUBLIC: (467, 56, 496, 895, 653, 415, 607),
    PRIVATE: (491, 55, 528, 879, 594, 416, 626),
}
"""Images of each emotion in each split of the contest (Goodfellow et al. 2013, arXiv 1307.0414)."""

SIDE = 48
"""Height and width of a face, in pixels."""
