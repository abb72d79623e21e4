"""Labels held to FER+ votes: hand-made votes, plain loops, and the real file's numbers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_utils.audits.labels import NAMED, agrees_with_label, label_agreement, majority, vote_shares
from fer_utils.emotions import EMOTIONS, USAGES
from fer_utils.errors import StudyError
from fer_utils.faces import Faces
from fer_utils.sources.votes import CATEGORIES

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
    """A face a case; a category's name differs from its emotion's, and their orders too."""
    votes = pd.DataFrame([{name: given.get(name, 0) for name in CATEGORIES} for _, given, *_ in CASES], dtype=np.uint8)
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
    agreement = label_agreement(voted)
    assert agreement["all"] == pytest.approx(5 / 8)
    assert agreement["angry"] == pytest.approx(2 / 3) and agreement["happy"] == 1 and np.isnan(agreement["fear"])
    assert list(agreement.index) == [*EMOTIONS, "all"]


def test_majority_is_one_of_the_seven_or_none(voted):
    found = majority(voted)
    assert found.dtype == np.int64
    assert found.tolist() == [-1 if name is None else EMOTIONS.index(name) for *_, name in CASES]


def test_vote_shares_are_of_all_ten_categories(voted):
    shares = vote_shares(voted)
    assert shares.shape == (len(CASES), 7) and shares.dtype == np.float64
    for share, (_, given, *_) in zip(shares, CASES, strict=True):
        assert share.tolist() == [given.get(name, 0) / 10 for name in NAMED]


def test_an_image_that_nobody_voted_on(voted):
    votes = voted.votes.copy()
    votes.iloc[0] = 0
    silent = replace(voted, votes=votes)
    assert majority(silent)[0] == -1 and vote_shares(silent)[0].tolist() == [0] * 7


@pytest.mark.parametrize("function", [agrees_with_label, label_agreement, majority, vote_shares])
def test_needs_votes(voted, function):
    with pytest.raises(StudyError, match="--votes"):
        function(replace(voted, votes=None))
