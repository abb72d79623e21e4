"""Export a finished run as an ONNX model with its card, for `Recognizer` and the server.

The folder contains

    model.onnx    pixels float32 (n, 48, 48, 1) in 0..255 to logits float32 (n, 7)
    card.json     training data, scores, temperature and threshold, for programs
    README.md     the same as a model card (Mitchell et al. 2019, arXiv 1810.03993)
    weights.npz   the weights for Keras, kernels as float16; see `load_keras`

Kernels are rounded to float16 first, so both files are the same model.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import jinja2
import numpy as np

from fer_utils.analysis.calibration import (
    SHARE_RIGHT,
    calibration_error,
    fit_temperature,
    fit_threshold,
)
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE, PUBLIC, SIDE, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy, per_emotion, probabilities, split_scores
from fer_utils.networks import parts
from fer_utils.networks.backend import keras
from fer_utils.networks.costs import multiply_adds
from fer_utils.paths import CARD, MODEL, RELEASED
from fer_utils.recognition.recognizer import open_model
from fer_utils.release.portable import make_portable
from fer_utils.storage import Contents, atomic_folder
from fer_utils.training.predict import predict
from fer_utils.training.released import read_card
from fer_utils.training.runs import Run

EXPORTED = Contents("an exported model", CARD, (MODEL, "weights.npz", "README.md"))

PARITY_IMAGES = 1000
PARITY = 1e-4
"""The largest accepted difference in a probability between Keras and ONNX Runtime."""

INT8_LOSS = 0.003
"""The largest accepted loss of PublicTest accuracy with 8-bit integers, a fraction."""

_CALIBRATION_IMAGES = 256
_CALIBRATION_BATCH = 32
_CALIBRATION_PERCENTILE = 99.99
"""Activation ranges are computed from 256 Training images, without the most extreme values. With
them, or with more images, too few of the 256 steps remain for the other values, and probabilities
change by a third more."""


def export_run(run: Run, faces: Faces, folder: Path, *, int8: bool = False) -> dict:
    """Export a finished run to a folder. Replaces an exported model there.

    Temperature and threshold are fitted on PublicTest, to the exported model's predictions.
    PrivateTest is not read: its scores in the card come from logits that `fer-study score` saved.

    Args:
        run: a finished run.
        faces: the faces it was trained on.
        folder: the folder to write.
        int8: quantise weights and activations to 8 bits, if PublicTest accuracy falls by at most
            `INT8_LOSS` and one face is classified faster on this machine.

    Returns:
        The contents of card.json.

    Raises:
        StudyError: `folder` has other contents; the faces are not the run's; the backend is not
            TensorFlow, which the ONNX export needs; or Keras and ONNX Runtime disagree.
    """
    if faces.fingerprint != run.info.faces:
        raise StudyError(
            f"{run.folder.name}: expected the faces it was trained on (fingerprint "
            f"{run.info.faces[:12]}), found others ({faces.fingerprint[:12]}). "
            "Give them with --data."
        )
    if keras.backend.backend() != "tensorflow":
        raise StudyError(
            "KERAS_BACKEND: expected tensorflow, which the ONNX export needs, found "
            f"{keras.backend.backend()}. Runs of both backends can be exported with it."
        )
    EXPORTED.expect_place(folder)  # before the work
    public = faces.of(PUBLIC)
    model = run.model()
    model.set_weights([_rounded(weight) for weight in model.get_weights()])
    with atomic_folder(folder, EXPORTED) as target:
        write_onnx(model, target / MODEL)
        np.savez_compressed(
            target / "weights.npz", *[_stored(weight) for weight in model.get_weights()]
        )
        expected = predict(model, public.images)
        logits = onnx_logits(target / MODEL, public.images)
        difference = parity(expected, logits)
        onnx = {
            "largest_difference": difference,
            "images_compared": min(PARITY_IMAGES, len(public)),
            "int8": False,
        }
        if int8:
            onnx |= _quantise(target / MODEL, faces, logits)
            logits = onnx_logits(target / MODEL, public.images)
        card = _card(run, model, faces, logits) | {"onnx": onnx}
        (target / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        (target / "README.md").write_text(card_text(card), encoding="utf-8")
    return card


def copy_released(runs: Sequence[Run], folder: Path) -> tuple[Run, dict]:
    """Copy the released model, in place of an export of the run that it was exported from.

    Args:
        runs: usually evidence, which has no weights.
        folder: the folder to write.

    Returns:
        The run of the released model, and the contents of card.json.

    Raises:
        StudyError: the released model was exported from none of these runs.
    """
    card = read_card(RELEASED)
    run = next((run for run in runs if run.info.fingerprint == card["fingerprint"]), None)
    if run is None:
        raise StudyError(
            f"released model: expected one of {', '.join(run.info.label for run in runs)}, found "
            f"{card['name']}. Release one of these, or set use_evidence to false."
        )
    with atomic_folder(folder, EXPORTED) as target:
        for name in (EXPORTED.always, *EXPORTED.more):
            shutil.copyfile(RELEASED / name, target / name)
    return run, card


def write_onnx(model: keras.Model, file: Path) -> None:
    """Write a Keras model as ONNX, from `pixels` (n, 48, 48, 1) to `logits` (n, 7).

    The same model gives the same bytes.
    """
    import warnings

    model(np.zeros((1, SIDE, SIDE, 1), np.float32))  # Keras exports only a model that was called
    pixels = keras.InputSpec("float32", (None, SIDE, SIDE, 1), name="pixels")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx uses deprecated names of NumPy
        model.export(file, format="onnx", verbose=False, input_signature=[pixels])
    _renumber_names(file)


def onnx_logits(file: Path, images: np.ndarray) -> np.ndarray:
    """Predict images, uint8 (n, 48, 48), with an ONNX model. Returns logits, float32 (n, 7)."""
    run = _runner(file)
    batches = [run(images[start : start + 256]) for start in range(0, len(images), 256)]
    return np.concatenate(batches)


def parity(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference in a probability between two models, over the first 1,000 images.

    Args:
        expected: logits (n, 7).
        found: logits (n, 7).

    Raises:
        StudyError: it is `PARITY` or more, or a top prediction differs.
    """
    expected, found = (probabilities(logits[:PARITY_IMAGES]) for logits in (expected, found))
    difference = float(np.abs(expected - found).max())
    others = int((expected.argmax(axis=1) != found.argmax(axis=1)).sum())
    if not difference < PARITY or others:
        raise StudyError(
            "export: expected the same top predictions of ONNX Runtime and Keras, and "
            f"probabilities within {PARITY:g}, found {others} other predictions and a difference "
            f"of {difference:.2g} for {len(found):,} images. Nothing was written."
        )
    return difference


