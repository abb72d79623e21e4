"""Variants of a split: images and labels with planted duplicates and votes, and scores."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fer_utils.analysis.variants import side_by_side, variants, variants_finding
from fer_utils.audits.near_duplicates import near_duplicates
from fer_utils.data.faces import Faces
from fer_utils.data.sources import read
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import macro_f1, score_table

NAMES = ["canonical", "without leaks", "de-duplicated", "FER+ majority", "FER+ agrees"]
COLUMNS = [
    "model",
    "variant",
    "images",
    "accuracy",
    "low",
    "high",
    "macro_f1",
    "macro_f1_low",
    "macro_f1_high",
]
ANGER, HAPPINESS, CONTEMPT = (CATEGORIES.index(name) for name in ("anger", "happiness", "contempt"))


@pytest.fixture(scope="module")
def planted() -> Faces:
    """Twenty images of Training and ten of PrivateTest, with duplicates and votes.

    The row numbers decrease.
    """
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (30, 48, 48), np.uint8)
    images[20] = images[3]
    images[21] = images[22] = images[25]
    votes = np.zeros((30, len(CATEGORIES)), int)
    votes[:, ANGER] = 10
    votes[23, [ANGER, HAPPINESS]] = 5, 5
    votes[24, [ANGER, CONTEMPT]] = 4, 6
    votes[25, [ANGER, HAPPINESS]] = 4, 6
    return Faces(
        images=images,
        emotion=np.repeat([0, 3], [28, 2]).astype(np.uint8),
        usage=np.repeat([TRAINING, PRIVATE], [20, 10]),
        row=np.arange(30)[::-1],
        source="folder",
        votes=pd.DataFrame(votes, columns=CATEGORIES),
    )


def left_out(found: dict, variant: str) -> list[int]:
    return np.flatnonzero(~found[variant][0]).tolist()


def test_images_and_labels_of_variants(planted):
    found = variants(planted, PRIVATE, near_duplicates(planted))
    assert list(found) == NAMES
    assert left_out(found, "canonical") == []
    assert left_out(found, "without leaks") == [0]
    # Images 1, 2 and 5 are exact duplicates, and 5 has the lowest row number.
    assert left_out(found, "de-duplicated") == [0, 1, 2]
    # A tie, and contempt.
    assert left_out(found, "FER+ majority") == [3, 4]
    assert left_out(found, "FER+ agrees") == [3, 4, 5, 8, 9]
    which, emotion = found["FER+ majority"]
    assert emotion[which].tolist() == [0, 0, 0, 3, 0, 0, 0, 0], "votes, not labels"
    for name in (*NAMES[:3], "FER+ agrees"):
        assert found[name][1].tolist() == [0] * 8 + [3] * 2


def test_the_order_of_faces_does_not_matter(planted):
    order = np.random.default_rng(2).permutation(30)
    near, shuffled = near_duplicates(planted), planted.select(order)
    rows = {}
    for name, (which, _) in variants(shuffled, PRIVATE, near_duplicates(shuffled)).items():
        rows[name] = sorted(shuffled.of(PRIVATE).row[which])
    for name, (which, _) in variants(planted, PRIVATE, near).items():
        assert rows[name] == sorted(planted.of(PRIVATE).row[which])


def test_scores_use_the_images_and_labels_of_the_variants(planted):
    generator = np.random.default_rng(3)
    logits = {"one": generator.normal(size=(10, 7)), "seeds": generator.normal(size=(3, 10, 7))}
    near = near_duplicates(planted)
    table = side_by_side(logits, planted, PRIVATE, near=near)
    assert table.columns.tolist() == COLUMNS
    assert (
        table["model"].tolist() == ["one"] * 5 + ["seeds"] * 5
        and table["variant"].tolist() == NAMES * 2
    )
    assert table["images"].tolist() == [10, 9, 7, 8, 5] * 2
    for row, (which, emotion) in zip(
        table.to_dict("records"), list(variants(planted, PRIVATE, near).values()) * 2, strict=True
    ):
        chosen = logits[row["model"]][..., which, :]
        scores = score_table(chosen, emotion[which])
        assert [row[key] for key in COLUMNS[3:6]] == scores.loc["accuracy"].tolist()
        assert [row[key] for key in COLUMNS[6:]] == scores.loc["macro F1"].tolist()
        runs = chosen.reshape(-1, which.sum(), 7)
        assert row["accuracy"] == pytest.approx(np.mean(runs.argmax(axis=2) == emotion[which]))
        assert row["macro_f1"] == pytest.approx(
            np.mean([macro_f1(run, emotion[which]) for run in runs])
        )


def test_model_that_memorised_leaks_and_model_that_follows_votes(planted):
    # The first model is correct on the leaked image only, the second predicts the FER+ majority.
    memorised, voted = np.full(10, 6), np.zeros(10, int)
    memorised[0], voted[5] = 0, 3
    logits = {"memorised": np.eye(7)[memorised], "voted": np.eye(7)[voted]}
    table = side_by_side(logits, planted, PRIVATE, near=near_duplicates(planted))
    accuracy = table.pivot(index="variant", columns="model", values="accuracy")
    assert accuracy["memorised"][["canonical", "without leaks"]].tolist() == [0.1, 0]
    assert accuracy["voted"][["canonical", "FER+ majority", "FER+ agrees"]].tolist() == [0.7, 1, 1]
    text = variants_finding(table)
    assert "−10.0 to −3.3 points" in text and "+2.5 to +30.0 points" in text and "2 models" in text


def test_without_votes_there_is_no_fer_plus(planted):
    faces = dataclasses.replace(planted, votes=None)
    logits = {"one": np.eye(7)[np.zeros(10, int)]}
    table = side_by_side(logits, faces, PRIVATE, near=near_duplicates(faces))
    assert table["variant"].tolist() == NAMES[:3]
    assert "by −2.2 points" in variants_finding(table)


def test_variant_without_images_has_no_score(planted):
    blank = dataclasses.replace(planted, images=np.zeros_like(planted.images), votes=None)
    near = near_duplicates(blank)
    table = side_by_side({"one": np.zeros((10, 7))}, blank, PRIVATE, near=near)
    assert table["images"].tolist() == [10, 0, 0]
    assert (
        table.loc[1:, COLUMNS[3:]].isna().all(axis=None) and table.loc[0, COLUMNS[3:]].notna().all()
    )
    assert variants_finding(table).startswith("Only the canonical variant")


def test_logits_of_other_images_are_refused(planted):
    with pytest.raises(StudyError, match="short: expected logits"):
        side_by_side({"short": np.zeros((9, 7))}, planted, PRIVATE, near=near_duplicates(planted))


def test_near_duplicates_of_training_images_are_left_out(planted):
    images = planted.images.copy()
    images[24] = np.clip(
        images[4].astype(int) + np.random.default_rng(5).integers(-9, 10, (48, 48)), 0, 255
    )
    copied = dataclasses.replace(planted, images=images, votes=None)
    near = near_duplicates(copied)
    found = variants(copied, PRIVATE, near)
    assert list(found) == [*NAMES[:3], "without near-duplicates"]
    assert left_out(found, "without near-duplicates") == [0, 4], "the exact duplicate too"
    assert list(variants(copied, PRIVATE, near[:0])) == NAMES[:3]


def test_variants_of_drawn_faces(faces):
    logits = np.random.default_rng(4).normal(size=(len(faces.of(PUBLIC)), 7))
    table = side_by_side({"net": logits}, faces, PUBLIC, near=near_duplicates(faces))
    assert (
        table["images"].iloc[0] == len(faces.of(PUBLIC))
        and (table["images"].diff().dropna() <= 0)[:2].all()
    )


def test_variants_of_the_real_private_test(real_data):
    """288 of 3,589 images have an exact duplicate in Training, and 411 more a near-duplicate.

    Seven others are duplicates of each other. FER+ leaves out 239.
    """
    real = read("csv", real_data / "fer2013.csv.gz", votes=real_data / "fer2013new.csv")
    chosen = variants(real, PRIVATE, near_duplicates(real))
    found = {name: int(which.sum()) for name, (which, _) in chosen.items()}
    assert list(found.values()) == [3589, 3301, 3294, 2890, 3350, 2196]
