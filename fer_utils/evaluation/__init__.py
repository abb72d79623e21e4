"""What saved logits say: scores with their intervals, and models held against each other."""

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
from fer_utils.evaluation.resampling import RESAMPLES
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
    "macro_f1",
    "mcnemar",
    "mean_prediction",
    "paired_bootstrap",
    "paired_scores",
    "pairs_finding",
    "per_emotion",
    "probabilities",
    "score_table",
    "seed_summary",
    "split_scores",
]
