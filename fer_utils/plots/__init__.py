"""The study's figures, in one style. Each function returns a Figure and shows nothing.

plots.use_style()
plots.keep(plots.counts(faces), "reports/figures/explore/counts.pdf")
"""

from fer_utils.plots.data import brightness_and_contrast, counts, examples, mean_faces, vote_agreement
from fer_utils.plots.mistakes import confusion, predictions
from fer_utils.plots.networks import network
from fer_utils.plots.scores import accuracies, scores_by_emotion
from fer_utils.plots.style import COLOURS, INK, keep, use_style
from fer_utils.plots.training import accuracy_by_epoch, learning_curves, trials

__all__ = [
    "COLOURS",
    "INK",
    "accuracies",
    "accuracy_by_epoch",
    "brightness_and_contrast",
    "confusion",
    "counts",
    "examples",
    "keep",
    "learning_curves",
    "mean_faces",
    "network",
    "predictions",
    "scores_by_emotion",
    "trials",
    "use_style",
    "vote_agreement",
]
