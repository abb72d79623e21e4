"""Export: from a finished run to what `Recognizer` loads, an ONNX model with its card.

The folder holds

    model.onnx    pixels float32 (n, 48, 48, 1) in 0..255 to logits float32 (n, 7)
    card.json     what it was trained on, its scores, temperature and threshold, for programs
    README.md     the same as a model card (Mitchell et al. 2019, arXiv 1810.03993), for people
    weights.npz   the same weights for Keras, kernels as float16; `load_keras` builds the network from them

Kernels are rounded to float16 before anything else, so the two files are one model.
"""

import contextlib
import json
import time
from collections.abc import Callable
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
from fer_utils.recognition.recognizer import CARD, MODEL, open_model
from fer_utils.storage import Contents, atomic_folder
from fer_utils.training.predict import predict
from fer_utils.training.runs import Run

EXPORTED = Contents("an exported model", CARD, (MODEL, "weights.npz", "README.md"))

PARITY_IMAGES = 1000
PARITY = 1e-4
"""The largest difference in any probability between Keras and ONNX Runtime that an export passes with."""

INT8_LOSS = 0.003
"""The most PublicTest accuracy that 8-bit integers may cost."""

_CALIBRATION_IMAGES = 256
_CALIBRATION_BATCH = 32
_CALIBRATION_PERCENTILE = 99.99
"""Ranges of activations are those of so many Training images, but for the rarest values: with all of them, or more
images, the few largest leave too few of the 256 steps to the rest, and probabilities move by a third more."""


def export_run(run: Run, faces: Faces, folder: Path, *, int8: bool = False) -> dict:
    """Export a finished run to a folder, in place of an exported model that was there.

    Temperature and threshold are fitted on PublicTest to the exported model's own answers. PrivateTest is not looked
    at: its scores in the card are of the run's logits, where `fer-study score` has kept them.

    Args:
        run: finished.
        faces: those it was trained on.
        folder: where to.
        int8: quantise weights and activations to 8 bits, and keep that where PublicTest accuracy falls by
            `INT8_LOSS` at most and one face is classified faster here.

    Returns:
        What is in card.json.

    Raises:
        StudyError: something else is at `folder`; the faces are not the run's; the backend is not TensorFlow, which
            ONNX is written through; or Keras and ONNX Runtime disagree.
    """
    if faces.fingerprint != run.info.faces:
        raise StudyError(
            f"{run.folder.name}: expected the faces it was trained on (fingerprint {run.info.faces[:12]}), found "
            f"others ({faces.fingerprint[:12]}). Name them with --data."
        )
    if keras.backend.backend() != "tensorflow":
        raise StudyError(
            f"KERAS_BACKEND: expected tensorflow, which ONNX is written through, found {keras.backend.backend()}. "
            "Runs of either backend can be exported under it."
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


def write_onnx(model: keras.Model, file: Path) -> None:
    """Write a Keras model as ONNX, from `pixels` (n, 48, 48, 1) to `logits` (n, 7); the same model, the same bytes."""
    import warnings

    model(np.zeros((1, SIDE, SIDE, 1), np.float32))  # Keras exports only what has been called
    pixels = keras.InputSpec("float32", (None, SIDE, SIDE, 1), name="pixels")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf2onnx about NumPy's names
        model.export(file, format="onnx", verbose=False, input_signature=[pixels])
    _name_anew(file)


def onnx_logits(file: Path, images: np.ndarray) -> np.ndarray:
    """An ONNX model's logits, float32 (n, 7), of images uint8 (n, 48, 48)."""
    run = _runner(file)
    batches = [run(images[start : start + 256]) for start in range(0, len(images), 256)]
    return np.concatenate(batches)


def parity(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference in probability between two models' logits (n, 7), over the first 1,000 images.

    Raises:
        StudyError: it is `PARITY` or more, or a top answer differs.
    """
    expected, found = (probabilities(logits[:PARITY_IMAGES]) for logits in (expected, found))
    difference = float(np.abs(expected - found).max())
    others = int((expected.argmax(axis=1) != found.argmax(axis=1)).sum())
    if not difference < PARITY or others:
        raise StudyError(
            f"export: expected ONNX Runtime to answer as Keras does (probabilities within {PARITY:g}, the same top "
            f"answer), found a difference of {difference:.2g} and {others} other answers among {len(found):,} images. "
            "Nothing was written."
        )
    return difference


def card_text(card: dict) -> str:
    """The model card as Markdown, from what card.json holds."""
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
            usage: split_scores("top1", answers, part.emotion)
            | {
                "images": len(part),
                "recall": per_emotion(answers, part.emotion)["recall"].to_dict(),
            }
            for usage, (answers, part) in scored.items()
        },
        "parameters": parts(model)[1].count_params(),
        "multiply_adds": multiply_adds(model),
        "training_images": len(faces.of(TRAINING)),
        "recipe": run.recipe.to_dict(),
        "seed": run.seed,
        "fingerprint": run.info.fingerprint,
        "versions": {name: version(name) for name in ("keras", "tf2onnx", "onnx", "onnxruntime")},
    }


def _rounded(weight: np.ndarray) -> np.ndarray:
    return _stored(weight).astype(np.float32)


def _stored(weight: np.ndarray) -> np.ndarray:
    # Kernels are nearly all of the size; statistics and biases, which may be large, stay as they are.
    return weight.astype(np.float16) if weight.ndim > 1 else weight


def _name_anew(file: Path) -> None:
    """Number all names in the order of use: tf2onnx's differ from export to export, so the same run would not give
    the same bytes."""
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
    """Replace a float ONNX model by its 8-bit form where that is as good and faster; what was found, for the card."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    public, training = faces.of(PUBLIC), faces.of(TRAINING)
    chosen = np.linspace(0, len(training) - 1, min(_CALIBRATION_IMAGES, len(training))).astype(int)
    # The histograms want batches of one size: what fills no batch is left out, unless it is all there is.
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
    # Seven bits of weight: with eight, processors without VNNI saturate and answer otherwise than those with it.
    with contextlib.redirect_stdout(None):  # it prints its steps
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
    after = onnx_logits(small, public.images)
    loss = accuracy(logits, public.emotion) - accuracy(after, public.emotion)
    speedup = _latency_ratio(file, small, public.images[:1])
    kept = loss <= INT8_LOSS and speedup > 1
    if kept:
        small.replace(file)
    prepared.unlink()
    small.unlink(missing_ok=True)
    return {"int8": kept, "int8_accuracy_loss": loss, "int8_speedup": round(speedup, 2)}


def _latency_ratio(slow: Path, fast: Path, face: np.ndarray, rounds: int = 200) -> float:
    """Median time of the first divided by that of the second, one face at a time, in turn."""
    runners = [_runner(slow), _runner(fast)]
    seconds = np.empty((rounds, 2))
    for times in seconds:
        for i, run in enumerate(runners):
            started = time.perf_counter()
            run(face)
            times[i] = time.perf_counter() - started
    before, after = np.median(seconds, axis=0)
    return float(before / after)
