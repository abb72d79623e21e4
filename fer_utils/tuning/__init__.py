"""Hyperparameter search: search spaces over recipes, the search, its ledger, and retraining.

space = SearchSpace(dropout=(0.1, 0.5))
ledger = search(space, recipe, faces.without_private(), oracle="random", trials=6, ...)
"""

from fer_utils.tuning.importance import importance, importance_finding
from fer_utils.tuning.ledger import against_random, read_ledger, search_finding
from fer_utils.tuning.retraining import contenders, retrain, retrained_table, retraining_finding
from fer_utils.tuning.search import random_at_equal_compute, search
from fer_utils.tuning.spaces import SearchSpace

__all__ = [
    "SearchSpace",
    "against_random",
    "contenders",
    "importance",
    "importance_finding",
    "random_at_equal_compute",
    "read_ledger",
    "retrain",
    "retrained_table",
    "retraining_finding",
    "search",
    "search_finding",
]
