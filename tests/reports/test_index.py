"""The index page: its numbers come from the stages, and equal data give equal bytes."""

import base64
import io
import json
import re
from importlib.metadata import version

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from fer_utils.errors import StudyError
from fer_utils.reports import index as reports

SCORES = {
    "public_accuracy": 0.7023,
    "public_low": 0.652,
    "public_high": 0.748,
    "private_accuracy": 0.6881,
    "private_low": 0.638,
    "private_high": 0.735,
    "unleaked_accuracy": 0.6712,
    "unleaked_low": 0.62,
    "unleaked_high": 0.719,
}
METRICS = {
    "explore": {
        "source": "sample",
        "drawn": True,
        "images": 3512,
        "training": 2800,
        "public_test": 352,
        "private_test": 360,
        "redundant_duplicates": 41,
        "near_constant": 1,
        "notices": ["PrivateTest has <3> images too few."],
    },
    "replicate": {
        "baseline_cnn": {"parameters": 4478727, "epochs": 4, "seeds": "1, 2"} | SCORES,
        "tang_l2svm": {"parameters": 5008295, "epochs": 5, "seeds": "7"}
        | SCORES
        | {"private_accuracy": 0.6543},
        "tang_l2svm_averaged": {"parameters": 5008295, "epochs": 5, "seeds": "7"}
        | SCORES
        | {"private_low": 0.6411},
    },
    "tune": {
        "trials": 6,
        "failed": 1,
        "best_public_accuracy": 0.694,
        "retrained_public_accuracy": 0.652,
    },
    "final_model": {
        **({"model": "student", "parameters": 1203211, "epochs": 8, "seeds": "7"} | SCORES),
        "models": {
            "student": {"parameters": 1203211, "epochs": 8, "seeds": "7"} | SCORES,
            "ensemble (2 networks)_averaged": {"parameters": 9487022, "epochs": 9, "seeds": "1, 2"}
            | SCORES,
            "baseline_cnn": {"parameters": 4478727, "epochs": 4, "seeds": "1, 2"} | SCORES,
        },
    },
    "analyse_errors": {
        "model": "final_model",
        "split": "PrivateTest",
        "accuracy": 0.688,
        "macro_f1": 0.6124,
        "balanced_accuracy": 0.604,
        "most_confused": ["fear", "surprise", 0.31],
    },
    "serve": {"faces_found": 1, "emotion": "happy"},
}
RESULTS = """\
model,parameters,data,epochs,seeds,tta,public_accuracy,public_low,public_high,public_spread,\
private_accuracy,private_low,private_high,private_spread,\
unleaked_accuracy,unleaked_low,unleaked_high,unleaked_spread,minutes,machine,evidence
Replicated,4478727,FER-2013,12,"0, 1",,0.6123,0.596,0.628,0.004,\
0.6211,0.605,0.637,0.005,0.6102,0.593,0.627,0.006,161.4,2 cores,reports/evidence/a
Tang,5008295,FER-2013,40,3,,0.5776,0.561,0.593,,\
0.5806,0.564,0.597,,0.57,0.55,0.59,,15.8,2 cores,reports/evidence/b
Tang,5008295,FER-2013,40,3,jitter,0.5845,0.568,0.6,,\
0.5875,0.571,0.603,,0.58,0.56,0.6,,15.8,2 cores,reports/evidence/b
"""
REAL = "Results on the real FER-2013"


def leave(root, metrics=METRICS):
    """Write the files of a finished pipeline that the index reads to `root`."""
    folder = root / "reports" / "metrics"
    folder.mkdir(parents=True)
    for stage, values in metrics.items():
        (folder / f"{stage}.json").write_text(json.dumps(values))
    (root / "params.yaml").write_text("profile: cpu\nprepare:\n  source: sample\n")
    evidence = root / "reports" / "evidence"
    for name in ("a", "b"):
        (evidence / name).mkdir(parents=True)
    (evidence / "results.csv").write_text(RESULTS)

    picture = io.BytesIO()
    Image.new("RGBA", (1200, 300)).save(picture, "PNG")
    data = {"image/png": base64.b64encode(picture.getvalue()).decode()}
    title = new_markdown_cell(
        "# Tune it & see\n\nA *small* search, of 2.5 hours, by [rule](x.ipynb). More.", id="t"
    )
    shown = new_code_cell("", id="c", outputs=[new_output("display_data", data)])
    for where in ("notebooks", "reports/notebooks"):
        (root / where).mkdir()
        nbformat.write(new_notebook(cells=[title, shown]), root / where / "03_tune.ipynb")
    (root / "reports" / "html").mkdir()
    (root / "reports" / "html" / "03_tune.html").write_text("a report")


