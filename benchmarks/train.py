"""Time this study's training against that of the baseline project.

    python benchmarks/train.py [--faces data/prepared] [--seconds 30] [--rounds 3]
    python benchmarks/train.py --profile baseline_cnn

Both ways train the same network with the same optimizer, loss and batch size. The baseline's way
reads the training images from PNG files in class folders with ImageDataGenerator, and calls
`model.fit`. The files are written once and then come from the disk cache. All settings of
TensorFlow and `model.fit` are the defaults. Our way is that of `fit`: the TensorFlow engine on
`epoch_plan`. The times exclude what happens once per training (start, compilation, Tang's
preprocessing) and between epochs (PublicTest, checkpoints).

Each measurement runs in a new process, because TensorFlow reads its settings when it is imported.
It lasts `--seconds` after the warm-up. The ways alternate, in reverse order every second round, so
that other work on the machine affects both. Ratios and shares compare measurements of the same
round, and their medians are printed.

GFLOP/s is 6 times a network's multiply-adds per image and second: one forward and two backward
products of 2 FLOPs each. It is compared with the product of two float32 matrices of 4096 x 4096
under our settings, by TensorFlow or NumPy, whichever is faster.

`--profile` instead prints the times of a training step's parts and of each layer.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer_utils.data.faces import load_faces
from fer_utils.emotions import CANONICAL_COUNTS, EMOTIONS, TRAINING
from fer_utils.training.recipe import Recipe
from fer_utils.training.recipes import get_recipe

TANG = get_recipe("tang_l2svm")
CASES = {
    "baseline_cnn": get_recipe("baseline_cnn"),
    "tang": TANG.but(flip=False, rotation=0, zoom=0, translation=0),
    "tang-augmented": TANG,
}
LABELS = {
    "baseline_cnn": "baseline CNN, flipped",
    "tang": "Tang's, not augmented",
    "tang-augmented": "Tang's, augmented",
}
WAYS = {"baseline": "the baseline's", "ours": "ours"}

TRAINING_IMAGES = sum(CANONICAL_COUNTS[TRAINING])  # the winner's schedule needs a number
WARM_UP = 12  # steps: includes compilation, and is more batches than Keras queues
SIDE_OF_PRODUCT = 4096
SEED = 1


# --- one measurement, in a new process ---


def baseline_way(case: str, faces: Path, images: Path, seconds: float) -> None:
    """Train as the baseline project does, and end this process.

    The caller has set TensorFlow's environment variables.
    """
    from fer_utils.networks.backend import keras

    recipe = CASES[case]
    model = baseline_model(recipe)
    generator = baseline_batches(recipe, model, images)
    started = seen = ahead = steps = 0

    class Clock(keras.callbacks.Callback):
        # With a hook at the end of a batch, Keras would draw the progress bar between steps.
        def on_train_batch_begin(self, batch, logs=None):
            nonlocal started, seen, ahead, steps
            now, steps = time.perf_counter(), steps + 1
            if steps == WARM_UP + 1:
                started = now
            elif steps > WARM_UP:
                seen += ahead
                if now - started >= seconds:
                    _expect_finite(model)
                    # TensorFlow may wait forever if an epoch is interrupted, so the process ends.
                    leave({"images_per_second": seen / (now - started), "onednn": _onednn()})
            ahead = min(recipe.batch_size, generator.n - batch * recipe.batch_size)

    model.fit(generator, epochs=10**6, callbacks=[Clock()])


def restore_defaults() -> None:
    """Set TensorFlow's variables as the baseline project has them: not at all."""
    # fer_utils set the variable, but it was not read yet.
    assert "tensorflow" not in sys.modules
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)


