"""Scores of saved logits with their intervals, and comparisons of models."""

from fer_utils.evaluation.comparisons import (
    McNemar,
    compare_all,
    mcnemar,
    paired_bootstrap,
    paired_scores,
    pairs_finding,
)
from fer_utils.evaluation.intervals import (
    accuracy_interval,
    bootstrap_interval,
    per_emotion,
    score_table,
    split_scores,
)
from fer_utils.evaluation.resampling import RESAMPLES, draw_counts, percentile_interval
from fer_utils.evaluation.scores import (
    SeedSummary,
    accuracy,
    balanced_accuracy,
    cross_entropy,
    macro_f1,
    mean_prediction,
    probabilities,
    seed_summary,
)

__all__ = [
    "RESAMPLES",
    "McNemar",
    "SeedSummary",
    "accuracy",
    "accuracy_interval",
    "balanced_accuracy",
    "bootstrap_interval",
    "compare_all",
    "cross_entropy",
    "draw_counts",
    "macro_f1",
    "mcnemar",
    "mean_prediction",
    "paired_bootstrap",
    "paired_scores",
    "pairs_finding",
    "per_emotion",
    "percentile_interval",
    "probabilities",
    "score_table",
    "seed_summary",
    "split_scores",
]
