"""Mistakes: who else makes them, held to plain loops over FER+ votes and to the drawn sample's planted labels."""

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
    """Faces with ten votes each, half of them for the label; no truth is known."""
    generator = np.random.default_rng(1)
    wish = generator.random((len(faces), 10)) ** 3
    wish[np.arange(len(faces)), [CATEGORIES.index(NAMES[e]) for e in faces.emotion]] += 1.5
    votes = np.array([generator.multinomial(10, row / row.sum()) for row in wish])
    return replace(
        faces, votes=pd.DataFrame(votes, columns=CATEGORIES).astype(np.uint8), truth=None
    )


@pytest.fixture(scope="module")
def logits(voted):
    """Of a model that follows a tagger drawn at random, mostly."""
    shares = voted.votes[NAMES].to_numpy() / 10
    return (2 * shares + np.random.default_rng(2).gumbel(size=shares.shape) * 0.6).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def answers():
    return some_answers()


def test_confusion(answers):
    logits, emotion = answers
    table = confusion(logits, emotion)
    expected = metrics.confusion_matrix(emotion, logits.argmax(axis=1), labels=range(7))
    assert np.array_equal(table, expected) and table.to_numpy().sum() == 500
    assert table.index.tolist() == table.columns.tolist() == list(EMOTIONS)
    # True emotion in rows, prediction in columns.
    one = confusion(np.eye(7)[[3]], np.array([5]))
    assert one.loc["surprise", "happy"] == 1 and one.to_numpy().sum() == 1


def test_most_confused_is_the_mistake_on_most_images():
    true = np.repeat([1, 3, 4], [4, 50, 20])
    said = np.concatenate([[0] * 3 + [1], [3] * 40 + [6] * 10, [4] * 11 + [6] * 9])
    # Disgust is mistaken most often of its own images, but happy on most images: 10 of 50.
    assert most_confused(confusion(np.eye(7)[said], true)) == ("happy", "neutral", 0.2)


def test_most_confused_where_nothing_is_confused():
    assert most_confused(confusion(np.eye(7), np.arange(7)))[2] == 0


def test_confident_mistakes_are_wrong_and_sorted(answers):
    logits, emotion = answers
    shares = probabilities(logits)
    chosen = confident_mistakes(logits, emotion, 20)
    assert len(chosen) == 20
    sure = shares.max(axis=1)
    assert (shares[chosen].argmax(axis=1) != emotion[chosen]).all()
    assert (np.diff(sure[chosen]) <= 0).all()
    wrong = np.flatnonzero(shares.argmax(axis=1) != emotion)
    assert sure[chosen].min() >= sure[np.setdiff1d(wrong, chosen)].max()
    assert len(confident_mistakes(logits, emotion, 10_000)) == len(wrong)
    assert len(confident_mistakes(np.eye(7), np.arange(7), 5)) == 0


def of_majority(row) -> str | None:
    best = [name for name in CATEGORIES if row[name] == row.max()]
    return best[0] if len(best) == 1 and best[0] in NAMES else None


def test_pairs_are_the_loops(voted, logits):
    table = confused_pairs(logits, voted)
    assert len(table) == 42 and (np.diff(table["images"]) <= 0).all()
    answers = logits.argmax(axis=1)
    assert table["images"].sum() == (answers != voted.emotion).sum() > 50
    for row in table.to_dict("records"):
        true, said = EMOTIONS.index(row["emotion"]), EMOTIONS.index(row["answer"])
        assert true != said
        of = [i for i in range(len(voted)) if voted.emotion[i] == true]
        taken = [i for i in of if answers[i] == said]
        assert row["images"] == len(taken) and row["share"] == pytest.approx(len(taken) / len(of))
        assert row["low"] <= row["share"] + 1e-12 and row["share"] - 1e-12 <= row["high"]
        votes = [voted.votes.iloc[i] for i in taken]
        assert row["tagger_rate"] == pytest.approx(
            np.mean([voted.votes.iloc[i][NAMES[said]] for i in of]) / 10
        )
        if taken:
            assert row["tagger_share"] == pytest.approx(
                np.mean([v[NAMES[said]] for v in votes]) / 10
            )
            assert row["majority_share"] == pytest.approx(
                np.mean([of_majority(v) == NAMES[said] for v in votes])
            )
        else:
            assert np.isnan(row["tagger_share"]) and np.isnan(row["majority_share"])


