"""The figures of README and docs/results.md, and the aggregates that they are drawn from."""

import json
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from fer_utils.data.csv import read_csv
from fer_utils.emotions import EMOTIONS, PRIVATE
from fer_utils.errors import StudyError
from fer_utils.evaluation.published import read_results
from fer_utils.paths import CARD, RELEASED
from fer_utils.reports.headline import (
    ACCURACIES,
    COMPARED,
    COSTS,
    headline_table,
    write_figures,
)
from fer_utils.results.aggregates import read_confusion, released_confusion
from fer_utils.results.evidence import read_evidence


@pytest.fixture
def study(project, tmp_path):
    """A copy of the evidence."""
    shutil.copytree(project / "reports" / "evidence", tmp_path / "reports" / "evidence")
    (tmp_path / "docs").mkdir()
    return tmp_path


def card() -> dict:
    return json.loads((RELEASED / CARD).read_text(encoding="utf-8"))


def test_the_committed_figures_are_those_of_the_evidence(project, study):
    write_figures(study)
    for figure in (ACCURACIES, COSTS):
        drawn = (study / figure).read_text(encoding="utf-8")
        assert drawn == (project / figure).read_text(encoding="utf-8"), (
            "draw it anew: `fer-study results --csv FILE --write`"
        )
        ET.fromstring(drawn)
        assert str(project) not in drawn


def test_the_table_has_each_accuracy_with_and_without_leaks(project):
    results = read_results(project / "reports" / "evidence")
    table = headline_table(results)
    assert table["accuracy"].is_monotonic_decreasing
    ours = table[table["kind"] == "measured"]
    assert (ours["unleaked"] < ours["accuracy"]).all() and len(ours) == 5
    assert set(ours["accuracy"]) <= set(results["private_accuracy"])
    others = table[table["kind"] == "published"]
    assert len(others) == len(COMPARED) and others["unleaked"].isna().all()


def test_the_confusion_matrix_is_that_of_the_released_model(project):
    table = read_confusion(project / "reports" / "evidence")
    assert list(table.index) == list(table.columns) == list(EMOTIONS)
    scores = card()["scores"][PRIVATE]
    assert table.to_numpy().sum() == scores["images"]
    assert np.trace(table) / scores["images"] == pytest.approx(scores["top1_accuracy"])
    recall = np.diag(table) / table.sum(axis=1)
    assert recall.to_dict() == pytest.approx(scores["recall"])


@pytest.mark.slow
def test_the_confusion_matrix_is_computed_from_the_real_labels(project, real_data):
    faces = read_csv(real_data / "fer2013.csv.gz")
    evidence = project / "reports" / "evidence"
    runs = read_evidence(evidence, faces)
    recipe, seed = card()["recipe"]["name"], card()["seed"]
    found = released_confusion(runs, faces, recipe, seed)
    assert found.equals(read_confusion(evidence))
    with pytest.raises(StudyError, match="expected the released run, vgg with seed 2"):
        released_confusion(runs, faces, "vgg", 2)
