"""Figures show the values that they are given, and none opens a window."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fer_utils import plots
from fer_utils.analysis.mistakes import confusion
from fer_utils.emotions import EMOTIONS, PUBLIC, TRAINING, USAGES
from fer_utils.evaluation import per_emotion

HISTORY = pd.DataFrame(
    {"epoch": [1, 2, 3], "loss": [2, 1.5, 1.2], "accuracy": [0.2, 0.3, 0.4]}
    | {"val_loss": [1.9, 1.6, 1.4], "val_accuracy": [0.25, 0.3, 0.35], "learning_rate": 5e-4}
)
LEDGER = pd.DataFrame(
    {
        "trial": [2, 1, 3],
        "status": ["completed", "completed", "failed"],
        "width": [0.25, 0.5, 0.5],
        "learning_rate": [1e-3, 1e-4, 1e-2],
        "val_accuracy": [0.6, 0.5, None],
    }
)
ACCURACIES = pd.DataFrame(
    {
        "label": ["a", "b", "c"],
        "accuracy": [0.6, 0.63, 0.7],
        "low": [0.58, 0.61, np.nan],
        "high": [0.62, 0.65, np.nan],
        "kind": ["ours", "measured", "published"],
    }
)


@pytest.fixture(autouse=True)
def no_figure_stays_open(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *args, **options: pytest.fail("opened a window"))
    monkeypatch.setattr(Figure, "show", lambda *args, **options: pytest.fail("opened a window"))
    yield
    assert plt.get_fignums() == []


@pytest.fixture(scope="module")
def few(faces):
    """Three faces of two emotions, none of PrivateTest."""
    chosen = [
        np.flatnonzero((faces.emotion == e) & (faces.usage == u))[0]
        for e, u in ((3, TRAINING), (3, PUBLIC), (6, TRAINING))
    ]
    return faces.select(np.array(chosen))


@pytest.fixture(scope="module")
def logits(faces):
    return np.random.default_rng(0).normal(size=(len(faces), 7)).astype(np.float32)


def drawn(figure) -> Figure:
    """Draw a figure completely and return it."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(plt.Text) if text.get_text()]


def test_counts(faces, few):
    figure = drawn(plots.plot_counts(faces))
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes] == [
        f"{usage} ({(faces.usage == usage).sum()})" for usage in USAGES
    ]
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    training = faces.emotion[faces.usage == TRAINING]
    np.testing.assert_allclose(widths, 100 * np.bincount(training, minlength=7) / len(training))
    drawn(plots.plot_counts(few))


def test_examples_have_their_emotion_and_depend_on_the_seed(faces, few):
    figure = drawn(plots.plot_examples(faces, per_emotion=3, seed=1))
    axes = np.array(figure.axes).reshape(7, 3)
    assert [row[0].get_ylabel() for row in axes] == list(EMOTIONS)

    def shown(figure):
        return [
            np.asarray(image.get_array())
            for image in figure.findobj(plt.matplotlib.image.AxesImage)
        ]

    for number, row in enumerate(axes):
        of_emotion = faces.images[faces.emotion == number]
        for ax in row:
            assert (of_emotion == np.asarray(ax.images[0].get_array())).all(axis=(1, 2)).any()
    assert all(
        np.array_equal(a, b)
        for a, b in zip(shown(figure), shown(plots.plot_examples(faces, 3, 1)), strict=True)
    )
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(shown(figure), shown(plots.plot_examples(faces, 3, 2)), strict=True)
    )
    assert len(shown(drawn(plots.plot_examples(few, per_emotion=4, seed=0)))) == 3


def test_mean_faces(faces, few):
    figure = drawn(plots.plot_mean_faces(faces))
    mean = faces.images[faces.emotion == 3].mean(axis=0)
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), mean)
    np.testing.assert_allclose(
        figure.axes[7 + 3].images[0].get_array(), mean - faces.images.mean(axis=0)
    )
    drawn(plots.plot_mean_faces(few))
    drawn(plots.plot_mean_faces(few.select(np.array([0]))))


def test_brightness_and_contrast(faces, few):
    assert len(drawn(plots.plot_brightness_and_contrast(faces)).axes) == 2
    drawn(plots.plot_brightness_and_contrast(few))


def test_network_has_a_box_for_the_input_and_each_layer_with_a_kernel():
    from fer_utils.networks import build

    model = build("baseline_cnn", width=0.125)
    figure = drawn(plots.plot_network(model))
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    kernels = [layer for layer in model.layers if type(layer).__name__ in ("Conv2D", "Dense")]
    assert len(boxes) == 1 + len(kernels) == 8
    found = texts(figure)
    titles = ["input", "conv 3×3", "conv 5×5", "conv 3×3", "conv 3×3", "dense", "dense", "dense"]
    assert [text for text in found if text in titles] == titles
    for shape in ("48×48×1", "24×24×8", "12×12×16", "6×6×64", "3×3×64", "32", "64", "7"):
        assert shape in found
    assert sum("max-pool 2" in text for text in found) == 4


