"""Slices: groups that state their bounds, tests held to scipy's and statsmodels', and a planted weakness found."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from fer_utils.analysis.slices import SMALL, parts, slice_table, slices_finding, slices_of
from fer_utils.audits.duplicates import leaked
from fer_utils.audits.near_duplicates import near_duplicates
from fer_utils.audits.pictures import brightness
from fer_utils.data.faces import Faces
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import PRIVATE, TRAINING
from fer_utils.errors import StudyError


def test_parts_state_their_bounds():
    values = np.random.default_rng(0).normal(100, 30, 1000)
    groups = parts(values)
    low, middle, high = groups.categories
    bounds = [int(low.removeprefix("up to ")), int(high.removeprefix("over "))]
    assert middle == f"{bounds[0]} to {bounds[1]}"
    expected = np.where(values <= bounds[0], low, np.where(values <= bounds[1], middle, high))
    assert np.array_equal(np.asarray(groups), expected)
    assert pd.Series(groups).value_counts().between(310, 357).all()
    assert parts(np.linspace(0, 1, 9)).categories.tolist() == [
        "up to 0.33",
        "0.33 to 0.67",
        "over 0.67",
    ]
    assert parts(values, 4).categories.size == 4


def test_parts_of_equal_values_are_one():
    assert set(parts(np.full(5, 7.0))) == {"up to 7.00"}


def test_slices_of_drawn_faces(faces):
    slices = slices_of(faces, PRIVATE)
    part = faces.of(PRIVATE)
    assert "FER+ majority" not in slices
    assert (slices["copy in Training"] == "equal").tolist() == leaked(faces, PRIVATE).tolist()
    light = slices["brightness (mean grey level)"]
    order = [brightness(part)[light == name] for name in light.categories]
    assert order[0].max() <= order[1].min() and order[1].max() <= order[2].min()
    assert all(len(groups) == len(part) and len(set(groups)) > 1 for groups in slices.values())


def test_near_duplicates_are_a_group_where_they_are_not_chance():
    images = np.random.default_rng(2).integers(0, 256, (40, 48, 48), np.uint8)
    images[35] = images[3]
    images[36] = np.clip(images[4].astype(int) + 9, 0, 255)
    usage = np.repeat([TRAINING, PRIVATE], [30, 10])
    noise = Faces(
        images=images,
        emotion=np.zeros(40, np.uint8),
        usage=usage,
        row=np.arange(40),
        source="folder",
    )
    copies = slices_of(noise, PRIVATE)["copy in Training"]
    assert list(copies) == ["none"] * 5 + ["equal", "near copy"] + ["none"] * 3
    pairs = near_duplicates(noise)
    assert list(slices_of(noise, PRIVATE, pairs)["copy in Training"]) == list(copies)
    assert (
        list(slices_of(noise, PRIVATE, pairs[:0])["copy in Training"])
        == ["none"] * 5 + ["equal"] + ["none"] * 4
    )


def test_slices_by_votes(faces):
    generator = np.random.default_rng(3)
    votes = generator.multinomial(10, generator.dirichlet(np.full(10, 0.3), len(faces)))
    part = replace(faces, votes=pd.DataFrame(votes, columns=CATEGORIES).astype(np.uint8))
    slices, private = slices_of(part, PRIVATE), part.of(PRIVATE)
    names = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    winner, most = [], []
    for (_, row), emotion in zip(private.votes.iterrows(), private.emotion, strict=True):
        best = max(row[name] for name in names)
        winner.append(
            "5 or fewer" if best < 6 else "6, 7" if best < 8 else "8, 9" if best < 10 else "10"
        )
        leaders = [name for name in CATEGORIES if row[name] == row.max()]
        one = leaders[0] if len(leaders) == 1 and leaders[0] in names else None
        label = one == names[emotion]
        most.append(
            "none of the seven" if one is None else "the label" if label else "another of the seven"
        )
    assert slices["FER+ votes for the winner"].tolist() == winner
    assert slices["FER+ majority"].tolist() == most


def test_slices_of_training_are_refused(faces):
    with pytest.raises(StudyError, match="expected a test split"):
        slices_of(faces, TRAINING)


@pytest.fixture(scope="module")
def planted():
    """Answers that are wrong more often in one group of "hard", and the same everywhere in "easy"; "few" is small."""
    generator = np.random.default_rng(4)
    hard = generator.choice(["a", "b", "c"], 900)
    slices = {
        "hard": hard,
        "easy": generator.choice(["x", "y", "z"], 900),
        "few": np.repeat(["no", "yes"], [890, 10]),
    }
    return generator.random(900) < np.where(hard == "c", 0.45, 0.75), slices


def test_the_planted_weakness_is_found_and_no_other(planted):
    table = slice_table(*planted)
    assert set(table["slice"][table["p"] < 0.05]) == {"hard"}
    assert (
        table["small"].tolist() == [*[False] * 7, True] and table["images"].iloc[-1] == 10 < SMALL
    )
    said = slices_finding(table)
    assert (
        said.startswith("Accuracy differs by 1 of 3 slices")
        and "(c) to" in said
        and "1 of the groups" in said
    )
    weak = table[(table["group"] == "c")].iloc[0]
    assert weak["difference_high"] < 0


def test_numbers_are_scipys_and_statsmodels(planted):
    correct, slices = planted
    table = slice_table(correct, slices)
    raw = [
        stats.chi2_contingency(pd.crosstab(slices["hard"], correct)).pvalue,
        stats.chi2_contingency(pd.crosstab(slices["easy"], correct)).pvalue,
        stats.fisher_exact(pd.crosstab(slices["few"], correct)).pvalue,
    ]
    # Holm: the smallest by 3, the next by 2, never falling.
    holm, least = {}, 0.0
    for rank, which in enumerate(np.argsort(raw)):
        least = min(1.0, max(least, raw[which] * (3 - rank)))
        holm[list(slices)[which]] = least
    for row in table.to_dict("records"):
        inside = slices[row["slice"]] == row["group"]
        assert row["images"] == inside.sum() and row["accuracy"] == pytest.approx(
            correct[inside].mean()
        )
        interval = proportion_confint(correct[inside].sum(), inside.sum(), method="wilson")
        assert (row["low"], row["high"]) == pytest.approx(interval)
        assert row["difference"] == pytest.approx(correct[inside].mean() - correct[~inside].mean())
        ends = confint_proportions_2indep(
            correct[inside].sum(),
            inside.sum(),
            correct[~inside].sum(),
            (~inside).sum(),
            method="newcomb",
        )
        assert (row["difference_low"], row["difference_high"]) == pytest.approx(ends)
        assert row["p"] == pytest.approx(holm[row["slice"]])


def test_few_images_are_permuted():
    correct = np.array([True] * 9 + [False] * 3)
    table = slice_table(correct, {"s": np.repeat(["a", "b", "c"], [4, 4, 4])})
    # All three wrong ones are in c: that, or all in another group, happens in 3 * 4 of the 220 ways to place them.
    assert table["p"].iloc[0] == pytest.approx(12 / 220, abs=0.01)


def test_nothing_to_compare():
    table = slice_table(
        np.ones(40, bool), {"one": np.full(40, "a"), "two": np.repeat(["a", "b"], 20)}
    )
    assert table["p"].tolist() == [1, 1, 1] and np.isnan(table["difference"][0])
    assert (
        slices_finding(table)
        == "Accuracy differs by none of 2 slices (at 5%, after Holm's correction)."
    )
    assert not len(slice_table(np.ones(3, bool), {}))


def test_slices_want_a_group_for_each_answer():
    with pytest.raises(
        StudyError, match="light: expected a group for each of the 3 images, found 2"
    ):
        slice_table(np.ones(3, bool), {"light": np.array(["a", "b"])})
    with pytest.raises(StudyError, match="right: expected"):
        slice_table(np.ones(3), {})
