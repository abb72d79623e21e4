"""A search's budget while it runs: trials done, best so far, time left."""

from collections.abc import Sequence

from tqdm.auto import tqdm


class Progress:
    """A bar of a step a trial.

    Args:
        plan: epochs of each trial, as `oracles.planned_epochs` has them.
        shown: whether there is anything to see.
        workers: how many train at once.
    """

    def __init__(self, plan: Sequence[int], *, shown: bool = True) -> None:
        self.plan, self.workers = list(plan), 1
        self.epochs, self.seconds, self.best, self.failed = 0, 0.0, None, 0
        self.bar = tqdm(total=len(self.plan), desc="search", unit=" trials", disable=not shown)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def add(self, outcome: dict) -> None:
        """A trial has ended; of what is known of it, epochs, seconds, val_accuracy and status count."""
        self.epochs += outcome["epochs"]
        self.seconds += outcome["seconds"]
        self.failed += outcome["status"] == "failed"
        if outcome["val_accuracy"] is not None:
            self.best = max(outcome["val_accuracy"], self.best or 0)
        self.bar.set_postfix_str(self.text(self.bar.n + 1), refresh=False)
        self.bar.update()

    def text(self, done: int) -> str:
        """Best so far, failures, and the time left: epochs still to come, at the seconds an epoch has taken."""
        parts = ["no trial has worked" if self.best is None else f"best {self.best:.2%}"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        to_come = sum(self.plan[done:])
        if self.epochs and to_come:
            parts.append(f"about {_time(self.seconds / self.epochs * to_come / self.workers)} left")
        return ", ".join(parts)


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
