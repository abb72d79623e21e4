"""The study's figures, in one style. Each `plot_` function returns a Figure without showing it.

plots.use_style()
plots.save_figure(plots.plot_counts(faces), "reports/figures/explore/counts.pdf")
"""

from fer_utils.plots.calibration import plot_coverage, plot_reliability
from fer_utils.plots.comparisons import plot_pairwise, plot_variants
from fer_utils.plots.data import (
    plot_brightness_and_contrast,
    plot_counts,
    plot_examples,
    plot_mean_faces,
)
from fer_utils.plots.duplicates import plot_duplicates, plot_similarities
from fer_utils.plots.explanation import plot_occlusion_maps, plot_region_shares
from fer_utils.plots.final_model import (
    plot_ablation,
    plot_accuracy_against_cost,
    plot_accuracy_against_training,
    plot_ensemble_path,
)
from fer_utils.plots.interactive import confusion_examples, threshold_slider
from fer_utils.plots.labels import plot_ceilings, plot_label_votes
from fer_utils.plots.mistakes import (
    plot_confusion,
    plot_human_confusions,
    plot_model_agreement,
    plot_predictions,
    plot_solved_by,
)
from fer_utils.plots.networks import plot_network
from fer_utils.plots.robustness import plot_corruption_curves, plot_corruption_strip
from fer_utils.plots.scores import plot_accuracies, plot_scores_by_emotion
from fer_utils.plots.slices import plot_slices
from fer_utils.plots.style import COLOURS, INK, mark, save_figure, use_style
from fer_utils.plots.training import plot_accuracy_by_epoch, plot_learning_curves
from fer_utils.plots.tuning import (
    plot_against_random,
    plot_importance,
    plot_parallel_coordinates,
    plot_retrained,
    plot_trials,
)

__all__ = [
    "COLOURS",
    "INK",
    "confusion_examples",
    "mark",
    "plot_ablation",
    "plot_accuracies",
    "plot_accuracy_against_cost",
    "plot_accuracy_against_training",
    "plot_accuracy_by_epoch",
    "plot_against_random",
    "plot_brightness_and_contrast",
    "plot_ceilings",
    "plot_confusion",
    "plot_corruption_curves",
    "plot_corruption_strip",
    "plot_counts",
    "plot_coverage",
    "plot_duplicates",
    "plot_ensemble_path",
    "plot_examples",
    "plot_human_confusions",
    "plot_importance",
    "plot_label_votes",
    "plot_learning_curves",
    "plot_mean_faces",
    "plot_model_agreement",
    "plot_network",
    "plot_occlusion_maps",
    "plot_pairwise",
    "plot_parallel_coordinates",
    "plot_predictions",
    "plot_region_shares",
    "plot_reliability",
    "plot_retrained",
    "plot_scores_by_emotion",
    "plot_similarities",
    "plot_slices",
    "plot_solved_by",
    "plot_trials",
    "plot_variants",
    "save_figure",
    "threshold_slider",
    "use_style",
]
