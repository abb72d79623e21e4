"""What saved logits say: scores with their intervals, and models held against each other."""

from fer_utils.evaluation.comparisons import McNemar, mcnemar, paired_bootstrap
from fer_utils.evaluation.intervals import RESAMPLES, accuracy_interval, bootstrap_interval, split_scores
from fer_utils.evaluation.scores import (
    SeedSummary,
    accuracy,
    averaged,
    confident_mistakes,
    confusion,
    cross_entropy,
    most_confused,
    per_emotion,
    probabilities,
    seed_summary,
)

__all__ = [
    "RESAMPLES",
    "McNemar",
    "SeedSummary",
    "accuracy",
    "accuracy_interval",
    "averaged",
    "bootstrap_interval",
    "confident_mistakes",
    "confusion",
    "cross_entropy",
    "mcnemar",
    "most_confused",
    "paired_bootstrap",
    "per_emotion",
    "probabilities",
    "seed_summary",
    "split_scores",
]
