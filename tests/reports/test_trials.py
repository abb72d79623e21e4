"""The page of a search's trials."""

import json
import re

import pandas as pd
import pytest

from fer_utils.errors import StudyError
from fer_utils.reports.trials import trials_page, write_trials_page
from fer_utils.tuning.ledger import make_ledger

NAMES = ("loss", "dropout", "learning_rate", "label_smoothing")


@pytest.fixture
def ledger() -> pd.DataFrame:
    """Four trials, the third failed. Label smoothing has no value with the hinge loss."""
    rows = []
    for trial in range(1, 5):
        failed = trial == 3
        row = {
            "trial": trial,
            "status": "failed" if failed else "completed",
            "problem": "</script><b>&" if failed else "",
            "loss": "cross_entropy" if trial % 2 else "squared_hinge",
            "dropout": 0.1 * trial,
            "learning_rate": 10.0**-trial,
            "label_smoothing": 0.1 if trial % 2 else None,
            "val_accuracy": None if failed else 0.5 + 0.01 * trial,
        }
        run = {"seed": 1, "parameters": 9, "epoch_kept": 4, "epochs": 4, "run": f"r{trial}"}
        rows.append(row | run | {"seconds": 8.0, "curve": [0.2, 0.3]})
    return make_ledger(rows, NAMES)


def page_data(page: str) -> dict:
    """The JSON that the page's script reads."""
    return json.loads(re.search(r'id="trials">(.*?)</script>', page, re.DOTALL)[1])


def test_page_contains_all_trials_and_fetches_nothing(ledger):
    page = trials_page(ledger, NAMES)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|\bsrc=|<link|@import|url\(", page)
    assert page.count("</script>") == 2, "the text of a problem must not end a script"
    rows = page_data(page)["rows"]
    assert [row["value"]["trial"] for row in rows] == ledger["trial"].tolist() == [4, 2, 1, 3]
    assert [row["best"] for row in rows] == [True, False, False, False]
    assert rows[0]["text"]["val_accuracy"] == "54.00 %"
    (failed,) = [row for row in rows if row["failed"]]
    assert failed["position"]["val_accuracy"] is None
    assert failed["text"]["problem"] == "</script><b>&"


def test_page_is_written_from_the_table_of_the_stage_tune(ledger, tmp_path):
    table = tmp_path / "reports" / "tables" / "tune" / "trials.csv"
    table.parent.mkdir(parents=True)
    ledger.assign(dropout=None).to_csv(table, index=False)
    write_trials_page(tmp_path)
    page = (tmp_path / "reports" / "html" / "03_trials.html").read_text(encoding="utf-8")
    axes = [axis["name"] for axis in page_data(page)["axes"]]
    assert axes == ["loss", "learning_rate", "label_smoothing", "val_accuracy"], "without dropout"
    links = set(re.findall(r'href="([^"]*)"', page))
    assert links >= {"../index.html", "../index.html#glossary", "01_explore.html", "06_serve.html"}
    assert "href" not in trials_page(ledger, NAMES), "a page of its own has no reports beside it"


@pytest.mark.parametrize("content", [None, "", "trial,val_accuracy\n1,0.5\n"])
def test_missing_or_wrong_table_is_an_error_that_names_the_stage(tmp_path, content):
    table = tmp_path / "reports" / "tables" / "tune" / "trials.csv"
    if content is not None:
        table.parent.mkdir(parents=True)
        table.write_text(content)
    with pytest.raises(StudyError, match=r"trials\.csv: expected .*, found .*dvc repro tune"):
        write_trials_page(tmp_path)
