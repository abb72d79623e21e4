"""Labels compared with FER+ votes: votes made by hand, and the numbers of the real file."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_utils.audits.labels import (
    NAMED,
    OUTCOMES,
    agrees_with_label,
    disagreement,
    majority,
    mislabelled,
    outcomes,
    vote_entropy,
    vote_shares,
    vote_table,
    votes_finding,
)
from fer_utils.data.faces import Faces
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import EMOTIONS, USAGES
from fer_utils.errors import StudyError

CASES = [  # label, votes, whether the majority agrees (ties do), the majority
    ("happy", {"happiness": 8, "neutral": 2}, True, "happy"),
    ("neutral", {"happiness": 8, "neutral": 2}, False, "happy"),
    ("sad", {"sadness": 5, "fear": 5}, True, None),
    ("angry", {"contempt": 6, "anger": 4}, False, None),
    ("angry", {"anger": 10}, True, "angry"),
    ("disgust", {"NF": 10}, False, None),
    ("angry", {"unknown": 4, "anger": 4, "sadness": 2}, True, None),
    ("surprise", {"surprise": 4, "fear": 3, "NF": 3}, True, "surprise"),
]


@pytest.fixture
def voted() -> Faces:
    """One face per case. FER+ has other names and another order than FER-2013."""
    votes = pd.DataFrame(
        [{name: given.get(name, 0) for name in CATEGORIES} for _, given, *_ in CASES],
        dtype=np.uint8,
    )
    return Faces(
        images=np.zeros((len(CASES), 48, 48), np.uint8),
        emotion=np.array([EMOTIONS.index(label) for label, *_ in CASES], np.uint8),
        usage=np.array([USAGES[index % 3] for index in range(len(CASES))]),
        row=np.arange(len(CASES)),
        source="csv",
        votes=votes,
    )


def test_agreement_of_the_majority_with_the_label(voted):
    assert agrees_with_label(voted).tolist() == [agrees for _, _, agrees, _ in CASES]


def test_majority_is_one_of_the_seven_or_none(voted):
    found = majority(voted)
    assert found.dtype == np.int64
    assert found.tolist() == [-1 if name is None else EMOTIONS.index(name) for *_, name in CASES]


def test_vote_shares_are_of_all_ten_categories(voted):
    shares = vote_shares(voted)
    assert shares.shape == (len(CASES), 7) and shares.dtype == np.float64
    for share, (_, given, *_) in zip(shares, CASES, strict=True):
        assert share.tolist() == [given.get(name, 0) / 10 for name in NAMED]


def test_an_image_without_votes(voted):
    votes = voted.votes.copy()
    votes.iloc[0] = 0
    silent = replace(voted, votes=votes)
    assert majority(silent)[0] == -1 and vote_shares(silent)[0].tolist() == [0] * 7


def test_outcomes_are_stricter_than_agreement(voted):
    found = [
        "agrees",
        "another emotion",
        "no majority",
        "contempt",
        "agrees",
        "not a face",
        "no majority",
        "agrees",
    ]
    assert outcomes(voted).tolist() == found


def test_entropy_in_bits(voted):
    entropy = vote_entropy(voted)
    assert entropy[2] == pytest.approx(1) and entropy[4] == 0
    assert entropy[0] == pytest.approx(-(0.8 * np.log2(0.8) + 0.2 * np.log2(0.2)))
    votes = pd.DataFrame(0, index=range(len(voted)), columns=list(CATEGORIES))
    assert vote_entropy(replace(voted, votes=votes)).tolist() == [0] * len(voted)
    assert vote_entropy(replace(voted, votes=votes + 1)) == pytest.approx(np.log2(10))


def test_table_of_votes(voted):
    table = vote_table(voted).set_index("emotion")
    assert list(table.index) == [*EMOTIONS, "all"]
    assert table.loc["angry", ["images", "contempt", "agrees", "no majority"]].tolist() == [
        3,
        1,
        1,
        1,
    ]
    assert table.loc["angry", "label_votes"] == pytest.approx((4 + 10 + 4) / 30)
    assert table.loc["angry", "unknown_votes"] == pytest.approx(4 / 30)
    assert table.loc["all", "not_a_face_votes"] == pytest.approx(13 / 80)
    assert table.loc["fear", "images"] == 0 and np.isnan(table.loc["fear", "agreement"])
    assert (table[list(OUTCOMES)].sum(axis=1) == table["images"]).all()
    assert (
        table.loc[list(EMOTIONS)].fillna(0)[list(OUTCOMES)].sum()
        == table.loc["all", list(OUTCOMES)]
    ).all()
    assert (
        table.loc["all", "agreement"] == pytest.approx(5 / 8)
        and table.loc["happy", "agreement"] == 1
    )
    assert table.loc["angry", "agreement"] == pytest.approx(2 / 3)
    finding = votes_finding(vote_table(voted))
    assert "62.5 % of 8 images" in finding and "happy (100.0 %)" in finding
    assert "disgust (0.0 %)" in finding and " 1 images are not a face" in finding


def test_disagreement_counts_each_image_once(voted):
    table = disagreement(voted)
    assert table.shape == (7, 11) and table.to_numpy().sum() == len(voted)
    assert list(table.columns) == [*EMOTIONS, "contempt", "unknown", "not a face", "no majority"]
    assert (
        table.loc["neutral", "happy"]
        == table.loc["disgust", "not a face"]
        == table.loc["sad", "no majority"]
        == 1
    )
    assert table.loc["angry", ["angry", "contempt", "no majority"]].tolist() == [1, 1, 1]
    assert table.loc["fear"].sum() == 0


def test_mislabelled_drawn_faces_are_those_planted(faces, voted):
    planted = set()
    for fault in faces.truth.itertuples():
        label = EMOTIONS[faces.emotion[list(faces.row).index(fault.row)]]
        if isinstance(fault.true_emotion, str) and fault.true_emotion != label:
            planted.add(fault.row)
    assert set(faces.truth.loc[faces.truth["fault"] == "wrong_label", "row"]) <= planted
    order = np.random.default_rng(0).permutation(len(faces))[:150]
    for some in (faces, faces.select(order)):
        found = mislabelled(some)
        assert found.dtype == bool and found.tolist() == [row in planted for row in some.row]
    with pytest.raises(StudyError, match=r"expected drawn faces .*, found source 'csv'"):
        mislabelled(voted)


@pytest.mark.slow
def test_the_fer_plus_majority_agrees_with_64_6_percent_of_the_labels(real_data):
    from fer_utils.data.sources import read
    from fer_utils.data.votes import join_votes

    faces = join_votes(read("csv", real_data / "fer2013.csv.gz"), real_data / "fer2013new.csv")
    table = vote_table(faces).set_index("emotion")
    assert table.loc["all", list(OUTCOMES)].tolist() == [22011, 11489, 1776, 212, 222, 177]
    assert table.loc["all", "agreement"] == pytest.approx(0.6456, abs=5e-5)
    assert disagreement(faces).loc["sad", ["sad", "neutral"]].tolist() == [2418, 2874]


@pytest.mark.parametrize(
    "function",
    [agrees_with_label, majority, vote_shares, vote_entropy, outcomes, vote_table, disagreement],
)
def test_needs_votes(voted, function):
    with pytest.raises(StudyError, match="--votes"):
        function(replace(voted, votes=None))
