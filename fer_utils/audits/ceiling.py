"""What a perfect model could score against the labels as they are, estimated in ways that err
differently.

A model that always sees the emotion is still marked wrong where the label is. How often that is
nobody knows of real faces, so several estimates stand side by side, each with what it leaves out,
and people's accuracy beside them.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from fer_utils.audits.confident import Noise
from fer_utils.audits.duplicates import duplicate_groups
from fer_utils.audits.labels import majority, vote_shares
from fer_utils.audits.pictures import near_constant
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import accuracy_interval
from fer_utils.evaluation.published import PUBLISHED


def oracle_credit(faces: Faces) -> np.ndarray:
    """How often a model that answers as FER+'s taggers mostly do has each label, float64 (n,), 0 to
    1.

    It answers the most voted of the seven emotions, even where contempt, unknown or not a face has
    more votes; among k equally voted ones it guesses, and has the label with probability 1 / k (all
    seven where none has a vote).

    Raises:
        StudyError: the faces carry no votes.
    """
    shares = vote_shares(faces)
    top = shares == shares.max(axis=1, keepdims=True)
    return top[np.arange(len(faces)), faces.emotion] / top.sum(axis=1)


def duplicates_agreement(faces: Faces) -> np.ndarray:
    """How often two copies of a picture have the same label, by picture that has copies, float64
    (groups,).

    Copies are equal in every pixel; near-constant images, which show nothing to label, are left
    out. A group of k copies counts once: the share of its k (k - 1) / 2 pairs whose labels are
    equal.
    """
    kept = ~near_constant(faces)
    groups, emotion = duplicate_groups(faces.images[kept]), faces.emotion[kept]
    counts = np.zeros((groups.max(initial=-1) + 1, len(EMOTIONS)))
    np.add.at(counts, (groups, emotion), 1)
    sizes = counts.sum(axis=1)
    counts, sizes = counts[sizes > 1], sizes[sizes > 1]
    return (counts * (counts - 1)).sum(axis=1) / (sizes * (sizes - 1))


def ceiling(faces: Faces, noise: Mapping[str, Noise] | None = None) -> pd.DataFrame:
    """Estimates of the best possible accuracy against these labels, with people's beside them.

    Args:
        faces: of all usages, as the question is about the data; votes and truth are used where they
            are.
        noise: confident learning's estimates, by the name of the classifier.

    Returns:
        A row an estimate: estimate (its name); kind ("truth", "estimate" or "people"); value, low
        and high (shares, 0 to 1, with a 95 % interval of the sampling of images, NaN where the
        value is a count and no estimate; people's as published); images (Int64; pictures with
        copies for the one from copies; missing for people); meaning (what it says and what it
        leaves out).
    """
    rows = []
    if faces.truth is not None:
        rows.append(_from_truth(faces, faces.truth))
    if faces.votes is not None:
        credit, decided = oracle_credit(faces), majority(faces) >= 0
        tagger = vote_shares(faces)[np.arange(len(faces)), faces.emotion]
        rows += [
            _row(
                "FER+ majority",
                credit,
                accuracy_interval(credit.mean(), len(credit)),
                "always answers what most of ten taggers see; wrong where they are, and too low "
                "where they look for "
                "other signs than FER-2013's labels were given for",
            ),
            _row(
                "one FER+ tagger",
                tagger,
                _normal_interval(tagger),
                "answers as one tagger drawn at random; what a person scores, not a perfect model",
            ),
        ]
        if decided.any():
            rows.insert(
                -1,
                _row(
                    "FER+ majority, where there is one",
                    credit[decided],
                    accuracy_interval(credit[decided].mean(), int(decided.sum())),
                    "as above, without the images that taggers tie on or give to no emotion: the "
                    "clearer ones",
                ),
            )
    for name, found in (noise or {}).items():
        rows.append(
            {
                "estimate": f"confident learning, {name}",
                "kind": "estimate",
                "value": 1 - found.wrong,
                "low": 1 - found.high,
                "high": 1 - found.low,
                "images": found.images,
                "meaning": "1 minus the estimated share of wrong labels; a weak classifier blames the labels for its "
                "own mistakes, so it comes out too low",
            }
        )
    agreement = duplicates_agreement(faces)
    if len(agreement):
        rows.append(
            _row(
                "equal labels of copies",
                agreement,
                accuracy_interval(agreement.mean(), len(agreement)),
                "knows the label of a copy; "
                + (
                    "too low here, as conflicts were planted among the copies"
                    if faces.drawn
                    else "too high where copies were labelled together, from one source"
                ),
            )
        )
    for known in PUBLISHED:
        if known.name == "Human accuracy":
            margin = np.nan if known.margin is None else known.margin
            rows.append(
                {
                    "estimate": f"people ({known.source.split(',')[0]})",
                    "kind": "people",
                    "value": known.accuracy,
                    "low": known.accuracy - margin,
                    "high": known.accuracy + margin,
                    "images": pd.NA,
                    "meaning": f"published accuracy of people, on {known.images}",
                }
            )
    return pd.DataFrame(rows).astype({"images": "Int64"})


def ceiling_finding(table: pd.DataFrame, best: float | None = None) -> str:
    """One sentence on a table of `ceiling`.

    Args:
        table: as `ceiling` gives it.
        best: accuracy of the best model at hand, 0 to 1; an estimate below it is no ceiling, and is
            said to be none.
    """
    people = table[table["kind"] == "people"].iloc[0]
    beside = f"people score {people['value']:.0%} ({people['low']:.0%} to {people['high']:.0%}) on other images"
    guesses = table[table["kind"] == "estimate"].sort_values("value")
    if guesses.empty:
        found = "Nothing here estimates what a perfect model could score"
    elif len(guesses) == 1:
        only = guesses.iloc[0]
        found = f"A perfect model could score {only['value']:.1%} against these labels by {only['estimate']}"
    else:
        least, most = guesses.iloc[0], guesses.iloc[-1]
        found = (
            f"{len(guesses)} estimates of what a perfect model could score against these labels "
            "run from "
            f"{least['value']:.1%} ({least['estimate']}) to {most['value']:.1%} "
            f"({most['estimate']})"
        )
    truth = table[table["kind"] == "truth"]
    known = f"; it is {truth['value'].iloc[0]:.1%}, as the faults are planted" if len(truth) else ""
    passed = ""
    if best is not None and len(guesses):
        below = int((guesses["value"] < best).sum())
        passed = f"; the best model here scores {best:.1%}, above {below} of {len(guesses)}, which are thus no ceiling"
        if not below:
            passed = f"; the best model here scores {best:.1%}, below every one"
    return f"{found}{known}{passed}; {beside}."


def _from_truth(faces: Faces, truth: pd.DataFrame) -> dict:
    """Share of drawn faces whose label is what they show; pictures of no face count as missed."""
    shown = truth.drop_duplicates("row").set_index("row")["true_emotion"].reindex(faces.row)
    faulty = np.isin(faces.row, truth["row"])
    correct = ~faulty | (shown.to_numpy(object) == np.array(EMOTIONS, object)[faces.emotion])
    return {
        "estimate": "planted faults",
        "kind": "truth",
        "value": float(correct.mean()),
        "low": np.nan,
        "high": np.nan,
        "images": len(faces),
        "meaning": "labels that are what was drawn; pictures of no face count as missed",
    }


def _row(name: str, credit: np.ndarray, interval: tuple[float, float], meaning: str) -> dict:
    scores = {"value": float(credit.mean()), "low": interval[0], "high": interval[1]}
    return {
        "estimate": name,
        "kind": "estimate",
        **scores,
        "images": len(credit),
        "meaning": meaning,
    }


def _normal_interval(credit: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of shares, which are no counts of right and wrong, by the central
    limit theorem."""
    if len(credit) < 2:
        return 0.0, 1.0
    low, high = norm.interval(0.95, credit.mean(), credit.std(ddof=1) / np.sqrt(len(credit)))
    return max(0.0, float(low)), min(1.0, float(high))
