"""The seven emotions and three usages of FER-2013, and their one order.

The order is that of the numbers in Kaggle's CSV. Folder names sort differently (neutral before sad), so
nothing else in the study may spell this order out.
"""

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Emotion names; an emotion's index here is its number in the CSV, uint8."""

USAGES = ("Training", "PublicTest", "PrivateTest")
"""Splits, as Kaggle names them. PublicTest is the validation set: every choice is made on it.
PrivateTest is scored once for a finished model and never steers a choice."""

TRAINING, PUBLIC, PRIVATE = USAGES

CANONICAL_COUNTS = {
    TRAINING: (3995, 436, 4097, 7215, 4830, 3171, 4965),
    PUBLIC: (467, 56, 496, 895, 653, 415, 607),
    PRIVATE: (491, 55, 528, 879, 594, 416, 626),
}
"""Images of each emotion in each usage of the contest's file (Goodfellow et al. 2013, arXiv 1307.0414)."""

SIDE = 48
"""Height and width of a face, in pixels."""
