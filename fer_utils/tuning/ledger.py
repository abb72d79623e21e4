"""Ledger of a search, one row per trial, and comparison with random search at equal compute."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.errors import StudyError
from fer_utils.evaluation.wording import number, percent

COLUMNS = (
    "parameters",
    "val_accuracy",
    "epoch_kept",
    "epochs",
    "seconds",
    "seed",
    "curve",
    "run",
    "problem",
)
"""Columns of a ledger after trial, status and the hyperparameters."""

LEVEL = 0.9
"""Probability that the best score of a random search lies in its interval."""


def make_ledger(rows: list[dict], names: tuple[str, ...]) -> pd.DataFrame:
    """Create a ledger, best trial first.

    Args:
        rows: per trial, its number (from 1), each of `names`, its seed, and the outcome as
            returned by `trials.recorded_outcome`.
        names: the hyperparameters.

    Returns:
        Columns

        - trial, status ("completed", "failed" or "running").
        - the hyperparameters: NaN or None if one does not apply to the trial.
        - parameters.
        - val_accuracy: PublicTest accuracy of the kept epoch. It overestimates twice if that is
          the best epoch, since the search selects trials by it too.
        - epoch_kept, epochs (trained), seconds (of training), seed.
        - curve: PublicTest accuracy by epoch, as JSON.
        - run: name of the run's folder.
        - problem: reason of a failure, else empty.
    """
    table = pd.DataFrame(rows, columns=["trial", "status", *names, *COLUMNS])
    table["curve"] = [json.dumps(curve) for curve in table["curve"]]
    for column in ("parameters", "epoch_kept", "val_accuracy"):
        table[column] = pd.to_numeric(table[column])
    table = table.sort_values("trial", ignore_index=True)
    return table.sort_values("val_accuracy", ascending=False, kind="stable", ignore_index=True)


def read_ledger(file: Path) -> pd.DataFrame:
    """Read a committed ledger, in the form of `make_ledger`.

    Raises:
        StudyError: the file is missing or no ledger.
    """
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as problem:
        raise StudyError(
            f"{file}: expected the ledger of a search, found {problem}. Restore the committed file."
        ) from None
    if missing := {"trial", "status", *COLUMNS} - set(table.columns):
        raise StudyError(
            f"{file}: expected the ledger of a search, found no column "
            f"{', '.join(sorted(missing))}. Restore the committed file."
        )
    return table.assign(problem=table["problem"].fillna(""))


def best_so_far(ledger: pd.DataFrame) -> pd.DataFrame:
    """Compute the best score after each trial, in order; failed trials count as compute.

    Returns:
        Columns trial, epochs (cumulative over trials), seconds (the same), best (NaN until a trial
        has completed).
    """
    ordered = ledger.sort_values("trial")
    return pd.DataFrame(
        {
            "trial": ordered["trial"],
            "epochs": ordered["epochs"].cumsum(),
            "seconds": ordered["seconds"].cumsum().round(1),
            "best": ordered["val_accuracy"].cummax().ffill(),
        }
    ).reset_index(drop=True)


def random_best_so_far(ledger: pd.DataFrame) -> pd.DataFrame:
    """Compute the distribution of the best of k random trials (Dodge et al. 2019).

    arXiv 1909.03004: the best of k independent trials is at most x with probability F(x)^k, where F
    is the distribution of the scores of a random search. F is estimated by the scores of this
    random search, so the result cannot exceed their maximum.

    Args:
        ledger: of a random search whose trials all have the same number of epochs.

    Returns:
        Columns trials (k, from 1 to n), epochs (mean cost of k trials), mean, low and high: the
        best lies between low and high with probability `LEVEL`. A failed trial counts as a score
        of 0.
    """
    scores = np.sort(ledger["val_accuracy"].fillna(0).to_numpy(np.float64))
    k = np.arange(1, len(scores) + 1)
    # Probability that the best of k trials (rows) is at most each score (columns).
    at_most = (k / len(scores)) ** k[:, None]
    low, high = (
        scores[(at_most < share - 1e-12).sum(axis=1)]
        for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    )
    return pd.DataFrame(
        {
            "trials": k,
            "epochs": k * float(ledger["epochs"].mean()),
            "mean": np.diff(at_most, prepend=0) @ scores,
            "low": low,
            "high": high,
        }
    )


def against_random(ledger: pd.DataFrame, random: pd.DataFrame) -> pd.DataFrame:
    """Compare a search with a random search at equal compute, measured in epochs.

    Args:
        ledger: of the search.
        random: of a random search in the same space, by `search.random_at_equal_compute`.

    Returns:
        The search's `best_so_far`, and in each row random_mean, random_low and random_high of as
        many whole random trials as fit into the same number of epochs; NaN before the first.
    """
    ours, theirs = best_so_far(ledger), random_best_so_far(random)
    # Index of the last row of the random search with no more epochs; -1 if there is none.
    last = np.searchsorted(
        theirs["epochs"].to_numpy(), ours["epochs"].to_numpy() + 1e-9, side="right"
    )
    last = last - 1
    for column in ("mean", "low", "high"):
        values = theirs[column].to_numpy()[np.maximum(last, 0)]
        ours[f"random_{column}"] = np.where(last >= 0, values, np.nan)
    return ours


def search_finding(table: pd.DataFrame) -> str:
    """Summarise the last row of `against_random` in a few sentences."""
    last = table.iloc[-1]
    position = "inside"
    if last["best"] > last["random_high"]:
        position = "above"
    elif last["best"] < last["random_low"]:
        position = "below"
    low, high = number(100 * last["random_low"]), number(100 * last["random_high"])
    return (
        f"After {last['epochs']:,.0f} epochs, the best trial of the search has a PublicTest "
        f"accuracy of {percent(last['best'])}. The best trial of a random search of this length "
        f"has {percent(last['random_mean'])} on average ({100 * LEVEL:.0f} % interval {low} to "
        f"{high}). The search is {position} this interval."
    )
