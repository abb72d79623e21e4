"""Errors, compared with loops over FER+ votes and with planted labels of drawn faces."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import some_answers
from scipy import stats
from sklearn import metrics

from fer_utils.analysis.mistakes import (
    confident_finding,
    confident_mistakes,
    confused_pairs,
    confusion,
    confusion_correlation,
    confusion_finding,
    doubtful_labels,
    most_confused,
    shared_finding,
    shared_with_taggers,
)
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import probabilities

NAMES = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


@pytest.fixture(scope="module")
def voted(faces):
    """Faces with ten votes each, about half of them for the label, without known truth."""
    generator = np.random.default_rng(1)
    weights = generator.random((len(faces), 10)) ** 3
    weights[np.arange(len(faces)), [CATEGORIES.index(NAMES[e]) for e in faces.emotion]] += 1.5
    votes = np.array([generator.multinomial(10, row / row.sum()) for row in weights])
    return replace(
        faces, votes=pd.DataFrame(votes, columns=CATEGORIES).astype(np.uint8), truth=None
    )


@pytest.fixture(scope="module")
def logits(voted):
    """Logits of a model that mostly follows the votes."""
    shares = voted.votes[NAMES].to_numpy() / 10
    return (2 * shares + np.random.default_rng(2).gumbel(size=shares.shape) * 0.6).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def predictions():
    return some_answers()


def test_confusion(predictions):
    logits, emotion = predictions
    table = confusion(logits, emotion)
    expected = metrics.confusion_matrix(emotion, logits.argmax(axis=1), labels=range(7))
    assert np.array_equal(table, expected) and table.to_numpy().sum() == 500
    assert table.index.tolist() == table.columns.tolist() == list(EMOTIONS)
    # True emotion in rows, prediction in columns.
    one = confusion(np.eye(7)[[3]], np.array([5]))
    assert one.loc["surprise", "happy"] == 1 and one.to_numpy().sum() == 1


def test_most_confused_is_the_error_on_most_images():
    true = np.repeat([1, 3, 4], [4, 50, 20])
    predicted = np.concatenate([[0] * 3 + [1], [3] * 40 + [6] * 10, [4] * 11 + [6] * 9])
    # Disgust has the highest error rate, but happy as neutral has the most images: 10 of 50.
    assert most_confused(confusion(np.eye(7)[predicted], true)) == ("happy", "neutral", 0.2)


def test_most_confused_without_errors():
    assert most_confused(confusion(np.eye(7), np.arange(7)))[2] == 0


def test_confident_mistakes_are_errors_and_sorted(predictions):
    logits, emotion = predictions
    shares = probabilities(logits)
    chosen = confident_mistakes(logits, emotion, 20)
    assert len(chosen) == 20
    confidence = shares.max(axis=1)
    assert (shares[chosen].argmax(axis=1) != emotion[chosen]).all()
    assert (np.diff(confidence[chosen]) <= 0).all()
    wrong = np.flatnonzero(shares.argmax(axis=1) != emotion)
    assert confidence[chosen].min() >= confidence[np.setdiff1d(wrong, chosen)].max()
    assert len(confident_mistakes(logits, emotion, 10_000)) == len(wrong)
    assert len(confident_mistakes(np.eye(7), np.arange(7), 5)) == 0


def majority_of(row) -> str | None:
    """Return the emotion with the most votes, if it is one of the seven and not tied."""
    best = [name for name in CATEGORIES if row[name] == row.max()]
    return best[0] if len(best) == 1 and best[0] in NAMES else None


def test_pairs_match_loops(voted, logits):
    table = confused_pairs(logits, voted)
    assert len(table) == 42 and (np.diff(table["images"]) <= 0).all()
    predictions = logits.argmax(axis=1)
    assert table["images"].sum() == (predictions != voted.emotion).sum() > 50
    for row in table.to_dict("records"):
        true, predicted = EMOTIONS.index(row["emotion"]), EMOTIONS.index(row["answer"])
        assert true != predicted
        of = [i for i in range(len(voted)) if voted.emotion[i] == true]
        taken = [i for i in of if predictions[i] == predicted]
        assert row["images"] == len(taken) and row["share"] == pytest.approx(len(taken) / len(of))
        assert row["low"] <= row["share"] + 1e-12 and row["share"] - 1e-12 <= row["high"]
        votes = [voted.votes.iloc[i] for i in taken]
        assert row["tagger_rate"] == pytest.approx(
            np.mean([voted.votes.iloc[i][NAMES[predicted]] for i in of]) / 10
        )
        if taken:
            assert row["tagger_share"] == pytest.approx(
                np.mean([v[NAMES[predicted]] for v in votes]) / 10
            )
            assert row["majority_share"] == pytest.approx(
                np.mean([majority_of(v) == NAMES[predicted] for v in votes])
            )
        else:
            assert np.isnan(row["tagger_share"]) and np.isnan(row["majority_share"])


def test_pairs_without_votes_and_without_an_emotion(faces):
    chosen = faces.select(faces.emotion != 1)
    table = confused_pairs(np.eye(7)[np.full(len(chosen), 3)], chosen)
    assert list(table) == ["emotion", "answer", "images", "share", "low", "high"]
    assert table.loc[table["emotion"] == "disgust", "share"].isna().all()
    assert set(table["answer"][table["images"] > 0]) == {"happy"}
    text = confusion_finding(table)
    assert f"*{table['emotion'][0]}* predicted as *happy*" in text and "100.0 %" in text


def test_correlation_matches_scipy(voted, logits):
    table = confused_pairs(logits, voted)
    rho, pairs = confusion_correlation(table)
    assert pairs == 42 and rho == pytest.approx(
        stats.spearmanr(table["share"], table["tagger_rate"])[0]
    )
    assert rho > 0.2
    assert f"{rho:.2f} (Spearman, 42 pairs" in confusion_finding(table)


def test_model_without_errors(voted):
    correct = np.eye(7)[voted.emotion]
    table = confused_pairs(correct, voted)
    assert np.isnan(confusion_correlation(table).rho)
    shared = shared_with_taggers(correct, voted)
    assert shared["errors"].tolist() == [0, 0, 0] and shared["share"].isna().all()
    chosen = confident_mistakes(correct, voted.emotion, 5)
    findings = {
        confusion_finding(table),
        shared_finding(shared),
        confident_finding(voted, chosen),
    }
    assert findings == {"The model makes no errors."}


def test_shared_errors_match_loops(voted, logits):
    table = shared_with_taggers(logits, voted).set_index("answer_is")
    predictions = logits.argmax(axis=1)
    wrong = [i for i in range(len(voted)) if predictions[i] != voted.emotion[i]]
    tests = {
        "the FER+ majority vote": lambda i, e: majority_of(voted.votes.iloc[i]) == NAMES[e],
        "a choice of at least one tagger": lambda i, e: voted.votes.iloc[i][NAMES[e]] >= 1,
        "a choice of at least two taggers": lambda i, e: voted.votes.iloc[i][NAMES[e]] >= 2,
    }
    assert table.index.tolist() == list(tests)
    for name, test in tests.items():
        row = table.loc[name]
        assert row["errors"] == len(wrong) and row["shared"] == sum(
            test(i, predictions[i]) for i in wrong
        )
        assert row["share"] == pytest.approx(row["shared"] / len(wrong))
        others = [test(i, e) for i in wrong for e in range(7) if e != voted.emotion[i]]
        assert row["random"] == pytest.approx(np.mean(others))
        # Each error with the prediction of every error with the same label.
        mixed = [
            np.mean(
                [test(i, predictions[j]) for j in wrong if voted.emotion[j] == voted.emotion[i]]
            )
            for i in wrong
        ]
        assert row["same_confusions"] == pytest.approx(np.mean(mixed))
    assert (table["share"] > table["random"]).all()
    text = shared_finding(table.reset_index())
    assert text.count(f"{len(wrong):,} errors") == 3
    assert all(f"{100 * share:.1f} %" in text for share in table["share"])


def test_errors_of_a_model_that_predicts_the_drawn_emotion_are_planted_labels(faces):
    drawn = faces.truth.set_index("row")["true_emotion"].reindex(faces.row)
    shown = np.array(
        [
            e if isinstance(e, str) else EMOTIONS[k]
            for e, k in zip(drawn, faces.emotion, strict=True)
        ]
    )
    logits = 5 * np.eye(7)[[EMOTIONS.index(e) for e in shown]]
    table = shared_with_taggers(logits, faces)
    assert table["answer_is"].tolist() == ["the emotion that was drawn"]
    assert (
        table["errors"][0]
        == table["shared"][0]
        == (shown != np.array(EMOTIONS)[faces.emotion]).sum()
        > 3
    )
    assert table["random"][0] == pytest.approx(1 / 6)
    text = shared_finding(table)
    assert "100.0 %" in text and "the emotion that was drawn" in text and "16.7 %" in text
    doubtful, reason = doubtful_labels(faces)
    planted = faces.truth["fault"].isin(["wrong_label", "not_a_face"])
    assert (
        set(faces.row[doubtful]) == set(faces.truth["row"][planted])
        and "drawn with a wrong label" in reason
    )


def test_findings_without_votes_and_truth(voted, logits):
    plain = replace(voted, votes=None)
    table = shared_with_taggers(logits, plain)
    assert not len(table) and "No FER+ votes" in shared_finding(table)
    assert doubtful_labels(plain) is None
    chosen = confident_mistakes(logits, plain.emotion, 4)
    assert "No FER+ votes" in confident_finding(plain, chosen)


def test_confident_mistakes_with_votes(voted, logits):
    chosen = confident_mistakes(logits, voted.emotion, 30)
    votes = voted.votes.to_numpy()
    agrees = [
        votes[i, CATEGORIES.index(NAMES[voted.emotion[i]])] == votes[i].max()
        for i in range(len(voted))
    ]
    text = confident_finding(voted, chosen)
    assert f"these 30 errors, {30 - np.array(agrees)[chosen].sum()} have" in text
    assert f"{100 * (1 - np.mean(agrees)):.1f} %" in text


@pytest.mark.slow
def test_taggers_share_errors_of_the_committed_small_resnet(project, real_data):
    from fer_utils.data.sources import read
    from fer_utils.data.votes import join_votes
    from fer_utils.emotions import PRIVATE
    from fer_utils.training.runs import logits_of

    faces = join_votes(read("csv", real_data / "fer2013.csv.gz"), real_data / "fer2013new.csv").of(
        PRIVATE
    )
    logits = logits_of(project / "reports" / "evidence" / "small_resnet-seed1", faces)
    shared = shared_with_taggers(logits, faces)
    assert shared["errors"].tolist() == [1105] * 3
    assert shared["shared"].tolist() == [425, 776, 647]
    assert (shared["low"] > shared["same_confusions"]).all() and (
        shared["same_confusions"] > shared["random"]
    ).all()
    assert tuple(confused_pairs(logits, faces).iloc[0][["emotion", "answer", "images"]]) == (
        "sad",
        "neutral",
        123,
    )