def card_text(card: dict) -> str:
    """Render the model card as Markdown from the contents of card.json."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_utils.release", ""),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = lambda share: f"{share:.1%}".replace("%", " %")
    return environment.get_template("model_card.md.j2").render(card=card)


def _card(run: Run, model: keras.Model, faces: Faces, logits: np.ndarray) -> dict:
    public = faces.of(PUBLIC)
    temperature = fit_temperature(logits, public.emotion)
    calibrated = probabilities(logits / temperature)
    threshold = fit_threshold(calibrated, public.emotion)
    scored = {PUBLIC: (logits, public)}
    private = faces.of(PRIVATE) if PRIVATE in faces.usage else None
    if private is not None and run.has_predictions(private):
        scored[PRIVATE] = (run.logits(private), private)
    return {
        "name": f"{run.recipe.name}, seed {run.seed}",
        "source": run.info.source,
        "public_accuracy": accuracy(logits, public.emotion),
        "temperature": temperature,
        "threshold": threshold.probability,
        "share_right": SHARE_RIGHT,
        "coverage": threshold.coverage,
        "calibration_error": {
            "before": calibration_error(probabilities(logits), public.emotion),
            "after": calibration_error(calibrated, public.emotion),
        },
        "scores": {
            split: split_scores("top1", of_split, part.emotion)
            | {
                "images": len(part),
                "recall": per_emotion(of_split, part.emotion)["recall"].to_dict(),
            }
            for split, (of_split, part) in scored.items()
        },
        "parameters": parts(model)[1].count_params(),
        "multiply_adds": multiply_adds(model),
        "training_images": len(faces.of(TRAINING)),
        "recipe": run.recipe.to_dict(),
        "seed": run.seed,
        "teachers": list(run.info.teachers),
        "fingerprint": run.info.fingerprint,
        "versions": {name: version(name) for name in ("keras", "tf2onnx", "onnx", "onnxruntime")},
    }


def _rounded(weight: np.ndarray) -> np.ndarray:
    return _stored(weight).astype(np.float32)


def _stored(weight: np.ndarray) -> np.ndarray:
    # Kernels are nearly all of the size. Statistics and biases may be large, and stay float32.
    return weight.astype(np.float16) if weight.ndim > 1 else weight


def _renumber_names(file: Path) -> None:
    """Number all names in the order of use. tf2onnx's names differ between exports of one model."""
    import onnx

    model = onnx.load(file)
    graph = model.graph
    names = {"": "", graph.input[0].name: "pixels", graph.output[0].name: "logits"}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for tensors in (node.input, node.output):
            tensors[:] = [names.setdefault(name, f"tensor_{len(names)}") for name in tensors]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names[value.name]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    constants = sorted(
        graph.initializer, key=lambda constant: int(constant.name.removeprefix("tensor_"))
    )
    del graph.initializer[:], graph.value_info[:]
    graph.doc_string = ""
    graph.initializer.extend(constants)
    onnx.save(model, file)


