"""Where a model does better and worse: accuracy by what an image is like and what is known about it."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from fer_utils.audits.duplicates import leaked
from fer_utils.audits.labels import majority, votes_by_emotion
from fer_utils.audits.near_duplicates import near_duplicates, near_leaked, significant
from fer_utils.audits.pictures import brightness, contrast, near_constant, sharpness
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy_interval

SMALL = 30
"""A group of fewer images is called small: its accuracy's 95 % interval is wider than 31 points at 70 %."""
PARTS = 3
"""Groups that a measure is cut into, of as many images each."""


def slices_of(
    faces: Faces, usage: str, near: pd.DataFrame | None = None
) -> dict[str, pd.Categorical]:
    """What the images of a usage are like, as names of groups.

    Brightness, contrast and sharpness are cut into thirds of the usage's own images, whose bounds the names state. Near
    copies are a group where chance does not explain them (not on drawn faces). The votes for FER+'s winner (the most
    voted of the seven) and what FER+'s majority is follow where there are votes.

    Args:
        faces: with Training, in which copies are looked for.
        usage: a test split.
        near: as `near_duplicates(faces)` gives it, where it is known already.

    Returns:
        By slice, the group of each image, pd.Categorical (n,) in the order of `faces.of`, whose categories are in a
        sensible order. A slice whose images are all of one group is left out.

    Raises:
        StudyError: the usage is Training or unknown, or one of the two has no face.
    """
    part = faces.of(usage)
    slices = {
        "brightness (mean grey level)": parts(brightness(part)),
        "contrast (SD of grey levels)": parts(contrast(part)),
        "sharpness (variance of the Laplacian)": parts(sharpness(part)),
        "copy in Training": _copies(faces, usage, near_duplicates(faces) if near is None else near),
        "near-constant": _yes_no(near_constant(part)),
    }
    if part.votes is not None:
        slices |= _by_votes(part)
    return {name: groups for name, groups in slices.items() if len(set(groups)) > 1}


def _copies(faces: Faces, usage: str, pairs: pd.DataFrame) -> pd.Categorical:
    kinds = ["none", "equal"]
    found = leaked(faces, usage).astype(int)
    if len(pairs) and significant(pairs):
        kinds = ["none", "near copy", "equal"]
        found = np.where(found, 2, near_leaked(faces, usage, pairs))
    return pd.Categorical.from_codes(found, kinds, ordered=True)


def parts(values: np.ndarray, count: int = PARTS) -> pd.Categorical:
    """Values (n,) in `count` groups of about as many each, cut at rounded quantiles, which the groups' names state."""
    digits = 0 if np.ptp(values) > 10 else 2
    bounds = np.unique(np.round(np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]), digits))
    said = [f"{bound:,.{digits}f}" for bound in bounds]
    names = [
        f"up to {said[0]}",
        *(f"{low} to {high}" for low, high in pairwise(said)),
        f"over {said[-1]}",
    ]
    return pd.Categorical.from_codes(
        np.searchsorted(bounds, values, side="left"), names, ordered=True
    )


