"""Numbers as data: what is written can be read back, and the tables say what they were given."""

import json

import numpy as np
import pandas as pd
import pytest

from fer_utils import metrics, plots
from fer_utils.emotions import EMOTIONS, USAGES
from fer_utils.published import PUBLISHED


def test_values_are_written_as_they_are(tmp_path):
    values = {"public_test": {"accuracy": 0.6318, "images": 3589}, "note": "Zürich"}
    metrics.write(tmp_path / "deep" / "a.json", values)
    text = (tmp_path / "deep" / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == values
    assert "Zürich" in text and text.endswith("\n")


def test_history_is_written_without_times(tmp_path):
    history = pd.DataFrame({"epoch": [1, 2], "val_accuracy": [0.5, 0.6], "seconds": [3.1, 3.2]})
    metrics.write_history(tmp_path / "h.csv", history)
    assert (tmp_path / "h.csv").read_text() == "epoch,val_accuracy\n1,0.5\n2,0.6\n"


def test_confusion_is_written_by_name(tmp_path):
    metrics.write_confusion(tmp_path / "c.csv", np.array([0, 6, 4], np.uint8), np.array([0, 4, 5]))
    assert (tmp_path / "c.csv").read_text() == "actual,predicted\nangry,angry\nneutral,sad\nsad,surprise\n"


def test_usage_keys_are_the_usages():
    assert tuple(metrics.USAGE_KEYS.values()) == USAGES


@pytest.fixture
def ours():
    scores = {"accuracy": 0.5, "low": 0.4, "high": 0.6}
    return {"seed’s CNN": {f"{split}_{key}": value for split in ("public", "private") for key, value in scores.items()}}


def test_comparison_sets_ours_beside_the_measured_and_the_published(ours):
    measured = pd.DataFrame(
        {"model": ["seed_cnn"]}
        | {
            f"{s}_{k}": [v]
            for s, p in (("public", 0.6), ("private", 0.7))
            for k, v in zip(("accuracy", "low", "high"), (p, p - 0.02, p + 0.02), strict=True)
        }
    )
    table = metrics.comparison(ours, measured)
    assert table["kind"].tolist() == ["ours"] * 2 + ["measured"] * 2 + ["published"] * len(PUBLISHED)
    assert table["label"][:2].tolist() == ["seed’s CNN, PublicTest", "seed’s CNN, PrivateTest"]
    assert "PublicTest" in table["label"][2] and "PrivateTest" in table["label"][3]
    assert table["accuracy"][:4].tolist() == [0.5, 0.5, 0.6, 0.7]
    np.testing.assert_allclose(table["low"][:4], [0.4, 0.4, 0.58, 0.68])
    published = table[table["kind"] == "published"]
    assert published["accuracy"].tolist() == [known.accuracy for known in PUBLISHED]
    for known, row in zip(PUBLISHED, published.to_dict("records"), strict=True):
        assert known.name in row["label"]
        assert np.isnan(row["low"]) == (known.margin is None)
    assert plots.accuracies(table) is not None, "the figure takes the table"


def test_comparison_before_any_real_run(ours):
    assert set(metrics.comparison(ours, pd.DataFrame())["kind"]) == {"ours", "published"}
    header_only = pd.DataFrame(columns=["model", "public_accuracy"])
    assert set(metrics.comparison(ours, header_only)["kind"]) == {"ours", "published"}


def test_published_accuracies_are_fractions_with_a_source():
    for known in PUBLISHED:
        assert 0 < known.accuracy < 1 and known.source and known.images
    assert {round(known.accuracy, 4) for known in PUBLISHED} >= {0.6318, 0.7116, 0.65}


def test_field_table_flattens_and_keeps_the_order():
    table = metrics.field_table({"epochs": 3, "options": {"width": 0.25}, "learning_rate": 0.0005, "keep": "best"})
    assert table["value"].to_dict() == {"epochs": "3", "width": "0.25", "learning_rate": "0.0005", "keep": "best"}
    assert table.index.tolist() == ["epochs", "width", "learning_rate", "keep"]


def test_styled_tables_are_short_and_readable():
    table = pd.DataFrame(
        {"trial": [1, 2], "parameters": [4478727, 1000], "accuracy": [0.63184, np.nan], "rate": [5e-4, 0.001]}
    )
    html = metrics.styled(table, "{:.1%}", ["accuracy"]).to_html()
    for said in ("4,478,727", "63.2%", "–", "0.0005"):
        assert f">{said}</td>" in html
    assert ">0</th>" not in html, "the index shows"


def test_emotions_of_confusion_cover_all(tmp_path):
    numbers = np.arange(7)
    metrics.write_confusion(tmp_path / "c.csv", numbers, numbers)
    assert pd.read_csv(tmp_path / "c.csv")["actual"].tolist() == list(EMOTIONS)


def test_note_sets_the_real_runs_beside_drawn_faces(faces, canonical):
    measured = pd.DataFrame(
        [{"model": "seed_cnn", "epochs": 15, "seeds": "1, 2", "public_accuracy": 0.61, "private_accuracy": 0.62}]
    ).assign(private_low=0.6, private_high=0.64)
    note = metrics.data_note(faces, measured)
    assert faces.drawn and note.startswith(f"- {faces.notices[0]}")
    assert "real FER-2013" in note and "PrivateTest 62.0% (60.0% to 64.0%), seeds 1, 2." in note
    assert metrics.data_note(faces, pd.DataFrame()) == "\n".join(f"- {notice}" for notice in faces.notices)
    assert metrics.data_note(canonical, measured) == "", "real runs speak for themselves"