def test_pairs_without_votes_and_without_an_emotion(faces):
    chosen = faces.select(faces.emotion != 1)
    table = confused_pairs(np.eye(7)[np.full(len(chosen), 3)], chosen)
    assert list(table) == ["emotion", "answer", "images", "share", "low", "high"]
    assert table.loc[table["emotion"] == "disgust", "share"].isna().all()
    assert set(table["answer"][table["images"] > 0]) == {"happy"}
    assert confusion_finding(table).endswith(f"100% of the {table['emotion'][0]} images.")


def test_correlation_is_scipys(voted, logits):
    table = confused_pairs(logits, voted)
    rho, pairs = confusion_correlation(table)
    assert pairs == 42 and rho == pytest.approx(
        stats.spearmanr(table["share"], table["tagger_rate"])[0]
    )
    assert rho > 0.2
    assert f"correlation {rho:.2f})" in confusion_finding(table)


def test_a_model_without_a_mistake(voted):
    correct = np.eye(7)[voted.emotion]
    table = confused_pairs(correct, voted)
    assert np.isnan(confusion_correlation(table).rho)
    assert confusion_finding(table) == "No answer is wrong."
    shared = shared_with_taggers(correct, voted)
    assert shared["errors"].tolist() == [0, 0, 0] and shared["share"].isna().all()
    assert shared_finding(shared) == "No answer is wrong."
    assert (
        confident_finding(voted, confident_mistakes(correct, voted.emotion, 5))
        == "No answer is wrong."
    )


def test_shared_errors_are_the_loops(voted, logits):
    table = shared_with_taggers(logits, voted).set_index("answer_is")
    answers = logits.argmax(axis=1)
    wrong = [i for i in range(len(voted)) if answers[i] != voted.emotion[i]]
    tests = {
        "FER+'s majority": lambda i, e: of_majority(voted.votes.iloc[i]) == NAMES[e],
        "the answer of at least one tagger": lambda i, e: voted.votes.iloc[i][NAMES[e]] >= 1,
        "the answer of at least two": lambda i, e: voted.votes.iloc[i][NAMES[e]] >= 2,
    }
    assert table.index.tolist() == list(tests)
    for name, test in tests.items():
        row = table.loc[name]
        assert row["errors"] == len(wrong) and row["shared"] == sum(
            test(i, answers[i]) for i in wrong
        )
        assert row["share"] == pytest.approx(row["shared"] / len(wrong))
        others = [test(i, e) for i in wrong for e in range(7) if e != voted.emotion[i]]
        assert row["random"] == pytest.approx(np.mean(others))
        # Each error with the answer to each other error on its emotion, as often as it was given.
        mixed = [
            np.mean([test(i, answers[j]) for j in wrong if voted.emotion[j] == voted.emotion[i]])
            for i in wrong
        ]
        assert row["same_confusions"] == pytest.approx(np.mean(mixed))
    assert (table["share"] > table["random"]).all()
    assert f"Of the {len(wrong):,} wrong answers" in shared_finding(table.reset_index())


def test_planted_labels_excuse_the_model_that_sees_the_picture(faces):
    """Of drawn faces what was drawn is known: a perfect eye errs on wrong labels only, and each time with reason."""
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
    assert "100% are the emotion that was drawn (at random 17%)" in shared_finding(table)
    doubtful, why = doubtful_labels(faces)
    planted = faces.truth["fault"].isin(["wrong_label", "not_a_face"])
    assert (
        set(faces.row[doubtful]) == set(faces.truth["row"][planted])
        and "drawn with a wrong label" in why
    )


def test_nothing_is_known_without_votes_and_truth(voted, logits):
    plain = replace(voted, votes=None)
    table = shared_with_taggers(logits, plain)
    assert not len(table) and "not known" in shared_finding(table)
    doubtful, why = doubtful_labels(plain)
    assert not doubtful.any() and "no FER+ votes" in why
    chosen = confident_mistakes(logits, plain.emotion, 4)
    assert confident_finding(plain, chosen).startswith("Of these 4, 0 are known")


def test_confident_mistakes_with_votes(voted, logits):
    chosen = confident_mistakes(logits, voted.emotion, 30)
    votes = voted.votes.to_numpy()
    agrees = [
        votes[i, CATEGORIES.index(NAMES[voted.emotion[i]])] == votes[i].max()
        for i in range(len(voted))
    ]
    said = confident_finding(voted, chosen)
    assert said.startswith(f"Of these 30, {30 - np.array(agrees)[chosen].sum()} have a label")
    assert said.endswith(f"{1 - np.mean(agrees):.0%}.")


@pytest.mark.slow
def test_taggers_share_what_the_committed_small_resnet_gets_wrong(project, real_data):
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
