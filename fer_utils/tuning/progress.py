"""Progress bar of a search: trials done, best score so far, time left."""

from collections.abc import Iterable, Sequence

from tqdm.auto import tqdm


class Progress:
    """A progress bar with one step per trial.

    Args:
        plan: epochs of each trial, as returned by `oracles.planned_epochs`.
        visible: show the bar.

    Attributes:
        workers: number of trials that train at the same time.
    """

    def __init__(self, plan: Sequence[int], *, visible: bool = True) -> None:
        self.plan, self.workers = list(plan), 1
        self.bar = tqdm(total=len(self.plan), desc="search", unit=" trials", disable=not visible)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def show(self, outcomes: Iterable[dict]) -> None:
        """Update the bar.

        Args:
            outcomes: of the trials that have ended, with epochs, seconds, val_accuracy and status.
        """
        outcomes = list(outcomes)
        self.bar.n = len(outcomes)
        self.bar.set_postfix_str(self.text(outcomes))

    def text(self, outcomes: Sequence[dict]) -> str:
        """Return the best score, the number of failures and the time left, as text.

        The time left is the number of remaining epochs times the mean time per epoch so far.
        """
        scores = [one["val_accuracy"] for one in outcomes if one["val_accuracy"] is not None]
        failures = sum(one["status"] == "failed" for one in outcomes)
        epochs = sum(one["epochs"] for one in outcomes)
        remaining = sum(self.plan[len(outcomes) :])
        parts = [f"best {100 * max(scores):.2f} %" if scores else "no trial completed yet"]
        if failures:
            parts.append(f"{failures} failed")
        if epochs and remaining:
            seconds = sum(one["seconds"] for one in outcomes) / epochs * remaining / self.workers
            parts.append(f"about {_time(seconds)} left")
        return ", ".join(parts)


def _time(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"
