"""A run is scored on PrivateTest once, and each score on real faces is logged."""

import dataclasses
import shutil
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy
from fer_utils.results.scoring import LOG, LOG_COLUMNS, score
from fer_utils.training import predict as training
from fer_utils.training.predict import predict
from fer_utils.training.runs import Run


@pytest.fixture
def copy(run, tmp_path) -> Run:
    return Run(shutil.copytree(run.folder, tmp_path / run.folder.name))


@pytest.fixture
def real(faces):
    """The same faces with the source of real ones."""
    return dataclasses.replace(faces, source="csv")


def test_privatetest_is_added_and_publictest_is_kept(copy, faces, tmp_path):
    public, private = faces.of(PUBLIC), faces.of(PRIVATE)
    before = copy.logits(public)
    scored = score(copy, faces, log=tmp_path / "log.csv")
    assert np.array_equal(scored.logits(private), predict(copy.model(), private.images))
    assert np.array_equal(scored.logits(public), before)
    assert len(scored.predictions()[0]) == len(public) + len(private)


def test_a_second_call_predicts_nothing(copy, real, tmp_path, monkeypatch):
    score(copy, real, log=tmp_path / "log.csv")
    before = (copy.folder / "predictions.npz").read_bytes(), (tmp_path / "log.csv").read_bytes()
    monkeypatch.setattr(training, "predict", lambda *given: pytest.fail("predicted"))
    monkeypatch.setattr(Run, "model", lambda self: pytest.fail("opened the model"))
    score(Run(copy.folder), real, log=tmp_path / "log.csv")
    assert before == (
        (copy.folder / "predictions.npz").read_bytes(),
        (tmp_path / "log.csv").read_bytes(),
    )


def test_real_faces_are_logged_and_drawn_ones_not(copy, run, faces, real, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path))
    score(copy, faces)
    assert not (tmp_path / LOG).exists()

    for name in ("first", "second"):
        scored = score(Run(shutil.copytree(run.folder, tmp_path / name)), real)
    log = pd.read_csv(tmp_path / LOG)
    assert tuple(log.columns) == LOG_COLUMNS
    assert log["run"].tolist() == ["first", "second"]
    private = real.of(PRIVATE)
    assert set(log["images"]) == {len(private)} and set(log["fingerprint"]) == {
        run.info.fingerprint
    }
    np.testing.assert_allclose(
        log["accuracy"], accuracy(scored.logits(private), private.emotion), atol=1e-6
    )
    assert datetime.fromisoformat(log["when"][0]).utcoffset().total_seconds() == 0


def test_a_score_is_logged_before_it_is_stored(copy, real, tmp_path, monkeypatch):
    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "add_logits", stop)
    with pytest.raises(KeyboardInterrupt):
        score(copy, real, log=tmp_path / "log.csv")
    assert len(pd.read_csv(tmp_path / "log.csv")) == 1


@pytest.mark.parametrize("usage", [TRAINING, PUBLIC])
def test_changed_faces_are_refused_with_both_fingerprints(copy, real, tmp_path, usage):
    images = real.images.copy()
    images[np.flatnonzero(real.usage == usage)[0], 5, 5] ^= 1
    changed = dataclasses.replace(real, images=images)
    with pytest.raises(StudyError) as problem:
        score(copy, changed, log=tmp_path / "log.csv")
    assert real.fingerprint[:12] in str(problem.value) and changed.fingerprint[:12] in str(
        problem.value
    )
    assert not (tmp_path / "log.csv").exists() and not copy.has_predictions(real.of(PRIVATE))


def test_missing_privatetest_is_named(copy, faces, tmp_path):
    with pytest.raises(StudyError, match="PrivateTest"):
        score(copy, faces.without_private(), log=tmp_path / "log.csv")
