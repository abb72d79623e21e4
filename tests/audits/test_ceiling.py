"""Estimates of the best possible accuracy, on votes, duplicates and planted faults made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from fer_utils.audits.ceiling import ceiling, ceiling_finding, duplicates_agreement, oracle_credit
from fer_utils.audits.confident import Noise
from fer_utils.data.faces import Faces
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError

COLUMNS = ["estimate", "kind", "value", "low", "high", "images", "meaning"]
NOISE = Noise(0.3, 0.28, 0.33, 5, pd.DataFrame())
CASES = [  # label, votes, probability that the FER+ majority matches, whether there is a majority
    ("happy", {"happiness": 8, "neutral": 2}, 1, True),
    ("neutral", {"happiness": 8, "neutral": 2}, 0, True),
    ("sad", {"sadness": 5, "fear": 5}, 1 / 2, False),
    ("angry", {"contempt": 6, "anger": 4}, 1, False),
    ("disgust", {"NF": 10}, 1 / 7, False),
    ("fear", {"unknown": 4, "anger": 3, "sadness": 3}, 0, False),
]


@pytest.fixture
def voted() -> Faces:
    votes = pd.DataFrame(
        [{name: given.get(name, 0) for name in CATEGORIES} for _, given, *_ in CASES]
    )
    return Faces(
        images=np.random.default_rng(0).integers(0, 256, (len(CASES), 48, 48), dtype=np.uint8),
        emotion=np.array([EMOTIONS.index(label) for label, *_ in CASES], np.uint8),
        usage=np.full(len(CASES), "Training"),
        row=np.arange(len(CASES)),
        source="csv",
        votes=votes,
    )


def test_the_oracle_guesses_among_ties(voted):
    assert oracle_credit(voted) == pytest.approx([credit for *_, credit, _ in CASES])
    with pytest.raises(StudyError, match="--votes"):
        oracle_credit(replace(voted, votes=None))


def test_estimates_from_votes(voted):
    table = ceiling(voted).set_index("estimate")
    oracle, clear, annotator = (
        table.loc[name]
        for name in ("FER+ majority", "FER+ majority, where there is one", "one FER+ annotator")
    )
    assert oracle["value"] == pytest.approx((1 + 1 / 2 + 1 + 1 / 7) / 6) and oracle["images"] == 6
    assert clear["value"] == pytest.approx(1 / 2) and clear["images"] == 2
    assert (clear["low"], clear["high"]) == pytest.approx(proportion_confint(1, 2, method="wilson"))
    # The label's own share of the ten votes.
    own = np.array([8, 2, 5, 4, 0, 0]) / 10
    assert annotator["value"] == pytest.approx(own.mean())
    margin = 1.959964 * own.std(ddof=1) / np.sqrt(6)
    assert annotator["high"] - annotator["value"] == pytest.approx(margin)


def test_agreement_of_duplicates_counts_pairs(voted):
    """A picture occurs three times, once with another label, so one of its three pairs agrees.

    Blank and single images do not count.
    """
    images = voted.images.copy()
    images[1] = images[2] = images[0]
    images[4] = images[3]
    images = np.concatenate([images, np.full((3, 48, 48), 9, np.uint8)])
    faces = Faces(
        images=images,
        emotion=np.array([3, 3, 5, 1, 1, 2, 0, 1, 2], np.uint8),
        usage=np.full(9, "Training"),
        row=np.arange(9),
        source="csv",
    )
    assert sorted(duplicates_agreement(faces)) == pytest.approx([1 / 3, 1])
    row = ceiling(faces).set_index("estimate").loc["equal labels of duplicates"]
    assert row["value"] == pytest.approx(2 / 3) and row["images"] == 2
    assert not len(duplicates_agreement(faces.select(np.array([5, 6, 7]))))
    assert not len(duplicates_agreement(faces.select(np.array([6, 7]))))


def test_confident_learning_and_human_accuracy(voted):
    table = ceiling(replace(voted, votes=None), {"HOG": NOISE})
    assert list(table.columns) == COLUMNS
    (_, confident), (_, human) = table.iterrows()
    assert confident["estimate"] == "confident learning, HOG"
    found = (confident["low"], confident["value"], confident["high"])
    assert found == pytest.approx((0.67, 0.7, 0.72))
    assert human["kind"] == "people" and human["images"] is pd.NA
    assert (human["low"], human["value"], human["high"]) == pytest.approx((0.6, 0.65, 0.7))


def test_the_true_value_for_drawn_faces(faces):
    wrong = 0
    for index, row in enumerate(faces.row):
        faults = faces.truth[faces.truth["row"] == row]
        wrong += len(faults) and faults["true_emotion"].iloc[0] != EMOTIONS[faces.emotion[index]]
    for some in (faces, faces.select(np.random.default_rng(0).permutation(len(faces)))):
        truth = ceiling(some).iloc[0]
        assert truth["kind"] == "truth" and truth["value"] == pytest.approx(1 - wrong / len(faces))
        assert 0 < truth["value"] < 1 and np.isnan(truth["low"])
    meaning = ceiling(faces).set_index("estimate").loc["equal labels of duplicates", "meaning"]
    assert "planted" in meaning


def test_the_finding_has_the_estimates_of_the_table(voted, faces):
    bare = replace(voted, votes=None)
    none = ceiling_finding(ceiling(bare))
    assert "65 % (60 % to 70 %)" in none and none.count("%") == 3
    one = ceiling_finding(ceiling(bare, {"HOG": NOISE}))
    assert "70.0 %" in one and "confident learning, HOG" in one
    # By one annotator, and by the majority where there is one. The majority itself is between them.
    several = ceiling_finding(ceiling(voted))
    assert "31.7 % (one FER+ annotator)" in several
    assert "50.0 % (FER+ majority, where there is one)" in several
    drawn = ceiling(faces)
    assert f"{100 * drawn['value'].iloc[0]:.1f} %" in ceiling_finding(drawn)


@pytest.mark.slow
def test_fer2013s_ceilings(real_data):
    from fer_utils.data.sources import read
    from fer_utils.data.votes import join_votes

    faces = join_votes(read("csv", real_data / "fer2013.csv.gz"), real_data / "fer2013new.csv")
    values = ceiling(faces).set_index("estimate")["value"].to_dict()
    assert values["FER+ majority"] == pytest.approx(0.6344, abs=5e-5)
    assert values["FER+ majority, where there is one"] == pytest.approx(22011 / 33500)
    assert values["one FER+ annotator"] == pytest.approx(0.5549, abs=5e-5)
    assert values["equal labels of duplicates"] == pytest.approx(0.9685, abs=5e-5)
