"""Hyperparameter search: spaces over plain recipes, the search, its ledger, its distribution, and retraining.

ledger = search(SearchSpace(dropout=(0.1, 0.5)), recipe, faces.without_private(), oracle="random", trials=6, ...)
"""

from fer_utils.tuning.importance import importance, importance_finding
from fer_utils.tuning.ledger import (
    against_random,
    best_so_far,
    curves,
    random_best_so_far,
    search_finding,
)
from fer_utils.tuning.oracles import ORACLES, planned_epochs
from fer_utils.tuning.retraining import contenders, retrain, retrained_table, retraining_finding
from fer_utils.tuning.search import random_at_equal_compute, search
from fer_utils.tuning.spaces import AUGMENTATION, SearchSpace

__all__ = [
    "AUGMENTATION",
    "ORACLES",
    "SearchSpace",
    "against_random",
    "best_so_far",
    "contenders",
    "curves",
    "importance",
    "importance_finding",
    "planned_epochs",
    "random_at_equal_compute",
    "random_best_so_far",
    "retrain",
    "retrained_table",
    "retraining_finding",
    "search",
    "search_finding",
]