def test_learning_curves():
    figure = drawn(plots.plot_learning_curves({"one": HISTORY, "other": HISTORY.iloc[:1]}))
    loss, accuracy = figure.axes
    assert len(loss.lines) == len(accuracy.lines) == 4
    np.testing.assert_allclose(loss.lines[1].get_ydata(), HISTORY["val_loss"])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 100 * HISTORY["val_accuracy"])
    assert {"one, Training", "other, PublicTest"} <= set(texts(figure))


def test_accuracies():
    figure = drawn(plots.plot_accuracies(ACCURACIES))
    kinds = {"this run", "this study's runs on FER-2013", "published"}
    assert {"60.0", "63.0", "70.0", "a", "b", "c"} | kinds <= set(texts(figure))
    spans = [line.get_xdata() for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(spans, [[58, 62], [61, 65]])
    assert not kinds - {"this run"} & set(texts(drawn(plots.plot_accuracies(ACCURACIES.iloc[:1]))))


def test_predictions_show_label_prediction_and_probability(faces, logits):
    certain = logits.copy()
    certain[4] = np.where(np.arange(7) == faces.emotion[4], 50, 0)
    certain[9] = np.where(np.arange(7) == (faces.emotion[9] + 1) % 7, 50, 0)
    figure = drawn(plots.plot_predictions(faces, certain, [4, 9]))
    correct, wrong, *others = figure.axes
    for ax, index in ((correct, 4), (wrong, 9)):
        assert ax.get_title() == EMOTIONS[faces.emotion[index]]
        assert np.array_equal(ax.images[0].get_array(), faces.images[index])
    assert correct.get_xlabel() == f"{EMOTIONS[faces.emotion[4]]} 100 %"
    assert wrong.get_xlabel() == f"{EMOTIONS[(faces.emotion[9] + 1) % 7]} 100 %"
    assert correct.xaxis.label.get_color() != wrong.xaxis.label.get_color()
    assert not any(ax.images for ax in others)
    drawn(plots.plot_predictions(faces, logits, range(11)))
    drawn(plots.plot_predictions(faces, logits, []))  # a model without errors


def test_trials():
    figure = drawn(plots.plot_trials(LEDGER, ["width", "learning_rate"]))
    assert [ax.get_xlabel() for ax in figure.axes] == ["Trial", "Width", "Learning rate"]
    assert figure.axes[2].get_xscale() == "log"
    assert len(figure.axes[1].collections[0].get_offsets()) == 2, "failed trials have no score"
    np.testing.assert_allclose(figure.axes[1].collections[1].get_offsets(), [[0.25, 60]])
    drawn(plots.plot_trials(LEDGER.iloc[:1], ["width"]))


def test_confusion(faces, logits, few):
    table = confusion(logits, faces.emotion)
    cells = [text.get_text() for text in drawn(plots.plot_confusion(table)).axes[0].texts]
    assert len(cells) == 49
    share = round(100 * table.iloc[0, 1] / table.iloc[0].sum())
    assert cells[1] == f"{share}\n{table.iloc[0, 1]}"
    drawn(plots.plot_confusion(confusion(logits[:3], few.emotion)))


def test_scores_by_emotion(faces, logits, few):
    table = per_emotion(logits, faces.emotion)
    figure = drawn(plots.plot_scores_by_emotion(table))
    assert f"happy ({table.loc['happy', 'images']})" in texts(figure)
    drawn(plots.plot_scores_by_emotion(per_emotion(logits[:3], few.emotion)))


def test_equal_figures_have_equal_bytes(faces, tmp_path):
    for name in ("one", "other"):
        plots.use_style()
        plots.plot_counts(faces).savefig(tmp_path / f"{name}.png")
        plots.plot_counts(faces).savefig(tmp_path / f"{name}.svg", metadata={"Date": None})
    for suffix in ("png", "svg"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (
            tmp_path / f"other.{suffix}"
        ).read_bytes()


def test_saved_figure_is_a_reproducible_pdf_and_is_returned(faces, tmp_path):
    for name in ("one", "other"):
        figure = plots.plot_counts(faces)
        assert plots.save_figure(figure, tmp_path / "new" / f"{name}.pdf") is figure
    saved = [(tmp_path / "new" / f"{name}.pdf").read_bytes() for name in ("one", "other")]
    assert saved[0] == saved[1] and saved[0].startswith(b"%PDF")


def test_figures_do_not_import_a_training_library():
    code = (
        "import sys, fer_utils.plots, fer_utils.notebooks.metrics\n"
        "sys.exit(', '.join({'keras', 'tensorflow', 'jax'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_accuracy_by_epoch_has_a_named_line_per_run_without_overlaps():
    histories = {
        f"run {number}": pd.DataFrame(
            {
                "epoch": range(1, 4 + number % 3),
                "val_accuracy": [0.3, 0.4, 0.5, 0.51, 0.5][: 3 + number % 3],
            }
        )
        for number in range(9)
    }
    (ax,) = plots.plot_accuracy_by_epoch(histories).axes
    assert len(ax.lines) == 9
    for line, history in zip(ax.lines, histories.values(), strict=True):
        assert line.get_ydata().tolist() == pytest.approx(100 * history["val_accuracy"])
    assert {text.get_text() for text in ax.texts} == set(histories)
    heights = sorted(text.xyann[1] for text in ax.texts)
    assert min(np.diff(heights)) > 2
