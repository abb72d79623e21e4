"""Time from nothing to the baseline project's published accuracy, in its way and in ours.

    python benchmarks/speedrun.py --faces data/prepared [--recipe speedrun] [--seeds 1 2]

The baseline project published 63.18 %. Here that accuracy has to be reached on PublicTest, on whole
images without test-time augmentation, at the end of an epoch.

Our way trains a recipe with `fit`, once for each seed. The ratio is that of the slowest seed. The
baseline's way trains the recipe `baseline_cnn` with ImageDataGenerator on PNG files and
`model.fit`, as in benchmarks/train.py, and evaluates PublicTest after each epoch as that project
does. Each training runs in a new process. Times include its start, reading the faces and
compilation. The PNG files are written before.

If the baseline's way does not reach the accuracy, its whole time is printed as "more than", and the
ratio is "at least".
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import train

from fer_utils.data.faces import load_faces
from fer_utils.emotions import PUBLIC, TRAINING
from fer_utils.training.recipe import at_budget
from fer_utils.training.recipes import get_recipe

TARGET = 0.6318
BASELINE = "baseline"


def our_way(faces: Path, images: Path, seed: int, given: argparse.Namespace) -> None:
    """Train the recipe, and print the PublicTest accuracy of each epoch."""
    from fer_utils.training import checkpoint
    from fer_utils.training.fit import fit

    add = checkpoint.Checkpoint.add

    def add_and_tell(self, row: dict, *more, **options) -> None:
        add(self, row, *more, **options)
        _tell(row["val_accuracy"])

    checkpoint.Checkpoint.add = add_and_tell  # type: ignore[method-assign]
    recipe = at_budget(get_recipe(given.recipe), epochs=given.epochs)
    fit(recipe, load_faces(faces), seed, images.parent / "runs", progress=False)


def baseline_way(faces: Path, images: Path, seed: int, given: argparse.Namespace) -> None:
    """Train the baseline CNN as its project does, and print the accuracy of each epoch."""
    from fer_utils.networks.backend import keras

    recipe = train.CASES["baseline_cnn"]
    model = train.baseline_model(recipe)
    training = train.baseline_batches(recipe, model, images / TRAINING)
    public = train.baseline_batches(recipe.but(flip=False), model, images / PUBLIC, shuffle=False)
    keras.utils.set_random_seed(seed)

    class Tell(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            _tell(logs["val_accuracy"])

    slower = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss",
        factor=recipe.plateau_factor,
        patience=recipe.plateau_patience,
        min_lr=recipe.minimum_learning_rate,
    )
    model.fit(
        training,
        validation_data=public,
        epochs=given.baseline_epochs,
        callbacks=[slower, Tell()],
        verbose=0,
    )


def _tell(accuracy: float) -> None:
    print(f"PublicTest {accuracy:.6f}", flush=True)


WAYS = {"ours": our_way, BASELINE: baseline_way}


def measure(
    name: str, one: list[str], faces: Path, options: list[str]
) -> list[tuple[float, float]]:
    """Run one training in a new process.

    Args:
        name: shown with each epoch.
        one: the way, the folder of the PNG files, and the seed.
        faces: prepared faces.
        options: of this program.

    Returns:
        For each epoch the minutes since the start, and the PublicTest accuracy.
    """
    command = [sys.executable, __file__, "--one", *one, "--faces", str(faces), *options]
    started, epochs = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.fullmatch(r"PublicTest ([\d.]+)\n", line):
                epochs.append(((time.monotonic() - started) / 60, float(found[1])))
                minutes, accuracy = epochs[-1]
                print(f"{name}: epoch {len(epochs)}, {minutes:.1f} minutes, {accuracy:.2%}")
                sys.stdout.flush()
    if process.returncode:
        sys.exit(f"{name}: ended with status {process.returncode}.")
    return epochs


def report(epochs: dict[str, list[tuple[float, float]]], processor: dict[str, float]) -> str:
    """The table of all trainings.

    Args:
        epochs: as `measure` returns them, by training: ours with each seed, and `BASELINE`.
        processor: processor minutes of the whole training, by training.
    """
    reached, lines = {}, []
    for name, rows in epochs.items():
        reached[name] = next((minutes for minutes, share in rows if share >= TARGET), None)
        found = f"more than {rows[-1][0]:.1f}"
        if reached[name] is not None:
            found = f"{reached[name]:.1f}"
        best = max(share for _, share in rows)
        lines.append(
            f"{name:12} {found:>15} minutes to {TARGET:.2%}; {len(rows)} epochs: "
            f"{rows[-1][0]:.1f} minutes, {processor[name]:.1f} of the processor; last "
            f"{rows[-1][1]:.2%}, best {best:.2%}"
        )
    ours = [minutes for name, minutes in reached.items() if name != BASELINE]
    if None not in ours:
        theirs = reached[BASELINE] or epochs[BASELINE][-1][0]
        words = "ratio" if reached[BASELINE] else "ratio at least"
        lines.append(f"{words} {theirs / max(ours):.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, required=True, help="prepared faces of FER-2013")
    parser.add_argument("--recipe", default="speedrun", help="of our training; default: speedrun")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2], help="of our trainings; default: 1 2"
    )
    parser.add_argument(
        "--epochs", type=int, default=0, help="of our training; default: the recipe's"
    )
    parser.add_argument(
        "--baseline-epochs", type=int, default=15, help="of the baseline's training; default: 15"
    )
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if given.one:
        way, images, seed = given.one
        if way == BASELINE:
            train.restore_defaults()
        WAYS[way](given.faces, Path(images), int(seed), given)
        sys.stdout.flush()
        os._exit(0)  # TensorFlow may wait for its threads
    options = ["--recipe", given.recipe, "--epochs", str(given.epochs)]
    options += ["--baseline-epochs", str(given.baseline_epochs)]
    trainings = {f"ours, seed {seed}": ("ours", seed) for seed in given.seeds}
    trainings[BASELINE] = (BASELINE, given.seeds[0])
    epochs, processor = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        for split in (TRAINING, PUBLIC):
            train.write_images(given.faces, images / split, split)
        for name, (way, seed) in trainings.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            epochs[name] = measure(name, [way, str(images), str(seed)], given.faces, options)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            processor[name] = used / 60
    from fer_utils.training.fit import machine

    print(f"\n{machine()}; load {os.getloadavg()[0]:.1f} at the end")
    print(report(epochs, processor))


if __name__ == "__main__":
    main()
