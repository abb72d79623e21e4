"""Metrics and tables of the notebooks: files can be read back, tables contain their numbers."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from fer_utils import plots
from fer_utils.emotions import EMOTIONS, PRIVATE, USAGES
from fer_utils.evaluation.published import PUBLISHED
from fer_utils.notebooks import metrics


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


def test_curves_are_written_side_by_side(tmp_path):
    histories = {
        "short": pd.DataFrame(
            {"epoch": [1, 2], "loss": [1.5, 1.2], "val_accuracy": [0.5, 0.6], "seconds": [3.1, 3.2]}
        ),
        "long": pd.DataFrame({"epoch": [1, 2, 3], "val_accuracy": [0.25, 0.5, 0.75]}),
    }
    metrics.write_curves(tmp_path / "deep" / "c.csv", histories)
    written = (tmp_path / "deep" / "c.csv").read_text()
    assert written == "epoch,short,long\n1,0.5,0.25\n2,0.6,0.5\n3,,0.75\n"


def test_confusion_is_written_by_name(tmp_path):
    metrics.write_confusion(tmp_path / "c.csv", np.array([0, 6, 4], np.uint8), np.array([0, 4, 5]))
    written = (tmp_path / "c.csv").read_text()
    assert written == "actual,predicted\nangry,angry\nneutral,sad\nsad,surprise\n"


def test_usage_keys_are_the_splits():
    assert tuple(metrics.USAGE_KEYS.values()) == USAGES


def summary(model: str, private: float, tta: str = "", seeds: str = "1") -> dict:
    """A row of `results.summarise`.

    The PublicTest accuracy is one point below `private`, the accuracy without leaks two points.
    """
    row = {"model": model, "parameters": 1234, "data": "FER-2013", "epochs": 3, "seeds": seeds}
    row["tta"] = tta
    means = {"public": private - 0.01, "private": private, "unleaked": private - 0.02}
    for split, mean in means.items():
        row |= {f"{split}_accuracy": mean, f"{split}_low": mean - 0.1, f"{split}_high": mean + 0.1}
        row[f"{split}_spread"] = np.nan
    return row | {"minutes": 1.5, "machine": "a machine"}


@pytest.fixture
def ours():
    return pd.DataFrame(
        [summary("baseline_cnn", 0.5), summary("tang", 0.52), summary("tang", 0.54, "jitter")]
    )


@pytest.fixture
def measured():
    rows = [
        summary("baseline_cnn", 0.6),
        summary("tang", 0.62),
        summary("tang", 0.64, "jitter"),
        summary("other", 0.66),
    ]
    return pd.DataFrame(rows)


def test_comparison_has_this_run_the_committed_runs_and_published_models(ours, measured):
    table = metrics.comparison(ours, measured, drawn=False)
    kinds = ["ours"] * 3 + ["measured"] + ["published"] * len(PUBLISHED)
    assert table["kind"].tolist() == kinds
    assert table["label"][:4].tolist() == ["baseline_cnn", "tang", "tang, TTA", "other"]
    private = np.array([0.5, 0.52, 0.54, 0.66])
    for column, values in (("accuracy", private), ("low", private - 0.1), ("high", private + 0.1)):
        np.testing.assert_allclose(table[column][:4], values, err_msg=column)
    published = table[table["kind"] == "published"]
    assert published["accuracy"].tolist() == [known.accuracy for known in PUBLISHED]
    for known, row in zip(PUBLISHED, published.to_dict("records"), strict=True):
        assert known.name in row["label"]
        assert known.images == PRIVATE or known.images in row["label"]
        assert np.isnan(row["low"]) == np.isnan(row["high"]) == (known.margin is None)
    assert plots.plot_accuracies(table) is not None


def test_scores_on_drawn_faces_share_no_axis_with_others(ours, measured):
    table = metrics.comparison(ours, measured, drawn=True)
    assert table["kind"].tolist() == ["measured"] * 4 + ["published"] * len(PUBLISHED)


def test_comparison_leaves_out_committed_runs_of_models_trained_on_real_faces(ours, measured):
    def committed(ours: pd.DataFrame) -> list[str]:
        table = metrics.comparison(ours, measured, drawn=False)
        assert (table["kind"] == "ours").sum() == len(ours)
        return table["label"][table["kind"] == "measured"].tolist()

    assert committed(ours) == ["other"]
    assert committed(ours[ours["tta"] == ""]) == ["tang, TTA", "other"]
    assert committed(ours[ours["model"] == "baseline_cnn"]) == ["tang", "tang, TTA", "other"]


@pytest.mark.parametrize("drawn", [True, False])
def test_comparison_before_any_real_run(ours, measured, drawn):
    kinds = {"published"} if drawn else {"ours", "published"}
    for empty in (pd.DataFrame(), measured.iloc[:0]):
        assert set(metrics.comparison(ours, empty, drawn=drawn)["kind"]) == kinds


def test_scores_by_model_are_plain_values_by_name(ours, tmp_path):
    scores = metrics.scores_by_model(ours)
    assert list(scores) == ["baseline_cnn", "tang", "tang_averaged"]
    splits, keys = ("public", "private", "unleaked"), ("accuracy", "low", "high")
    kept = {f"{split}_{key}" for split in splits for key in keys}
    for row, found in zip(ours.to_dict("records"), scores.values(), strict=True):
        assert set(found) == kept | {"parameters", "epochs", "seeds"}
        assert found == {key: row[key] for key in found}
    metrics.write(tmp_path / "m.json", scores)
    text = (tmp_path / "m.json").read_text()
    assert json.loads(text) == scores
    assert "NaN" not in text, "JSON has no NaN, the spread of one seed"


def test_published_table_has_images_caveats_and_sources():
    styler = metrics.published_table()
    assert styler.data.columns.tolist() == ["name", "measured on", "accuracy", "caveat", "source"]
    html = styler.to_html(escape="html")
    for known in PUBLISHED:
        accuracy = f"{100 * known.accuracy:.2f} %"
        for text in (known.name, known.images, accuracy, known.caveat, known.source):
            assert f">{text}</td>" in html


def test_published_accuracies_are_fractions_with_a_source():
    for known in PUBLISHED:
        assert 0 < known.accuracy < 1 and known.source and known.images
    assert {round(known.accuracy, 4) for known in PUBLISHED} >= {0.6318, 0.7116, 0.65}


def test_field_table_flattens_and_keeps_the_order():
    table = metrics.field_table(
        {"epochs": 3, "options": {"width": 0.25}, "learning_rate": 0.0005, "keep": "best"}
    )
    assert table["value"].to_dict() == {
        "epochs": "3",
        "width": "0.25",
        "learning_rate": "0.0005",
        "keep": "best",
    }
    assert table.index.tolist() == ["epochs", "width", "learning_rate", "keep"]


def test_styled_tables_have_readable_numbers():
    table = pd.DataFrame(
        {
            "trial": [1, 2],
            "parameters": [4478727, 1000],
            "accuracy": [0.63184, np.nan],
            "difference": [-0.0123, 0.01],
            "rate": [5e-5, 0.001],
        }
    )
    html = metrics.styled(table, "{:.1%}", ["accuracy", "difference"]).to_html()
    for text in ("4,478,727", "63.2 %", "–", "−1.2 %", "5e-05"):
        assert f">{text}</td>" in html
    assert ">0</th>" not in html, "the index is not shown"


def test_styled_tables_align_only_text_to_the_left():
    table = pd.DataFrame({"model": ["a"], "share": [0.5], "p": [np.nan], "seeds": ["1, 2"]})
    html = metrics.styled(table, "{:.1%}", ["share"]).to_html()
    css = re.sub(r"\s+", "", html.partition("</style>")[0])
    assert re.findall(r"\.col(\d+){text-align:left;white-space:normal;}", css) == ["0", "3"]


def test_emotions_of_confusion_cover_all(tmp_path):
    numbers = np.arange(7)
    metrics.write_confusion(tmp_path / "c.csv", numbers, numbers)
    assert pd.read_csv(tmp_path / "c.csv")["actual"].tolist() == list(EMOTIONS)


def test_note_has_the_best_real_run_without_tta_if_faces_are_drawn(faces, canonical):
    rows = [
        summary("tang", 0.64, "jitter"),
        summary("baseline_cnn", 0.62, seeds="1, 2"),
        summary("tang", 0.6),
    ]
    note = metrics.data_note(faces, pd.DataFrame(rows))
    assert faces.drawn and note.startswith(f"- {faces.notices[0]}")
    for text in ("baseline_cnn", "3 epochs", "seeds 1, 2", "61.0 %", "62.0 %", "52.0 % to 72.0 %"):
        assert text in note
    assert "tang" not in note
    notices = "\n".join(f"- {notice}" for notice in faces.notices)
    assert metrics.data_note(faces, pd.DataFrame()) == notices
    assert metrics.data_note(canonical, pd.DataFrame(rows)) == ""


def test_values_have_their_intervals():
    table = pd.DataFrame(
        {
            "score": ["a", "b"],
            "value": [0.5, 0.25],
            "low": [-0.4, None],
            "high": [0.6, None],
            "meaning": ["x", "y"],
        }
    )
    intervals = {"value": ("low", "high")}
    html = metrics.with_intervals(table, intervals, keep=["score"]).to_html()
    assert "50.0 % (−40.0 % to 60.0 %)" in html and ">25.0 %<" in html
    assert "low" not in html and "meaning" not in html
    assert ">y<" in metrics.with_intervals(table, intervals).to_html()
    assert "0.500 (−0.400 to 0.600)" in metrics.with_intervals(table, intervals, "{:.3f}").to_html()
