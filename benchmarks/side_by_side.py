"""Time trainings side by side, one core each, against one after another with all cores.

    python benchmarks/side_by_side.py [--faces data/prepared] [--seconds 30] [--rounds 3]
        [--recipes mini_xception baseline_cnn medium_resnet]

Both ways train in processes as `fit_many` does. Side by side there is one training for each core,
and their rates are added. The first batches are left out, because they include the compilation. The
two ways alternate. The program prints medians of images per second, the median and the range of
their ratios by round, and the peak memory of a process beside `fit_many`'s estimate.
"""

import argparse
import contextlib
import resource
import statistics
import tempfile
import time
from pathlib import Path

import joblib

from fer_utils.data.faces import Faces, load_faces
from fer_utils.training.fit import fit
from fer_utils.training.fit_many import Training, memory_of, run_many
from fer_utils.training.recipe import Recipe
from fer_utils.training.recipes import get_recipe

WARM_UP = 12  # batches


class _TimeIsUpError(Exception):
    """Ends a training that was timed long enough."""


def timed(recipe: Recipe, faces: Faces, seed: int, store: Path, _report) -> tuple[float, float]:
    """Train for `seed` seconds. Returns images per second and the peak memory in bytes."""
    batches: list[tuple[float, int]] = []

    def on_batch(images: int) -> None:
        batches.append((time.monotonic(), images))
        if len(batches) > WARM_UP + 1 and batches[-1][0] - batches[WARM_UP][0] > seed:
            raise _TimeIsUpError

    with contextlib.suppress(_TimeIsUpError):
        fit(recipe.but(epochs=10**6), faces, seed, store, progress=False, report=on_batch)
    seconds = batches[-1][0] - batches[WARM_UP][0]
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return sum(images for _, images in batches[WARM_UP + 1 :]) / seconds, memory


def rate(recipe: Recipe, faces: Faces, seconds: int, at_once: int) -> tuple[float, float]:
    """Train so many at once. Returns their images per second in all, and the largest memory."""
    with tempfile.TemporaryDirectory() as folder:
        # The seed carries the duration; a training of its own for each process.
        trainings = [Training(recipe.but(name=f"n{i}"), seconds) for i in range(at_once)]
        threads = joblib.cpu_count() // at_once
        outcomes = run_many(timed, trainings, faces, Path(folder), threads, at_once, progress=False)
    rates, memory = zip(*outcomes, strict=True)
    return sum(rates), max(memory)


def main() -> None:
    """Measure each recipe in alternating rounds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, default=Path("data/prepared"))
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--recipes", nargs="+", default=["mini_xception", "baseline_cnn", "medium_resnet"]
    )
    given = parser.parse_args()
    faces, cores = load_faces(given.faces), joblib.cpu_count()
    print(f"{cores} cores, {given.rounds} rounds of {given.seconds} s")
    print(
        f"{'recipe':16}{'after another':>15}{'at once':>10}{'ratio':>8}  range         GB  estimate"
    )
    for name in given.recipes:
        recipe, rounds, memory = get_recipe(name), [], 0.0
        for number in range(given.rounds):
            ways = (1, cores) if number % 2 == 0 else (cores, 1)
            measured = {way: rate(recipe, faces, given.seconds, way) for way in ways}
            rounds.append((measured[1][0], measured[cores][0]))
            memory = max(memory, *(used for _, used in measured.values()))
        alone, together = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = [second / first for first, second in rounds]
        print(
            f"{name:16}{alone:15.0f}{together:10.0f}{statistics.median(ratios):8.2f}"
            f"  {min(ratios):.2f} to {max(ratios):.2f}{memory / 1e9:6.2f}"
            f"{memory_of(recipe, faces) / 1e9:10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
