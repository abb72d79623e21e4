"""Slices: names of groups, tests compared with scipy and statsmodels, a constructed weakness."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from fer_utils.analysis.slices import SMALL, slice_table, slices_finding, slices_of, thirds
from fer_utils.audits.duplicates import leaked
from fer_utils.audits.near_duplicates import near_duplicates
from fer_utils.audits.pictures import brightness
from fer_utils.data.faces import Faces
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import PRIVATE, TRAINING
from fer_utils.errors import StudyError


def test_names_of_thirds_have_their_limits():
    values = np.random.default_rng(0).normal(100, 30, 1000)
    groups = thirds(values)
    low, middle, high = groups.categories
    bounds = [int(low.removeprefix("up to ")), int(high.removeprefix("over "))]
    assert middle == f"{bounds[0]} to {bounds[1]}"
    expected = np.where(values <= bounds[0], low, np.where(values <= bounds[1], middle, high))
    assert np.array_equal(np.asarray(groups), expected)
    assert pd.Series(groups).value_counts().between(310, 357).all()
    assert thirds(np.linspace(0, 1, 9)).categories.tolist() == [
        "up to 0.33",
        "0.33 to 0.67",
        "over 0.67",
    ]


def test_equal_values_are_one_group():
    assert set(thirds(np.full(5, 7.0))) == {"up to 7.00"}


def test_slices_of_drawn_faces(faces):
    slices = slices_of(faces, PRIVATE, near_duplicates(faces))
    part = faces.of(PRIVATE)
    assert "FER+ majority" not in slices
    assert (slices["duplicate in Training"] == "exact duplicate").tolist() == leaked(
        faces, PRIVATE
    ).tolist()
    light = slices["brightness (mean grey level)"]
    order = [brightness(part)[light == name] for name in light.categories]
    assert order[0].max() <= order[1].min() and order[1].max() <= order[2].min()
    assert all(len(groups) == len(part) and len(set(groups)) > 1 for groups in slices.values())


def test_near_duplicates_are_a_group_unless_expected_by_chance():
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
    pairs = near_duplicates(noise)
    groups = slices_of(noise, PRIVATE, pairs)["duplicate in Training"]
    assert list(groups) == ["none"] * 5 + ["exact duplicate", "near-duplicate"] + ["none"] * 3
    groups = slices_of(noise, PRIVATE, pairs[:0])["duplicate in Training"]
    assert list(groups) == ["none"] * 5 + ["exact duplicate"] + ["none"] * 4


def test_slices_by_votes(faces):
    generator = np.random.default_rng(3)
    votes = generator.multinomial(10, generator.dirichlet(np.full(10, 0.3), len(faces)))
    part = replace(faces, votes=pd.DataFrame(votes, columns=CATEGORIES).astype(np.uint8))
    slices, private = slices_of(part, PRIVATE, near_duplicates(part)), part.of(PRIVATE)
    names = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    winner, most = [], []
    for (_, row), emotion in zip(private.votes.iterrows(), private.emotion, strict=True):
        best = max(row[name] for name in names)
        winner.append(
            "5 or fewer" if best < 6 else "6, 7" if best < 8 else "8, 9" if best < 10 else "10"
        )
        leaders = [name for name in CATEGORIES if row[name] == row.max()]
        one = leaders[0] if len(leaders) == 1 and leaders[0] in names else None
        if one is None:
            most.append("no majority emotion")
        else:
            most.append("the label" if one == names[emotion] else "another emotion")
    assert slices["FER+ votes for the winning emotion"].tolist() == winner
    assert slices["FER+ majority"].tolist() == most


def test_slices_of_training_are_refused(faces):
    with pytest.raises(StudyError, match="expected a test split"):
        slices_of(faces, TRAINING, near_duplicates(faces))


@pytest.fixture(scope="module")
def planted():
    """Correctness and slices: "hard" has one weak group, "easy" has none, "few" has a small one."""
    generator = np.random.default_rng(4)
    hard = generator.choice(["a", "b", "c"], 900)
    slices = {
        "hard": hard,
        "easy": generator.choice(["x", "y", "z"], 900),
        "few": np.repeat(["no", "yes"], [890, 10]),
    }
    return generator.random(900) < np.where(hard == "c", 0.45, 0.75), slices


def test_only_the_constructed_weakness_is_found(planted):
    table = slice_table(*planted)
    assert set(table["slice"][table["p"] < 0.05]) == {"hard"}
    assert (
        table["small"].tolist() == [*[False] * 7, True] and table["images"].iloc[-1] == 10 < SMALL
    )
    weak = table[(table["group"] == "c")].iloc[0]
    assert weak["difference_high"] < 0
    text = slices_finding(table)
    assert "1 of 3 slices" in text and "By hard" in text and f"fewer than {SMALL} images: 1" in text
    assert f"{100 * weak['accuracy']:.1f} % (c)" in text


def test_numbers_match_scipy_and_statsmodels(planted):
    correct, slices = planted
    table = slice_table(correct, slices)
    raw = [
        stats.chi2_contingency(pd.crosstab(slices["hard"], correct)).pvalue,
        stats.chi2_contingency(pd.crosstab(slices["easy"], correct)).pvalue,
        stats.fisher_exact(pd.crosstab(slices["few"], correct)).pvalue,
    ]
    # Holm: the smallest times 3, the next times 2, and never decreasing.
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


def test_few_images_are_tested_by_permutation():
    correct = np.array([True] * 9 + [False] * 3)
    table = slice_table(correct, {"s": np.repeat(["a", "b", "c"], [4, 4, 4])})
    # All three errors fall into one group in 3 * 4 of the 220 possible ways.
    assert table["p"].iloc[0] == pytest.approx(12 / 220, abs=0.01)


def test_nothing_to_compare():
    table = slice_table(
        np.ones(40, bool), {"one": np.full(40, "a"), "two": np.repeat(["a", "b"], 20)}
    )
    assert table["p"].tolist() == [1, 1, 1] and np.isnan(table["difference"][0])
    assert "none of 2 slices" in slices_finding(table)
    assert not len(slice_table(np.ones(3, bool), {}))


def test_slices_need_a_group_for_each_prediction():
    with pytest.raises(
        StudyError, match="light: expected a group for each of the 3 images, found 2"
    ):
        slice_table(np.ones(3, bool), {"light": np.array(["a", "b"])})
    with pytest.raises(StudyError, match=r"correct: expected bool .*found float64"):
        slice_table(np.ones(3), {})