def slice_table(correct: np.ndarray, slices: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Accuracy of each group of each slice, held against the rest of the images.

    Args:
        right: whether each answer is right, bool (n,).
        slices: by name, the group of each image, (n,): `slices_of` gives some.

    Returns:
        A row a group; columns slice, group, images, accuracy, low, high (95 % Wilson interval); difference to the rest
        of the images with its 95 % interval, difference_low and difference_high (Newcombe 1998; NaN where there is no
        rest); p, the same for the groups of one slice: whether they differ at all, by Fisher's exact test for two
        groups and the chi-square test for more (by permutation where a group expects fewer than 5 rights or wrongs),
        after Holm's correction (1979) for the number of slices; small, fewer than `SMALL` images.

    Raises:
        StudyError: `right` is not bool (n,), or a slice has another length.
    """
    correct = np.asarray(correct)
    if correct.dtype != bool or correct.ndim != 1 or not correct.size:
        raise StudyError(
            f"right: expected whether each answer is right, bool (n,), found {correct.dtype} {correct.shape}."
        )
    tables, p_values = [], []
    for name, given in slices.items():
        groups = given if isinstance(given, pd.Categorical) else pd.Categorical(given)
        if len(groups) != len(correct):
            raise StudyError(
                f"slices: {name}: expected a group for each of the {len(correct):,} images, found {len(groups):,}."
            )
        there = [code for code in range(len(groups.categories)) if (groups.codes == code).any()]
        counts = np.array(
            [np.bincount(correct[groups.codes == code], minlength=2) for code in there]
        )
        p_values.append(_p(counts))
        names = groups.categories[there]
        tables.append(
            [
                {"slice": name} | _row(group, wrong, correct_counts, correct)
                for group, (wrong, correct_counts) in zip(names, counts.tolist(), strict=True)
            ]
        )
    corrected = multipletests(p_values, method="holm")[1] if p_values else []
    rows = [
        row | {"p": float(p)} for table, p in zip(tables, corrected, strict=True) for row in table
    ]
    columns = ["slice", "group", "images", "accuracy", "low", "high"]
    columns += ["difference", "difference_low", "difference_high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(small=table["images"] < SMALL)


def slices_finding(table: pd.DataFrame, level: float = 0.05) -> str:
    """What `slice_table` found, in a sentence or two: slices whose groups differ, with the ends of each.

    Args:
        table: as `slice_table` gives it.
        level: of the test.
    """
    said = []
    for name, rows in table[table["p"] < level].groupby("slice", sort=False):
        large = rows[~rows["small"]]
        shown = large if len(large) > 1 else rows
        worst, best = shown.loc[shown["accuracy"].idxmin()], shown.loc[shown["accuracy"].idxmax()]
        said.append(
            f"{name}: {worst['accuracy']:.0%} ({worst['group']}) to {best['accuracy']:.0%} ({best['group']})"
        )
    tested = table["slice"].nunique()
    if not said:
        return f"Accuracy differs by none of {tested} slices (at {level:.0%}, after Holm's correction)."
    small = f" {table['small'].sum()} of the groups have fewer than {SMALL} images." * bool(
        table["small"].any()
    )
    return (
        f"Accuracy differs by {len(said)} of {tested} slices (at {level:.0%}, after Holm's correction): "
        f"{'; '.join(said)}.{small}"
    )


def _by_votes(part: Faces) -> dict[str, pd.Categorical]:
    winner = votes_by_emotion(part)[:, : len(EMOTIONS)].max(axis=1)
    most = majority(part)
    what = np.where(most == part.emotion, 0, np.where(most >= 0, 1, 2))
    names = ["the label", "another of the seven", "none of the seven"]
    return {
        "FER+ votes for the winner": pd.cut(
            winner, [-1, 5, 7, 9, np.inf], labels=["5 or fewer", "6, 7", "8, 9", "10"]
        ),
        "FER+ majority": pd.Categorical.from_codes(what, names, ordered=True),
    }


def _yes_no(holds: np.ndarray) -> pd.Categorical:
    return pd.Categorical.from_codes(holds.astype(int), ["no", "yes"], ordered=True)


def _row(group: object, wrong: int, correct: int, everyone: np.ndarray) -> dict:
    """A group's accuracy and its difference to the rest of `everyone`, bool (n,)."""
    images = int(wrong + correct)
    share, rest = correct / images, len(everyone) - images
    low, high = accuracy_interval(share, images)
    row = {"group": str(group), "images": images, "accuracy": share, "low": low, "high": high}
    if rest:
        others = int(everyone.sum() - correct)
        ends = confint_proportions_2indep(correct, images, others, rest, method="newcomb")
        row |= {
            "difference": share - others / rest,
            "difference_low": ends[0],
            "difference_high": ends[1],
        }
    return row


def _p(counts: np.ndarray) -> float:
    """Whether groups differ in accuracy: p-value of counts int (groups, 2); 1 where there is nothing to compare."""
    if len(counts) < 2 or not counts.sum(axis=0).all():
        return 1.0
    if len(counts) == 2:
        return float(stats.fisher_exact(counts).pvalue)
    few = stats.contingency.expected_freq(counts).min() < 5
    method = (
        stats.PermutationMethod(n_resamples=9_999, rng=np.random.default_rng(0)) if few else None
    )
    return float(stats.chi2_contingency(counts, correction=False, method=method).pvalue)