def index(root) -> str:
    out = root / "reports" / "index.html"
    reports.write_index(out, root=root)
    return out.read_text(encoding="utf-8")


def words(page: str) -> str:
    """The text of a page, without tags and style."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]).split())


def test_shows_the_numbers_of_the_run(tmp_path):
    leave(tmp_path)
    text = words(index(tmp_path))
    for expected in (
        "Final model of this run (drawn faces) 68.8 % PrivateTest",
        "95 % interval 63.8–73.5 %, seed 7",
        "PublicTest 70.2 % 65.2–74.8",
        "0.612 PrivateTest; balanced accuracy 60.4 %",
        "31 % of the fear images are predicted as surprise (PrivateTest)",
        "Trials of the search 6 1 failed.",
        "69.4 % in the search, 65.2 % retrained",
        "Faces found by the server 1 in one portrait, predicted as happy",
        "Final model of this run (drawn faces) 1,203,211 parameters · 8 epochs · seed 7",
        "3,512 2,800 Training, 352 PublicTest, 360 PrivateTest",
        "PrivateTest has &lt;3&gt; images too few.",
        "duplicates of another: 41. Nearly blank images: 1.",
        "Profile cpu",
        f"numpy {version('numpy')}",
    ):
        assert expected in text
    assert "not run yet" not in text


def test_each_trained_model_has_one_row_and_one_with_tta(tmp_path):
    leave(tmp_path)
    text = words(index(tmp_path))
    table = text[text.index("Accuracies of this run") : text.index("Notes on the data")]
    public = "PublicTest 70.2 % 65.2–74.8"
    final = "Final model of this run (drawn faces) 1,203,211 parameters"
    ensemble = "ensemble (2 networks), TTA 9,487,022 parameters · 9 epochs · seeds 1, 2"
    baseline = (
        f"baseline_cnn 4,478,727 parameters · 4 epochs · seeds 1, 2 {public} PrivateTest 68.8 %"
    )
    single = f"tang_l2svm 5,008,295 parameters · 5 epochs · seed 7 {public} PrivateTest 65.4 %"
    tta = "tang_l2svm, TTA 5,008,295 parameters"
    places = [table.index(row) for row in (final, ensemble, baseline, single, tta)]
    assert places == sorted(places)
    assert "PrivateTest 68.8 % 64.1–73.5" in table[places[4] :]
    assert table.count("student") == 0 and table.count("baseline_cnn") == 1


def test_real_runs_and_published_scores_are_in_one_table(tmp_path):
    leave(tmp_path)
    page = index(tmp_path)
    text = words(page)
    real = text[text.index(REAL) : text.index("The reports")]
    tang = "FER-2013 · 5,008,295 parameters · 40 epochs · seed 3"
    for expected in (
        "FER-2013 · 4,478,727 parameters · 12 epochs · seeds 0, 1 · 161 min on 2 cores",
        "PrivateTest 62.1 % 60.5–63.7",
        f"Tang {tang} · 16 min on 2 cores PublicTest 57.8 % 56.1–59.3",
        f"Tang, TTA {tang}",
        "PrivateTest 58.8 % 57.1–60.3",
        "both test splits merged 63.18 %",
        "PrivateTest 71.16 %",
        "65 ± 5 %",
    ):
        assert expected in real
    assert '<a href="evidence/a">Replicated</a>' in page
    assert "<b>Table 1.</b> Accuracies on FER-2013" in page
    assert '<a href="evidence/b">Tang, TTA</a>' in page


@pytest.mark.parametrize("drawn", [True, False])
def test_drawn_faces_are_marked(tmp_path, drawn):
    explore = METRICS["explore"] | {"drawn": drawn, "source": "sample" if drawn else "csv"}
    leave(tmp_path, METRICS | {"explore": explore})
    page = index(tmp_path)
    assert ('<aside class="drawn">' in page) == drawn
    assert ("Final model of this run (drawn faces)" in page) == drawn
    assert ("Data csv" in words(page)) != drawn
    assert ("drawn faces" in re.search(r"<caption><b>Table 2.*?</caption>", page)[0]) == drawn


def test_the_first_line_is_the_accuracy_on_the_real_data(tmp_path):
    leave(tmp_path)
    text = words(index(tmp_path))
    answer = (
        "The best single network, Replicated, classifies 62.1 ± 0.5 % of PrivateTest correctly "
        "(3,589 images, seeds 0, 1, 95 % interval 60.5–63.7 %). Without leaks it is 61.0 ± 0.6 % "
        "(95 % interval 59.3–62.7 %)."
    )
    assert f"recognise facial expressions? {answer}" in text
    assert text.index(answer) < text.index(REAL) < text.index("This run")


def test_drawn_faces_have_an_axis_of_their_own(tmp_path):
    low = METRICS["final_model"] | {"public_low": 0.12}
    leave(tmp_path, METRICS | {"final_model": low})
    axes = re.findall(r'<div class="axis">(.*?)</div>', index(tmp_path))
    first = [words(f"</style>{axis}").split()[0] for axis in axes]
    assert first == ["50", "10"], "real and published scores, then drawn ones"


def test_a_committed_training_is_not_listed_again(tmp_path):
    explore = METRICS["explore"] | {"drawn": False, "source": "csv"}
    scores = {"public_accuracy": 0.57761, "private_accuracy": 0.58059}
    committed = METRICS["replicate"]["tang_l2svm"] | scores
    leave(tmp_path, METRICS | {"explore": explore, "replicate": {"Tang": committed}})
    text = words(index(tmp_path))
    own = text[text.index("Accuracies of this run") : text.index("Notes on the data")]
    assert "Tang 5,008,295" not in own
    assert "are in the table of results on the real FER-2013" in own
    assert "baseline_cnn" in own


def test_cards_come_from_the_notebooks(tmp_path):
    leave(tmp_path)
    page = index(tmp_path)
    assert '<a href="html/03_tune.html">Tune it &amp; see</a>' in page
    assert "A small search, of 2.5 hours, by rule." in words(page)
    assert "More." not in words(page)
    (encoded,) = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="">', page)
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (560, 140)
    assert 'href="html/01' not in page


def test_glossary_is_alphabetical(tmp_path):
    page = index(tmp_path)
    glossary = page[page.index('id="glossary"') : page.index('class="limits"')]
    terms = re.findall(r"<dt>(.*?)</dt>", glossary)
    assert terms == sorted(terms, key=str.casefold)
    ids = re.findall(r'id="(term-[^"]*)"', glossary)
    assert len(ids) == len(set(ids)) == len(terms)
    for term in (
        *("PublicTest", "leak", "FER+", "macro F1", "interval", "calibration", "distillation"),
        *("recipe", "logits", "jitter", "bootstrap", "Brier score", "Hyperband", "TTA"),
        *("confident learning", "occlusion map", "slice"),
    ):
        assert term in " ".join(terms)


def test_an_empty_root_gives_a_page(tmp_path):
    text = words(index(tmp_path))
    assert text.count("not run yet") == 5
    assert text.count("Not run yet.") == 6
    assert REAL in text
    assert "71.16 %" in text


def test_any_single_stage_gives_a_page(tmp_path):
    for stage, values in METRICS.items():
        root = tmp_path / stage
        leave(root, {stage: values})
        assert "not run yet" in words(index(root))


def test_model_that_has_not_seen_private_test(tmp_path):
    unscored = METRICS["final_model"] | {
        f"private_{key}": None for key in ("accuracy", "low", "high")
    }
    leave(tmp_path, METRICS | {"final_model": unscored})
    assert "70.2 % PublicTest, 95 % interval 65.2–74.8 %" in words(index(tmp_path))


def test_same_data_same_bytes_and_nothing_fetched(tmp_path):
    leave(tmp_path)
    page = index(tmp_path)
    assert page == index(tmp_path)
    assert not re.search(r"https?://|url\(|@import|<script", page)
    assert all(address.startswith("data:") for address in re.findall(r'src="([^"]*)"', page))


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("reports/metrics/tune.json", "{", "tune.json"),
        ("reports/metrics/tune.json", '{"trials": 3}', "best_public_accuracy"),
        ("reports/metrics/final_model.json", '{"epochs": 3}', "parameters"),
        ("reports/metrics/replicate.json", '{"baseline_cnn": {"parameters": 3}}', "epochs"),
        # The format of an earlier version: the scores of one network.
        (
            "reports/metrics/replicate.json",
            '{"network": "a", "parameters": 3}',
            "Run the pipeline again",
        ),
        ("reports/evidence/results.csv", "model\nx\n", "results.csv"),
        (
            "reports/evidence/results.csv",
            RESULTS.replace("unleaked_low", "low"),
            "results.csv.*unleaked_low",
        ),
        ("params.yaml", "a: [", "params.yaml"),
    ],
)
def test_an_unreadable_file_is_an_error_and_keeps_the_page(tmp_path, path, content, expected):
    leave(tmp_path)
    before = index(tmp_path)
    (tmp_path / path).write_text(content)
    with pytest.raises(StudyError, match=expected):
        index(tmp_path)
    assert (tmp_path / "reports" / "index.html").read_text(encoding="utf-8") == before
