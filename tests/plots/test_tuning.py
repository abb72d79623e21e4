"""Figures of a search."""

import numpy as np
import pandas as pd
import pytest

from fer_utils.plots import tuning as figures
from fer_utils.tuning.importance import LEAST_TRIALS, importance, importance_finding
from fer_utils.tuning.ledger import (
    against_random,
    best_so_far,
    curves,
    make_ledger,
    random_best_so_far,
    search_finding,
)

NAMES = ("depth", "loss", "dropout", "learning_rate", "label_smoothing")


def ledger(trials: int = 30, noise: float = 0.002, failed: tuple[int, ...] = (3,)) -> pd.DataFrame:
    """A ledger in which the learning rate decides, dropout hardly, and the rest nothing."""
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


def test_the_best_so_far_counts_what_failed_trials_cost():
    table, given = best_so_far(ledger()), ledger().sort_values("trial")
    assert table["epochs"].tolist() == [4, 8, 9, *range(13, 13 + 4 * 27, 4)]
    assert table["seconds"].iloc[-1] == 29 * 8 + 2
    best = -1
    for row, score in zip(table.to_dict("records"), given["val_accuracy"], strict=True):
        best = max(best, score) if score == score else best
        assert row["best"] == best


def test_the_best_of_random_trials_is_as_drawn():
    """Held against a million draws."""
    given = ledger(trials=8, failed=())
    table = random_best_so_far(given, level=0.8)
    scores = given["val_accuracy"].to_numpy()
    drawn = np.random.default_rng(0).choice(scores, (200_000, 8))
    for k, row in enumerate(table.to_dict("records"), 1):
        best = drawn[:, :k].max(axis=1)
        assert row["mean"] == pytest.approx(best.mean(), abs=2e-3)
        low, high = np.quantile(best, [0.1, 0.9], method="inverted_cdf")
        assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert table["epochs"].tolist() == [4 * k for k in range(1, 9)]


def test_searches_are_compared_at_equal_compute():
    random = ledger(trials=10, failed=())
    better = random.assign(val_accuracy=random["val_accuracy"] + 0.1)
    worse = random.assign(val_accuracy=random["val_accuracy"] - 0.3)
    table = against_random(random, random)
    expected = random_best_so_far(random)
    np.testing.assert_allclose(table["random_mean"], expected["mean"])
    assert "within what random" in search_finding(table)
    assert "above what nearly all" in search_finding(against_random(better, random))
    assert "below what nearly all" in search_finding(against_random(worse, random))
    # A trial shorter than a random one has nothing to be compared with.
    assert np.isnan(against_random(random.assign(epochs=1), random)["random_mean"][:3]).all()


def test_curves_have_a_row_an_epoch():
    table = curves(ledger(trials=2, failed=()))
    assert table["epoch"].tolist() == [1, 2, 3, 4] * 2 and table["val_accuracy"][:3].tolist() == [
        0.2,
        0.3,
        0.4,
    ]


# --- importance ---


def test_importance_finds_what_decides():
    table = importance(ledger(), NAMES)
    assert table["hyperparameter"][0] == "learning_rate" and table["explained"][0] > 0.5
    assert table["importance"][0] > 10 * table["importance"][1:].max()
    assert "hang most on learning rate" in importance_finding(table)


def test_importance_says_when_it_means_nothing():
    given = ledger()
    scores = given["val_accuracy"].sample(frac=1, random_state=2).to_numpy()
    shuffled = importance(given.assign(val_accuracy=scores).dropna(subset="val_accuracy"), NAMES)
    assert shuffled["explained"][0] <= 0 and "cannot be predicted" in importance_finding(shuffled)
    few = importance(ledger(trials=LEAST_TRIALS - 1, failed=()), NAMES)
    assert few.empty and "too few" in importance_finding(few)


def test_epochs_count_where_trials_had_different_ones():
    given = ledger(failed=())
    given["epochs"] = np.where(given["trial"] % 2, 1, 9)
    given["val_accuracy"] = 0.3 + 0.02 * given["epochs"]
    assert importance(given, NAMES)["hyperparameter"][0] == "epochs"


# --- figures ---


def test_the_panels_of_trials():
    figure = figures.trials(ledger(), NAMES)
    figure.canvas.draw()
    assert [ax.get_xlabel().replace(" ", "_") for ax in figure.axes] == ["trial", *NAMES]
    of = dict(zip(["trial", *NAMES], figure.axes, strict=True))
    assert of["learning_rate"].get_xscale() == "log"
    assert [text.get_text() for text in of["loss"].get_xticklabels()] == [
        "cross\nentropy",
        "squared\nhinge",
    ]
    given = ledger()
    meant = given["label_smoothing"].notna() & (given["status"] == "completed")
    assert len(of["label_smoothing"].collections[0].get_offsets()) == meant.sum()


def test_parallel_coordinates_have_a_line_a_trial_and_mark_the_best():
    given = ledger()
    figure = figures.parallel_coordinates(given, NAMES)
    figure.canvas.draw()
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == len(NAMES) + 1]
    assert len(lines) == len(given)
    (best,) = [line for line in lines if line.get_color() == figures.SECOND]
    assert best.get_ydata()[-1] == 1
    rates = np.log10(given["learning_rate"])
    where = (rates[0] - rates.min()) / (rates.max() - rates.min())
    assert best.get_ydata()[NAMES.index("learning_rate")] == pytest.approx(where)
    assert sum(line.get_linestyle() == ":" for line in lines) == 1


def test_the_other_figures_show_their_tables():
    table = importance(ledger(), NAMES)
    bars = figures.importance(table).axes[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], 100 * table["importance"])
    compared = against_random(ledger(), ledger(failed=()))
    ax = figures.against_random(compared, "ours").axes[0]
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), 100 * compared["best"])
    rows = {
        "model": ["winner", "untuned"],
        "search_accuracy": [0.6, np.nan],
        "mean": [0.5, 0.4],
        "runs": 3,
    }
    made = figures.retrained(pd.DataFrame(rows | {"low": [0.4, 0.3], "high": [0.7, 0.5]}))
    made.canvas.draw()
    assert [text.get_text() for text in made.axes[0].get_yticklabels()] == ["winner", "untuned"]


@pytest.mark.parametrize("trials", [1, 2])
def test_few_trials_are_drawn_too(trials):
    for figure in (figures.trials, figures.parallel_coordinates):
        figure(ledger(trials, failed=()), NAMES).canvas.draw()