def baseline_model(recipe: Recipe):
    """The recipe's network, compiled as in the baseline project, with the learning rate at the
    start."""
    from fer_utils.networks.backend import keras
    from fer_utils.training.losses import LOSSES
    from fer_utils.training.optimizers import build_optimizer

    trunk = _trunk(recipe)[1]
    model = trunk
    if recipe.network != "baseline_cnn":
        # Tang's trunk needs scaled pixels. The baseline CNN scales them itself.
        inputs = keras.Input(trunk.input_shape[1:])
        model = keras.Model(inputs, trunk(keras.layers.Rescaling(1 / 255)(inputs)))
    model.compile(
        optimizer=build_optimizer(recipe, TRAINING_IMAGES // recipe.batch_size * recipe.epochs),
        loss=LOSSES[recipe.loss],
        metrics=["accuracy"],
    )
    return model


def baseline_batches(recipe: Recipe, model, images: Path, *, shuffle: bool = True):
    """Batches of the PNG files in class folders, augmented as the recipe says, for `model.fit`."""
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(
        horizontal_flip=recipe.flip,
        rotation_range=recipe.rotation,
        zoom_range=recipe.zoom,
        width_shift_range=recipe.translation,
        height_shift_range=recipe.translation,
    ).flow_from_directory(
        str(images),
        target_size=model.input_shape[1:3],
        classes=list(EMOTIONS),
        color_mode="grayscale",
        batch_size=recipe.batch_size,
        class_mode="categorical",
        shuffle=shuffle,
    )


def our_way(case: str, faces: Path, images: Path, seconds: float) -> dict:
    """Train as `fit` does."""
    from fer_utils.networks.costs import multiply_adds

    trunk, _, runner, plan = _ours(case, faces)
    _warm_up(runner, plan)
    started = time.perf_counter()
    seen, ended = _train(runner, plan, started + seconds)
    _expect_finite(trunk)
    return {
        "images_per_second": seen / (ended - started),
        "multiply_adds": multiply_adds(trunk),
        "onednn": _onednn(),
    }


def product(case: str, faces: Path, images: Path, seconds: float) -> dict:
    """Measure GFLOP/s of a large matrix product, and describe the machine."""
    import keras
    import tensorflow as tf

    from fer_utils.training.fit import machine

    return {
        "TensorFlow": product_rate(seconds / 2, tf.function(tf.matmul), tf.constant),
        "NumPy": product_rate(seconds / 2, np.matmul, np.asarray),
        "machine": machine(),
        "versions": f"Keras {keras.__version__}, TensorFlow {tf.__version__}, "
        f"NumPy {np.__version__}",
    }


def product_rate(seconds: float, multiply: Callable, kind: Callable) -> float:
    """Measure GFLOP/s of one way to multiply matrices."""
    generator = np.random.default_rng(SEED)
    matrix = kind(generator.standard_normal((SIDE_OF_PRODUCT, SIDE_OF_PRODUCT), np.float32))
    multiply(matrix, matrix)
    started = ended = time.perf_counter()
    for count in itertools.count(1):
        multiply(matrix, matrix)
        ended = time.perf_counter()
        if ended - started >= seconds:
            return 2 * SIDE_OF_PRODUCT**3 * count / (ended - started) / 1e9


def leave(result: dict) -> None:
    """Print a measurement as the last line, and end this process at once."""
    print("\n" + json.dumps(result), flush=True)  # the progress bar may have left its line open
    os._exit(0)


MEASUREMENTS = {"baseline": baseline_way, "ours": our_way, "product": product}


def _trunk(recipe):
    from fer_utils.networks import build, parts
    from fer_utils.networks.backend import keras

    keras.utils.set_random_seed(SEED)
    return parts(build(recipe.network, **recipe.options))


def _ours(case: str, folder: Path):
    """Trunk, optimizer, engine, and the plan of an epoch, as `fit` has them."""
    from fer_utils.training import fit as training
    from fer_utils.training.engines import engine
    from fer_utils.training.optimizers import build_optimizer
    from fer_utils.training.predict import through_front

    recipe, faces = CASES[case], load_faces(folder).of(TRAINING)
    front, trunk = _trunk(recipe)
    if front is not None:
        front.adapt(faces.images)

    def plan(epoch: int):
        return training.epoch_plan(recipe, SEED, epoch, len(faces), trunk.input_shape[1])

    steps = math.ceil(len(plan(1)[0]) / recipe.batch_size)
    optimizer = build_optimizer(recipe, steps * recipe.epochs)
    optimizer.build(trunk.trainable_variables)
    # These recipes have no teacher, so they need no store.
    (targets,) = training._targets(recipe, faces, store=None)
    pixels = through_front(front, faces.images)
    runner = engine().Engine(trunk, optimizer, recipe, pixels, targets)
    return trunk, optimizer, runner, plan


def _warm_up(runner, plan: Callable) -> None:
    """Compile for complete batches and for the incomplete batch at an epoch's end."""
    (order, draws), size = plan(0), runner.recipe.batch_size
    runner.epoch(order[-(WARM_UP * size + len(order) % size) :], draws, lambda count: None)


def _train(runner, plan: Callable, until: float) -> tuple[int, float]:
    """Train until this time. Returns the number of images, and the end of the last step."""

    class Enough(Exception):  # noqa: N818
        pass

    seen, ended = 0, 0.0

    def on_batch(count: int) -> None:
        nonlocal seen, ended
        seen, ended = seen + count, time.perf_counter()
        if ended >= until:
            raise Enough

    try:
        for epoch in itertools.count(1):
            runner.epoch(*plan(epoch), on_batch)
    except Enough:
        return seen, ended


def _expect_finite(model) -> None:
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        sys.exit("train: expected finite weights, found others. This speed is of no real training.")


def _onednn() -> bool:
    """True if TensorFlow uses oneDNN in this process."""
    from tensorflow.python.util import _pywrap_util_port

    return _pywrap_util_port.IsMklEnabled()


# --- the comparison ---


def write_images(faces: Path, folder: Path, split: str = TRAINING) -> int:
    """Write a split as PNG files in class folders. Returns their number."""
    training = load_faces(faces).of(split)
    for name in EMOTIONS:
        (folder / name).mkdir(parents=True)
    for row, image, emotion in zip(training.row, training.images, training.emotion, strict=True):
        cv2.imwrite(str(folder / EMOTIONS[emotion] / f"{row}.png"), image)
    return len(training)


def measure_afresh(
    what: str, case: str, faces: Path, images: Path, seconds: float, *more: str
) -> dict:
    """Run one measurement in a new process."""
    command = [sys.executable, __file__, "--one", what, case, str(images), *more]
    command += ["--faces", str(faces), "--seconds", str(seconds)]
    # `os._exit` leaves TensorFlow's temporary files behind. Here they are removed with the images.
    environment = os.environ | {"TMPDIR": str(images.parent)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600 + 10 * seconds, env=environment
    )
    if done.returncode:
        sys.exit(f"{what} {case} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(faces: Path, images: Path, seconds: float, rounds: int, without_onednn: bool) -> None:
    count = write_images(faces, images)
    load = os.getloadavg()[0]
    speeds, products, onednn, adds = defaultdict(list), [], {}, {}
    for number in range(1, rounds + 1):
        one = measure_afresh("product", "baseline_cnn", faces, images, seconds)
        if not products:
            print(
                f"{one['machine']}; load {load:.1f} before the first measurement; {one['versions']}"
            )
            print(f"{count} training images; {rounds} rounds of {seconds:g} s each")
        fastest = max(("TensorFlow", "NumPy"), key=one.get)
        products.append(one[fastest])
        print(
            f"round {number}: matrix product {one[fastest]:.0f} GFLOP/s, by {fastest}", flush=True
        )
        for case in CASES:
            for way in list(WAYS) if number % 2 else reversed(WAYS):
                off = ["--without-onednn"] if without_onednn and way == "baseline" else []
                one = measure_afresh(way, case, faces, images, seconds, *off)
                speed = one["images_per_second"]
                speeds[case, way].append(speed)
                onednn[way] = one["onednn"]
                adds[case] = one.get("multiply_adds", adds.get(case))
                print(
                    f"round {number}: {LABELS[case]}, {WAYS[way]}: {speed:.0f} images/s", flush=True
                )
    state = {way: "on" if on else "off" for way, on in onednn.items()}
    why = "as requested" if without_onednn else "TensorFlow's default here"
    print(f"oneDNN: {state['baseline']} in the baseline's way ({why}), {state['ours']} in ours")
    print("\n" + report(speeds, products, adds))


def report(speeds: dict, products: list[float], adds: dict) -> str:
    """The table of speeds.

    Args:
        speeds: images/s of each round, by case and way.
        products: GFLOP/s of the matrix product in each round.
        adds: multiply-adds per image, by case.
    """
    head = ("network", "way", "images/s", "(from to)", "ratio", "GFLOP/s", "of the product")
    lines = ["{:22} {:15} {:>8} {:>15} {:>6} {:>8} {:>14}".format(*head)]
    for case, way in itertools.product(CASES, WAYS):
        rounds = speeds[case, way]
        flops = [6 * adds[case] * speed / 1e9 for speed in rounds]
        ratio = _median_ratio(rounds, speeds[case, "baseline"])
        share = _median_ratio(flops, products)
        span = f"({min(rounds):.0f} to {max(rounds):.0f})"
        lines.append(
            f"{LABELS[case]:22} {WAYS[way]:15} {statistics.median(rounds):8.0f} {span:>15} "
            f"{ratio:5.2f}x {statistics.median(flops):8.0f} {share:14.0%}"
        )
    lines.append(
        f"{'matrix product':22} {'':15} {'':8} {'':15} {'':6} {statistics.median(products):8.0f} "
        f"{1:14.0%}  ({min(products):.0f} to {max(products):.0f})"
    )
    return "\n".join(lines)


def _median_ratio(numbers: list[float], others: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(numbers, others, strict=True))


# --- the profile of our training ---


def profile(case: str, faces: Path, seconds: float) -> None:
    """Print the times of a step's parts and of the layers.

    The training lasts `seconds`, and each part a tenth of it.
    """
    from fer_utils.networks.costs import multiply_adds
    from fer_utils.training.engines.tensorflow import tf  # without TensorFlow's start-up log
    from fer_utils.training.fit import machine
    from fer_utils.training.losses import LOSSES

    print(f"{machine()}; load {os.getloadavg()[0]:.1f}; oneDNN is {'on' if _onednn() else 'off'}")
    part = seconds / 10
    roof = product_rate(part, tf.function(tf.matmul), tf.constant)
    trunk, optimizer, runner, plan = _ours(case, faces)
    _warm_up(runner, plan)
    preparing, stepping = [], []
    batch, ((side, step),) = runner.batch, runner.steps.items()
    runner.batch, runner.steps[side] = _timed(batch, preparing), _timed(step, stepping)
    started = time.perf_counter()
    seen, ended = _train(runner, plan, started + seconds)
    steps = len(stepping)

    def line(what: str, took: float, more: str = "") -> None:
        print(f"  {what:44} {took * 1e3:9.2f} ms  {more}")

    size, took = runner.recipe.batch_size, ended - started
    flops = 6 * multiply_adds(trunk) * seen / took / 1e9
    print(f"{LABELS[case]}, {size} images a step; matrix product by TensorFlow {roof:.0f} GFLOP/s")
    print(f"\nin training, mean of {steps} steps")
    line("a step in all", took / steps, f"{seen / took:.0f} images/s, {flops:.0f} GFLOP/s")
    line("  the network", sum(stepping) / steps)
    line("  waiting for the batch, and the rest", (took - sum(stepping)) / steps)
    line("preparing a batch, meanwhile on the worker", sum(preparing) / steps)

    order, draws = plan(0)
    images, targets = map(tf.constant, batch(order[:size], draws))
    loss, variables = LOSSES[runner.recipe.loss], trunk.trainable_variables

    def forward(images, targets):
        return loss(targets, trunk(images, training=True)) + sum(trunk.losses)

    def both(images, targets):
        with tf.GradientTape() as tape:
            value = forward(images, targets)
        return tape.gradient(value, variables)

    def update(gradients):
        return optimizer.apply(gradients, variables)

    both = tf.function(both)
    gradients = both(images, targets)
    ahead = _typical(part, tf.function(forward), images, targets)
    there_and_back = _typical(part, both, images, targets)
    print("\neach alone, median")
    line("preparing a batch", _typical(part, batch, order[:size], draws))
    line("the network's step", _typical(part, step, images, targets))
    line("  forward, with the loss and penalties", ahead)
    line("  backward (both, less forward)", there_and_back - ahead)
    line("  the optimizer", _typical(part, tf.function(update), gradients))

    layers = list(_layers(trunk, len(images), part))
    total = sum(took for _, took, _ in layers)
    print("\nlayers, each alone, forward and backward, median; a common graph may be faster")
    for name, took, flops in layers:
        rate = ""
        if flops:
            gflops = flops / took / 1e9
            rate = f", {gflops:4.0f} GFLOP/s, {gflops / roof:4.0%} of the product"
        line(name, took, f"{took / total:4.0%} of the sum{rate}")
    line("sum", total, f"forward and backward of the network: {there_and_back * 1e3:.2f} ms")


def _layers(trunk, batch: int, seconds: float):
    """Yield name, seconds and FLOPs of each layer with multiply-adds, and of each other type."""
    from fer_utils.networks.backend import keras
    from fer_utils.networks.costs import multiply_adds
    from fer_utils.training.engines.tensorflow import tf

    others, learnt = defaultdict(float), False
    for layer in trunk.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        # A copy, so that the trunk's weights and moving averages do not change.
        inputs = keras.Input(layer.input.shape[1:])
        alone = keras.Model(inputs, type(layer).from_config(layer.get_config())(inputs))
        x = tf.random.normal((batch, *inputs.shape[1:]))
        upstream = tf.random.normal((batch, *alone.output_shape[1:]))

        @tf.function
        def run(x, upstream, alone=alone, learnt=learnt):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = alone(x, training=True)
            # Training does not compute the gradient of the images.
            sources = [*alone.trainable_variables, *([x] if learnt else [])]
            return tape.gradient(y, sources, output_gradients=upstream) if sources else y

        took = _typical(seconds, run, x, upstream)
        if adds := multiply_adds(alone):
            kernel = "x".join(map(str, layer.kernel.shape))
            yield f"{type(layer).__name__} {kernel}", took, 2 * batch * adds * (2 + learnt)
        else:
            others[type(layer).__name__] += took
        learnt = learnt or bool(layer.trainable_variables)
    for name, took in others.items():
        yield name, took, 0


def _timed(function: Callable, times: list[float]) -> Callable:
    """Wrap a function so that it appends the duration of each call to `times`, in seconds."""

    def run(*arguments):
        started = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            times.append(time.perf_counter() - started)

    return run


def _typical(seconds: float, function: Callable, *arguments) -> float:
    """Median seconds of a call, without the first two calls."""
    times = []
    run = _timed(function, times)
    while len(times) < 5 or sum(times[2:]) < seconds:
        run(*arguments)
    return statistics.median(times[2:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, help="prepared faces; default: the built-in sample")
    parser.add_argument(
        "--seconds", type=float, default=30, help="duration of each measurement; default: 30"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds; default: 3")
    parser.add_argument(
        "--without-onednn",
        action="store_true",
        help="the baseline's way without oneDNN, TensorFlow's default on some processors",
    )
    parser.add_argument(
        "--profile", choices=CASES, metavar="NETWORK", help=f"one of {', '.join(CASES)}"
    )
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if given.one:
        what, case, images = given.one
        if what == "baseline":
            restore_defaults()
            if given.without_onednn:
                os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
        leave(MEASUREMENTS[what](case, given.faces, Path(images), given.seconds))
    with tempfile.TemporaryDirectory() as folder:
        faces = given.faces
        if faces is None:
            from fer_utils.data.sample import draw_sample

            faces = Path(folder) / "faces"
            draw_sample().save(faces)
        if given.profile:
            profile(given.profile, faces, given.seconds)
        else:
            compare(
                faces, Path(folder) / "images", given.seconds, given.rounds, given.without_onednn
            )


if __name__ == "__main__":
    main()
