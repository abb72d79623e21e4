"""The study's figures, in one style. Each function returns a Figure and shows nothing.

plots.use_style()
plots.keep(plots.counts(faces), "reports/figures/explore/counts.pdf")
"""

from fer_utils.plots.calibration import coverage, reliability
from fer_utils.plots.comparisons import pairwise, side_by_side
from fer_utils.plots.data import brightness_and_contrast, counts, examples, mean_faces
from fer_utils.plots.duplicates import duplicates_matrix, similarities
from fer_utils.plots.explanation import importance_maps, region_shares
from fer_utils.plots.final_model import ablation, accuracy_against_cost, ensemble_path
from fer_utils.plots.labels import ceilings, label_votes
from fer_utils.plots.mistakes import (
    confusion,
    confusions_of_people,
    model_agreement,
    predictions,
    solved_by,
)
from fer_utils.plots.networks import network
from fer_utils.plots.robustness import corruption_curves, corruption_strip
from fer_utils.plots.scores import accuracies, scores_by_emotion
from fer_utils.plots.slices import slices
from fer_utils.plots.style import COLOURS, INK, keep, use_style
from fer_utils.plots.training import accuracy_by_epoch, learning_curves
from fer_utils.plots.tuning import (
    against_random,
    importance,
    parallel_coordinates,
    retrained,
    trials,
)

__all__ = [
    "COLOURS",
    "INK",
    "ablation",
    "accuracies",
    "accuracy_against_cost",
    "accuracy_by_epoch",
    "against_random",
    "brightness_and_contrast",
    "ceilings",
    "confusion",
    "confusions_of_people",
    "corruption_curves",
    "corruption_strip",
    "counts",
    "coverage",
    "duplicates_matrix",
    "ensemble_path",
    "examples",
    "importance",
    "importance_maps",
    "keep",
    "label_votes",
    "learning_curves",
    "mean_faces",
    "model_agreement",
    "network",
    "pairwise",
    "parallel_coordinates",
    "predictions",
    "region_shares",
    "reliability",
    "retrained",
    "scores_by_emotion",
    "side_by_side",
    "similarities",
    "slices",
    "solved_by",
    "trials",
    "use_style",
]
