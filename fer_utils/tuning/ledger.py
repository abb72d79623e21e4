"""The ledger of a search: a row a trial, and how good the search was against its compute."""

import json

import numpy as np
import pandas as pd

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
"""A ledger's columns after trial, status and the hyperparameters."""


def make_ledger(rows: list[dict], names: tuple[str, ...]) -> pd.DataFrame:
    """The ledger, best first.

    Args:
        rows: trial (from 1), each of `names`, seed, and what `trials.known` gives.
        names: the hyperparameters.

    Returns:
        Columns trial, status ("completed", "failed" or "running"), the hyperparameters (NaN or None where one means
        nothing beside the others), parameters, val_accuracy (PublicTest, of the epoch kept: where that is the best
        one, it flatters twice), epoch_kept,
        epochs (trained), seconds (of its training), seed, curve (PublicTest accuracy by epoch, JSON), run (its
        folder's name), problem (why it failed, else empty).
    """
    table = pd.DataFrame(rows, columns=["trial", "status", *names, *COLUMNS])
    table["curve"] = [json.dumps(curve) for curve in table["curve"]]
    for column in ("parameters", "epoch_kept", "val_accuracy"):
        table[column] = pd.to_numeric(table[column])
    table = table.sort_values("trial", ignore_index=True)
    return table.sort_values("val_accuracy", ascending=False, kind="stable", ignore_index=True)


def curves(ledger: pd.DataFrame) -> pd.DataFrame:
    """PublicTest accuracy of every trial by epoch: columns trial, epoch (from 1), val_accuracy."""
    rows = [
        (trial, epoch, value)
        for trial, curve in zip(ledger["trial"], ledger["curve"], strict=True)
        for epoch, value in enumerate(json.loads(curve), 1)
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "val_accuracy"]).sort_values(
        ["trial", "epoch"], ignore_index=True
    )


def best_so_far(ledger: pd.DataFrame) -> pd.DataFrame:
    """The best score after each trial, in their order, failed ones included: they cost compute too.

    Returns:
        Columns trial, epochs (trained so far, all trials together), seconds (the same), best (NaN until a trial has
        worked).
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


def random_best_so_far(ledger: pd.DataFrame, level: float = 0.9) -> pd.DataFrame:
    """What the best of so many random trials is, on average and at its extremes (Dodge et al. 2019, arXiv 1909.03004).

    The best of k independent trials is at most x with probability F(x)^k, where F is how the scores of a random
    search are distributed; its trials stand for F. So it says nothing of scores that none of them reached.

    Args:
        ledger: of a random search, all of whose trials have the same epochs.
        level: probability that the best lies from low to high, 0 to 1.

    Returns:
        Columns trials (1 to n), epochs (mean of what so many trials cost), mean, low, high. A failed trial counts as
        a score of 0.
    """
    scores = np.sort(ledger["val_accuracy"].fillna(0).to_numpy(np.float64))
    k = np.arange(1, len(scores) + 1)
    at_most = (k / len(scores)) ** k[:, None]  # (number of trials, score)
    low, high = (
        scores[(at_most < share - 1e-12).sum(axis=1)]
        for share in ((1 - level) / 2, (1 + level) / 2)
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


def against_random(ledger: pd.DataFrame, random: pd.DataFrame, level: float = 0.9) -> pd.DataFrame:
    """A search beside a random search at equal compute, in epochs.

    Args:
        ledger: the search's.
        random: a random search's in the same space; `search.random_at_equal_compute` makes it.
        level: as in `random_best_so_far`.

    Returns:
        The search's `best_so_far`, and at each of its rows random_mean, random_low and random_high: of as many whole
        random trials as have no more epochs; NaN before the first.
    """
    ours, theirs = best_so_far(ledger), random_best_so_far(random, level)
    at = (
        np.searchsorted(theirs["epochs"].to_numpy(), ours["epochs"].to_numpy() + 1e-9, side="right")
        - 1
    )
    for column in ("mean", "low", "high"):
        ours[f"random_{column}"] = np.where(
            at >= 0, theirs[column].to_numpy()[np.maximum(at, 0)], np.nan
        )
    return ours


def search_finding(table: pd.DataFrame) -> str:
    """What `against_random` says at the end, in a sentence."""
    last = table.iloc[-1]
    where = "within what random searches of this length reach"
    if last["best"] > last["random_high"]:
        where = "above what nearly all random searches of this length reach"
    elif last["best"] < last["random_low"]:
        where = "below what nearly all random searches of this length reach"
    return (
        f"After {last['epochs']:,.0f} epochs the search's best is {last['best']:.2%}; random search would have "
        f"{last['random_mean']:.2%} on average, and {last['random_low']:.2%} to {last['random_high']:.2%} in nine of "
        f"ten cases. So the search is {where}."
    )
