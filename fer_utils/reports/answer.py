"""The answer to "how accurate is it?" from the committed results on FER-2013."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fer_utils.errors import StudyError
from fer_utils.evaluation.published import TABLE, read_results

ENDS = ("accuracy", "low", "high", "spread")


class Answer(NamedTuple):
    """The PrivateTest accuracy of a model, as fractions in [0, 1].

    Attributes:
        model: its name.
        tta: its kind of test-time augmentation, or "".
        seeds: of the mean: "1, 2, 3".
        accuracy, low, high: mean over seeds with its 95 % interval.
        spread: standard deviation between seeds; None if there is one seed.
        unleaked, unleaked_low, unleaked_high, unleaked_spread: the same without the images that
            have an exact duplicate in Training.
    """

    model: str
    tta: str
    seeds: str
    accuracy: float | None
    low: float | None
    high: float | None
    spread: float | None
    unleaked: float | None
    unleaked_low: float | None
    unleaked_high: float | None
    unleaked_spread: float | None


def answers(evidence: Path) -> tuple[Answer | None, Answer | None]:
    """The best single network and the best ensemble. PublicTest decides which.

    Only single networks with the most seeds of all compete: the best of many networks with few
    seeds would be a lucky one.

    Args:
        evidence: the folder of results.csv.

    Returns:
        None where the table has no such row.

    Raises:
        StudyError: the table lacks a column.
    """
    results = read_results(evidence)
    if results.empty:
        return None, None
    try:
        joint = results["model"].str.startswith("ensemble")
        single = results[~joint]
        seeds = single["seeds"].astype(str).str.count(",")
        return _best(single[seeds == seeds.max()]), _best(results[joint])
    except KeyError as problem:
        raise StudyError(
            f"{evidence / TABLE}: expected a table written by `fer-study results`, found no column "
            f"{problem}. Restore the committed file."
        ) from None


def _best(results: pd.DataFrame) -> Answer | None:
    if results.empty:
        return None
    row = results.loc[results["public_accuracy"].idxmax()]
    private, unleaked = (
        [None if pd.isna(row[f"{key}_{end}"]) else float(row[f"{key}_{end}"]) for end in ENDS]
        for key in ("private", "unleaked")
    )
    return Answer(row["model"], row["tta"], str(row["seeds"]), *private, *unleaked)
