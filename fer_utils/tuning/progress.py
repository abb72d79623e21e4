"""A search's budget while it runs: trials done, best so far, time left."""

from collections.abc import Iterable, Sequence

from tqdm.auto import tqdm


class Progress:
    """A bar of a step a trial.

    Args:
        plan: epochs of each trial, as `oracles.planned_epochs` has them.
        shown: whether there is anything to see.

    Attributes:
        workers: how many train at once.
    """

    def __init__(self, plan: Sequence[int], *, shown: bool = True) -> None:
        self.plan, self.workers = list(plan), 1
        self.bar = tqdm(total=len(self.plan), desc="search", unit=" trials", disable=not shown)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def show(self, outcomes: Iterable[dict]) -> None:
        """So many trials have ended; of what is known of each, epochs, seconds, val_accuracy and status count."""
        outcomes = list(outcomes)
        self.bar.n = len(outcomes)
        self.bar.set_postfix_str(self.text(outcomes))

    def text(self, outcomes: Sequence[dict]) -> str:
        """Best so far, failures, and the time left: epochs still to come, at the seconds that an epoch has taken."""
        scores = [each["val_accuracy"] for each in outcomes if each["val_accuracy"] is not None]
        failed = sum(each["status"] == "failed" for each in outcomes)
        epochs, to_come = sum(each["epochs"] for each in outcomes), sum(self.plan[len(outcomes) :])
        parts = [f"best {max(scores):.2%}" if scores else "no trial has worked yet"]
        if failed:
            parts.append(f"{failed} failed")
        if epochs and to_come:
            seconds = sum(each["seconds"] for each in outcomes) / epochs * to_come / self.workers
            parts.append(f"about {_time(seconds)} left")
        return ", ".join(parts)


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if minutes < 2
        else f"{minutes:.0f} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )
