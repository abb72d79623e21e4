"""What a perfect model could score, held to votes and copies made by hand and to planted faults."""

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
CASES = [  # label, votes, how often the oracle has it, whether there is a majority
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


def test_oracle_guesses_among_equals(voted):
    assert oracle_credit(voted) == pytest.approx([credit for *_, credit, _ in CASES])
    with pytest.raises(StudyError, match="--votes"):
        oracle_credit(replace(voted, votes=None))


def test_estimates_from_votes(voted):
    table = ceiling(voted).set_index("estimate")
    oracle, clear, tagger = (table.loc[name] for name in table.index[:3])
    assert list(table.index[:2]) == ["FER+ majority", "FER+ majority, where there is one"]
    assert oracle["value"] == pytest.approx((1 + 1 / 2 + 1 + 1 / 7) / 6) and oracle["images"] == 6
    assert clear["value"] == pytest.approx(1 / 2) and clear["images"] == 2
    assert (clear["low"], clear["high"]) == pytest.approx(proportion_confint(1, 2, method="wilson"))
    # The label's own votes out of ten, contempt and the like counted as missed.
    own = np.array([8, 2, 5, 4, 0, 0]) / 10
    assert tagger.name == "one FER+ tagger" and tagger["value"] == pytest.approx(own.mean())
    assert tagger["high"] - tagger["value"] == pytest.approx(
        1.959964 * own.std(ddof=1) / np.sqrt(6)
    )


def test_copies_agree_by_pairs(voted):
    """One picture three times with one other label: one of three pairs agrees.

    Blanks and single ones do not count.
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
    row = ceiling(faces).set_index("estimate").loc["equal labels of copies"]
    assert row["value"] == pytest.approx(2 / 3) and row["images"] == 2
    assert not len(duplicates_agreement(faces.select(np.array([5, 6, 7]))))
    assert not len(duplicates_agreement(faces.select(np.array([6, 7]))))


def test_confident_learning_and_people(voted):
    table = ceiling(replace(voted, votes=None), {"light": NOISE})
    assert list(table.columns) == COLUMNS
    (_, light), (_, people) = table.iterrows()
    assert light["estimate"] == "confident learning, light"
    assert (light["low"], light["value"], light["high"]) == pytest.approx((0.67, 0.7, 0.72))
    assert people["kind"] == "people" and people["images"] is pd.NA
    assert (people["low"], people["value"], people["high"]) == pytest.approx((0.6, 0.65, 0.7))


def test_truth_of_drawn_faces(faces):
    wrong = 0
    for index, row in enumerate(faces.row):
        faults = faces.truth[faces.truth["row"] == row]
        wrong += len(faults) and faults["true_emotion"].iloc[0] != EMOTIONS[faces.emotion[index]]
    for some in (faces, faces.select(np.random.default_rng(0).permutation(len(faces)))):
        truth = ceiling(some).iloc[0]
        assert truth["kind"] == "truth" and truth["value"] == pytest.approx(1 - wrong / len(faces))
        assert 0 < truth["value"] < 1 and np.isnan(truth["low"])
    assert (
        "conflicts were planted"
        in ceiling(faces).set_index("estimate").loc["equal labels of copies", "meaning"]
    )


def test_findings_hold_for_any_number_of_estimates(voted, faces):
    bare = replace(voted, votes=None)
    assert ceiling_finding(ceiling(bare)).startswith("Nothing here estimates")
    assert (
        "could score 70.0% against these labels by confident learning, light; people score 65% (60%"
        in (ceiling_finding(ceiling(bare, {"light": NOISE})))
    )
    several = ceiling_finding(ceiling(voted))
    assert several.startswith("3 estimates") and "(one FER+ tagger)" in several
    assert "as the faults are planted" in ceiling_finding(ceiling(faces))
    # 44 % by the oracle, 50 % where there is a majority, 32 % by a tagger.
    assert "scores 47.0%, above 2 of 3, which are thus no ceiling;" in ceiling_finding(
        ceiling(voted), 0.47
    )
    assert "scores 20.0%, below every one;" in ceiling_finding(ceiling(voted), 0.2)
    assert "best model" not in ceiling_finding(ceiling(bare), 0.2)


@pytest.mark.slow
def test_fer2013s_ceilings(real_data):
    from fer_utils.data.sources import read
    from fer_utils.data.votes import join_votes

    faces = join_votes(read("csv", real_data / "fer2013.csv.gz"), real_data / "fer2013new.csv")
    values = ceiling(faces).set_index("estimate")["value"].to_dict()
    assert values["FER+ majority"] == pytest.approx(0.6344, abs=5e-5)
    assert values["FER+ majority, where there is one"] == pytest.approx(22011 / 33500)
    assert values["one FER+ tagger"] == pytest.approx(0.5549, abs=5e-5)
    assert values["equal labels of copies"] == pytest.approx(0.9685, abs=5e-5)
