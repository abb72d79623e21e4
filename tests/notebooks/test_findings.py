"""Findings of a notebook, and those of FER-2013 behind them."""

import json
from types import SimpleNamespace

import pytest

from fer_utils.errors import StudyError
from fer_utils.notebooks.findings import Findings, read_findings

DRAWN, REAL = SimpleNamespace(drawn=True), SimpleNamespace(drawn=False)


@pytest.fixture
def evidence(tmp_path):
    (tmp_path / "evidence" / "findings").mkdir(parents=True)
    committed = tmp_path / "evidence" / "findings" / "tune.json"
    committed.write_text(json.dumps({"gain": "Tuning gained 9.6 points."}))
    return tmp_path / "evidence"


def test_a_finding_on_drawn_faces_is_followed_by_the_real_one(evidence, tmp_path):
    conclude = Findings(tmp_path / "tune.json", DRAWN, evidence)
    assert conclude("gain", "Tuning lost 3.0 points.").data == (
        "Tuning lost 3.0 points. *(drawn faces)*\n\n**On FER-2013:** Tuning gained 9.6 points."
    )
    assert conclude("other", "Nothing.").data == "Nothing. *(drawn faces)*"


def test_a_finding_on_real_faces_stands_alone(evidence, tmp_path):
    conclude = Findings(tmp_path / "tune.json", REAL, evidence)
    assert conclude("gain", "Tuning gained 8 points.").data == "Tuning gained 8 points."


def test_findings_are_kept_as_they_are_without_the_real_ones(evidence, tmp_path):
    file = tmp_path / "tune.json"
    file.write_text('{"of an earlier run": "x"}')
    conclude = Findings(file, DRAWN, evidence)
    assert read_findings(file) == {}
    conclude("gain", "5 − 3 points.")
    conclude("gain", "6 − 3 points.")  # the cell runs again
    assert read_findings(file) == {"gain": "6 − 3 points."}


def test_committed_findings_may_be_missing_and_must_be_texts(evidence, tmp_path):
    assert read_findings(tmp_path / "none.json") == {}
    for broken in ("{", "[]", '{"gain": 3}'):
        (evidence / "findings" / "tune.json").write_text(broken)
        with pytest.raises(StudyError, match=r"tune\.json: expected"):
            Findings(tmp_path / "tune.json", DRAWN, evidence)
