"""Accuracy of subgroups (slices): by image properties, duplicates and FER+ votes."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from fer_utils.audits.duplicates import leaked
from fer_utils.audits.labels import majority, votes_by_emotion
from fer_utils.audits.near_duplicates import near_leaked, significant
from fer_utils.audits.pictures import brightness, contrast, near_constant, sharpness
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy_interval
from fer_utils.evaluation.wording import percent

SMALL = 30
"""Groups with fewer images are marked as small.

At 70 % accuracy, their 95 % interval is wider than 31 points.
"""
LEVEL = 0.05
"""Significance level of the tests between groups."""


def slices_of(faces: Faces, usage: str, near: pd.DataFrame) -> dict[str, pd.Categorical]:
    """Divide the images of a split into groups, in several ways.

    Brightness, contrast and sharpness are divided at the terciles of the split; the groups' names
    state the limits. Near-duplicates are a group unless they are expected by chance, as with drawn
    faces. With FER+ votes, there are two more slices: the number of votes for the winning emotion,
    and the majority emotion compared with the label.

    Args:
        faces: all faces, with Training, which is searched for duplicates.
        usage: a test split.
        near: as returned by `near_duplicates(faces)`.

    Returns:
        By slice, the group of each image, pd.Categorical (n,) in the order of `faces.of`, with
        ordered categories. A slice with a single group is left out.

    Raises:
        StudyError: the split is Training or unknown, or it or Training has no face.
    """
    part = faces.of(usage)
    slices = {
        "brightness (mean grey level)": thirds(brightness(part)),
        "contrast (SD of grey levels)": thirds(contrast(part)),
        "sharpness (variance of the Laplacian)": thirds(sharpness(part)),
        "duplicate in Training": _duplicates(faces, usage, near),
        "near-constant": _yes_no(near_constant(part)),
    }
    if part.votes is not None:
        slices |= _by_votes(part)
    return {name: groups for name, groups in slices.items() if len(set(groups)) > 1}


def thirds(values: np.ndarray) -> pd.Categorical:
    """Divide values (n,) at their terciles, rounded, into three groups named by their limits.

    Many equal values can leave fewer groups.
    """
    digits = 0 if np.ptp(values) > 10 else 2
    bounds = np.unique(np.round(np.quantile(values, [1 / 3, 2 / 3]), digits))
    texts = [f"{bound:,.{digits}f}" for bound in bounds]
    names = [
        f"up to {texts[0]}",
        *(f"{low} to {high}" for low, high in pairwise(texts)),
        f"over {texts[-1]}",
    ]
    return pd.Categorical.from_codes(
        np.searchsorted(bounds, values, side="left"), names, ordered=True
    )


def slice_table(correct: np.ndarray, slices: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Score each group of each slice and compare it with the rest of the images.

    Args:
        correct: correctness of each prediction, bool (n,).
        slices: by name, the group of each image, (n,), as returned by `slices_of`.

    Returns:
        One row per group. Columns:

        - slice, group, images.
        - accuracy, with its 95 % Wilson interval, low and high.
        - difference: accuracy minus that of all other images, with its 95 % interval,
          difference_low and difference_high (Newcombe 1998); NaN if there are no other images.
        - p: p-value of a difference between the groups of a slice, the same in all its rows, after
          Holm's correction (1979) for the number of slices. The test is Fisher's exact test for
          two groups and the chi-square test for more, by permutation if a group has fewer than 5
          expected correct or wrong predictions.
        - small: whether the group has fewer than `SMALL` images.

    Raises:
        StudyError: `correct` is not bool (n,), or a slice has another length.
    """
    correct = np.asarray(correct)
    if correct.dtype != bool or correct.ndim != 1 or not correct.size:
        raise StudyError(f"correct: expected bool (n,), found {correct.dtype} {correct.shape}.")
    tables, p_values = [], []
    for name, members in slices.items():
        groups = members if isinstance(members, pd.Categorical) else pd.Categorical(members)
        if len(groups) != len(correct):
            raise StudyError(
                f"slices: {name}: expected a group for each of the {len(correct):,} images, "
                f"found {len(groups):,}."
            )
        rows, counts = [], []
        for code, group in enumerate(groups.categories):
            inside = correct[groups.codes == code]
            if inside.size:
                rows.append({"slice": name, "group": str(group)} | _scores(inside, correct))
                counts.append(np.bincount(inside, minlength=2))
        tables.append(rows)
        p_values.append(_p_value(np.array(counts)))
    corrected = multipletests(p_values, method="holm")[1] if p_values else []
    rows = []
    for table, p in zip(tables, corrected, strict=True):
        rows += [row | {"p": float(p)} for row in table]
    columns = ["slice", "group", "images", "accuracy", "low", "high"]
    columns += ["difference", "difference_low", "difference_high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(small=table["images"] < SMALL)


def slices_finding(table: pd.DataFrame) -> str:
    """Summarise the table of `slice_table`: the slices with significant differences."""
    tested = table["slice"].nunique()
    test = f"p < {LEVEL:g} after Holm's correction"
    different = table[table["p"] < LEVEL]
    if different.empty:
        return f"Accuracy differs significantly by none of {tested} slices ({test})."
    sentences = [
        f"Accuracy differs significantly by {different['slice'].nunique()} of {tested} slices "
        f"({test})."
    ]
    for name, rows in different.groupby("slice", sort=False):
        # Small groups are named only if there is nothing else to compare.
        large = rows[~rows["small"]]
        compared = large if len(large) > 1 else rows
        worst = compared.loc[compared["accuracy"].idxmin()]
        best = compared.loc[compared["accuracy"].idxmax()]
        sentences.append(
            f"By {name}, it ranges from {percent(worst['accuracy'])} ({worst['group']}) to "
            f"{percent(best['accuracy'])} ({best['group']})."
        )
    if table["small"].any():
        sentences.append(f"Groups with fewer than {SMALL} images: {table['small'].sum()}.")
    return " ".join(sentences)


def _duplicates(faces: Faces, usage: str, near: pd.DataFrame) -> pd.Categorical:
    kinds = ["none", "exact duplicate"]
    codes = leaked(faces, usage).astype(int)
    if len(near) and significant(near):
        kinds = ["none", "near-duplicate", "exact duplicate"]
        codes = np.where(codes, 2, near_leaked(faces, usage, near))
    return pd.Categorical.from_codes(codes, kinds, ordered=True)


def _by_votes(part: Faces) -> dict[str, pd.Categorical]:
    winner = votes_by_emotion(part)[:, : len(EMOTIONS)].max(axis=1)
    voted = majority(part)
    codes = np.where(voted == part.emotion, 0, np.where(voted >= 0, 1, 2))
    names = ["the label", "another emotion", "no majority emotion"]
    return {
        "FER+ votes for the winning emotion": pd.cut(
            winner, [-1, 5, 7, 9, np.inf], labels=["5 or fewer", "6, 7", "8, 9", "10"]
        ),
        "FER+ majority": pd.Categorical.from_codes(codes, names, ordered=True),
    }


def _yes_no(holds: np.ndarray) -> pd.Categorical:
    return pd.Categorical.from_codes(holds.astype(int), ["no", "yes"], ordered=True)


def _scores(inside: np.ndarray, everyone: np.ndarray) -> dict:
    """Score a group, bool (m,), and compare it with the rest of all images, bool (n,)."""
    images, rest = len(inside), len(everyone) - len(inside)
    hits = int(inside.sum())
    share = hits / images
    low, high = accuracy_interval(share, images)
    row = {"images": images, "accuracy": share, "low": low, "high": high}
    if rest:
        others = int(everyone.sum()) - hits
        ends = confint_proportions_2indep(hits, images, others, rest, method="newcomb")
        row["difference"] = share - others / rest
        row["difference_low"], row["difference_high"] = ends
    return row


def _p_value(counts: np.ndarray) -> float:
    """Test whether groups differ in accuracy.

    Args:
        counts: wrong and correct predictions, int (groups, 2).

    Returns:
        The p-value; 1 if there is nothing to compare.
    """
    if len(counts) < 2 or not counts.sum(axis=0).all():
        return 1.0
    if len(counts) == 2:
        return float(stats.fisher_exact(counts).pvalue)
    method = None
    if stats.contingency.expected_freq(counts).min() < 5:
        method = stats.PermutationMethod(n_resamples=9_999, rng=np.random.default_rng(0))
    return float(stats.chi2_contingency(counts, correction=False, method=method).pvalue)
