"""Comparison with random search, importance, and figures of a search."""

import numpy as np
import pandas as pd
import pytest

from fer_utils.plots import tuning as figures
from fer_utils.tuning.importance import LEAST_TRIALS, importance, importance_finding
from fer_utils.tuning.ledger import (
    against_random,
    best_so_far,
    make_ledger,
    random_best_so_far,
    search_finding,
)

NAMES = ("depth", "loss", "dropout", "learning_rate", "label_smoothing")


def ledger(trials: int = 30, noise: float = 0.002, failed: tuple[int, ...] = (3,)) -> pd.DataFrame:
    """Return a ledger whose scores depend on the learning rate and a little on dropout."""
    random, rows = np.random.default_rng(5), []
    for trial in range(1, trials + 1):
        rate, dropout = 10 ** random.uniform(-4, -1), random.uniform(0, 0.5)
        loss = str(random.choice(["cross_entropy", "squared_hinge"]))
        row = {
            "trial": trial,
            "seed": 1,
            "depth": int(random.integers(1, 3)),
            "loss": loss,
            "dropout": dropout,
        }
        row |= {"learning_rate": rate, "label_smoothing": 0.1 if loss == "cross_entropy" else None}
        score = 0.6 - 0.05 * (np.log10(rate) + 2.5) ** 2 - 0.02 * dropout + random.normal(0, noise)
        works = trial not in failed
        row |= {
            "status": "completed" if works else "failed",
            "problem": "" if works else "</script><b>&",
        }
        row |= {
            "parameters": 9,
            "epoch_kept": 4,
            "run": f"r{trial}",
            "seconds": 8.0 if works else 2.0,
        }
        row |= {
            "val_accuracy": score if works else None,
            "epochs": 4 if works else 1,
            "curve": [0.2, 0.3, 0.4, score],
        }
        rows.append(row)
    return make_ledger(rows, NAMES)


# --- compute ---


def test_best_so_far_includes_the_cost_of_failed_trials():
    table, ordered = best_so_far(ledger()), ledger().sort_values("trial")
    assert table["epochs"].tolist() == [4, 8, 9, *range(13, 13 + 4 * 27, 4)]
    assert table["seconds"].iloc[-1] == 29 * 8 + 2
    best = -1
    for row, score in zip(table.to_dict("records"), ordered["val_accuracy"], strict=True):
        best = max(best, score) if score == score else best
        assert row["best"] == best


def test_best_of_random_trials_matches_a_simulation():
    random = ledger(trials=8, failed=())
    table = random_best_so_far(random)
    scores = random["val_accuracy"].to_numpy()
    drawn = np.random.default_rng(0).choice(scores, (200_000, 8))
    for k, row in enumerate(table.to_dict("records"), 1):
        best = drawn[:, :k].max(axis=1)
        assert row["mean"] == pytest.approx(best.mean(), abs=2e-3)
        low, high = np.quantile(best, [0.05, 0.95], method="inverted_cdf")
        assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert table["epochs"].tolist() == [4 * k for k in range(1, 9)]


def test_searches_are_compared_at_equal_compute():
    random = ledger(trials=10, failed=())
    better = random.assign(val_accuracy=random["val_accuracy"] + 0.1)
    worse = random.assign(val_accuracy=random["val_accuracy"] - 0.3)
    table = against_random(random, random)
    expected = random_best_so_far(random)
    np.testing.assert_allclose(table["random_mean"], expected["mean"])
    positions = {"inside": random, "above": better, "below": worse}
    for position, searched in positions.items():
        text = search_finding(against_random(searched, random))
        assert f"{position} this interval" in text
        assert f"{100 * searched['val_accuracy'].max():.1f} %" in text
    # A trial shorter than a random one has no comparison.
    assert np.isnan(against_random(random.assign(epochs=1), random)["random_mean"][:3]).all()


# --- importance ---


def test_importance_finds_the_learning_rate():
    table = importance(ledger(), NAMES)
    assert table["hyperparameter"][0] == "learning_rate" and table["explained"][0] > 0.5
    assert table["importance"][0] > 10 * table["importance"][1:].max()
    text = importance_finding(table)
    assert "learning rate" in text and f"{100 * table['importance'][0]:.2f} points" in text


def test_importance_of_random_scores_and_few_trials_is_unknown():
    trials = ledger()
    scores = trials["val_accuracy"].sample(frac=1, random_state=2).to_numpy()
    shuffled = importance(trials.assign(val_accuracy=scores).dropna(subset="val_accuracy"), NAMES)
    assert shuffled["explained"][0] <= 0 and "unknown" in importance_finding(shuffled)
    few = importance(ledger(trials=LEAST_TRIALS - 1, failed=()), NAMES)
    assert few.empty and f"Fewer than {LEAST_TRIALS} trials" in importance_finding(few)


def test_different_epochs_count_as_a_hyperparameter():
    trials = ledger(failed=())
    trials["epochs"] = np.where(trials["trial"] % 2, 1, 9)
    trials["val_accuracy"] = 0.3 + 0.02 * trials["epochs"]
    assert importance(trials, NAMES)["hyperparameter"][0] == "epochs"


# --- figures ---


def test_panels_of_trials():
    figure = figures.plot_trials(ledger(), NAMES)
    figure.canvas.draw()
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert labels == ["Trial", "Depth", "Loss", "Dropout", "Learning rate", "Label smoothing"]
    of = dict(zip(["trial", *NAMES], figure.axes, strict=True))
    assert of["learning_rate"].get_xscale() == "log"
    assert [text.get_text() for text in of["loss"].get_xticklabels()] == [
        "cross\nentropy",
        "squared\nhinge",
    ]
    trials = ledger()
    shown = trials["label_smoothing"].notna() & (trials["status"] == "completed")
    assert len(of["label_smoothing"].collections[0].get_offsets()) == shown.sum()


def test_parallel_coordinates_have_a_line_per_trial_and_mark_the_best():
    trials = ledger()
    figure = figures.plot_parallel_coordinates(trials, NAMES)
    figure.canvas.draw()
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == len(NAMES) + 1]
    assert len(lines) == len(trials)
    (best,) = [line for line in lines if line.get_color() == figures.SECOND]
    assert best.get_ydata()[-1] == 1
    rates = np.log10(trials["learning_rate"])
    where = (rates[0] - rates.min()) / (rates.max() - rates.min())
    assert best.get_ydata()[NAMES.index("learning_rate")] == pytest.approx(where)
    assert sum(line.get_linestyle() == ":" for line in lines) == 1


def test_other_figures_show_their_tables():
    table = importance(ledger(), NAMES)
    bars = figures.plot_importance(table).axes[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], 100 * table["importance"])
    compared = against_random(ledger(), ledger(failed=()))
    ax = figures.plot_against_random(compared, "ours").axes[0]
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), 100 * compared["best"])
    rows = {
        "model": ["winner", "untuned"],
        "search_accuracy": [0.6, np.nan],
        "mean": [0.5, 0.4],
        "runs": 3,
    }
    made = figures.plot_retrained(pd.DataFrame(rows | {"low": [0.4, 0.3], "high": [0.7, 0.5]}))
    made.canvas.draw()
    assert [text.get_text() for text in made.axes[0].get_yticklabels()] == ["winner", "untuned"]


@pytest.mark.parametrize("trials", [1, 2])
def test_few_trials_can_be_drawn(trials):
    for figure in (figures.plot_trials, figures.plot_parallel_coordinates):
        figure(ledger(trials, failed=()), NAMES).canvas.draw()