def _runner(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    session = open_model(file, threads=0)
    return lambda images: session.run(None, {"pixels": images[..., None].astype(np.float32)})[0]


def _quantise(file: Path, faces: Faces, logits: np.ndarray) -> dict:
    """Replace a float ONNX model by its 8-bit form if that is as accurate and faster.

    Returns the measurements for the card.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    public, training = faces.of(PUBLIC), faces.of(TRAINING)
    chosen = np.linspace(0, len(training) - 1, min(_CALIBRATION_IMAGES, len(training))).astype(int)
    # The histograms need batches of one size, so an incomplete last batch is dropped.
    whole = len(chosen) // _CALIBRATION_BATCH * _CALIBRATION_BATCH or len(chosen)
    pixels = training.images[chosen[:whole], ..., None].astype(np.float32)

    class Batches(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            starts = range(0, len(pixels), _CALIBRATION_BATCH)
            self.batches = iter(
                [{"pixels": pixels[start : start + _CALIBRATION_BATCH]} for start in starts]
            )

        def get_next(self):
            return next(self.batches, None)

    prepared, small = file.with_name("prepared.onnx"), file.with_name("int8.onnx")
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    # Weights have seven bits. With eight, processors without VNNI saturate and predict differently.
    with contextlib.redirect_stdout(None):  # it prints each step
        quantization.quantize_static(
            prepared,
            small,
            Batches(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": _CALIBRATION_PERCENTILE},
        )
    make_portable(small)
    after = onnx_logits(small, public.images)
    loss = accuracy(logits, public.emotion) - accuracy(after, public.emotion)
    speedup = _latency_ratio(file, small, public.images[:1])
    use = loss <= INT8_LOSS and speedup > 1
    if use:
        small.replace(file)
    prepared.unlink()
    small.unlink(missing_ok=True)
    return {"int8": use, "int8_accuracy_loss": loss, "int8_speedup": round(speedup, 2)}


def _latency_ratio(slow: Path, fast: Path, face: np.ndarray, rounds: int = 200) -> float:
    """The median time of one model divided by that of another, for one face, in alternation."""
    runners = [_runner(slow), _runner(fast)]
    seconds = np.empty((rounds, 2))
    for times in seconds:
        for i, run in enumerate(runners):
            started = time.perf_counter()
            run(face)
            times[i] = time.perf_counter() - started
    before, after = np.median(seconds, axis=0)
    return float(before / after)
