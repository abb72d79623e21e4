"""Fixtures for several test files."""

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from fer_utils.cli.study import PRELOADED
from fer_utils.data.faces import Faces
from fer_utils.data.sample import draw_sample
from fer_utils.emotions import CANONICAL_COUNTS
from fer_utils.recognition.yunet_file import OFFLINE, YUNET_FILE, fetched_yunet
from fer_utils.training.recipe import Recipe
from fer_utils.training.recipes import get_recipe
from fer_utils.warm import COMMAND, preloaded_python, wake

# For the tests and all processes that they start: no command fetches the face detector, and a user
# who has fetched it tests with the same detector as one who has not.
os.environ[OFFLINE] = "1"
if fetched_yunet():
    _no_cache = tempfile.TemporaryDirectory()
    os.environ["XDG_CACHE_HOME"] = _no_cache.name

PROJECT = Path(__file__).resolve().parent.parent

WARM = "FER_STUDY_TESTS_PYTHON"
"""Environment variable of a Python that starts with slow imports done; see `pytest_configure`."""


def pytest_configure(config):
    """Fork pytest-xdist's workers from one process that imports TensorFlow and others for all."""
    workers = getattr(config.option, "tx", None) or []
    if hasattr(config, "workerinput") or set(workers) != {"popen"}:
        return
    server = ExitStack()
    config.add_cleanup(server.close)
    # Before IPython, tqdm chooses bars for terminals, as in a process of its own.
    variables = server.enter_context(preloaded_python(("tqdm.auto", *PRELOADED)))
    if variables:
        command = variables[COMMAND]
        while not Path(command).with_name("socket").exists():
            time.sleep(0.02)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(COMMAND, command)
            wake()
        os.environ[WARM] = command
        config.option.tx = [f"popen//python={command}"] * len(workers)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def warm_environment() -> dict[str, str]:
    """Environment variables with which fer-study's commands and notebooks start warm."""
    command = os.environ.get(WARM)
    return os.environ | ({COMMAND: command} if command else {})


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real FER-2013 (fer2013.csv.gz, fer2013new.csv, media/).

    It is that of the environment variable FER_STUDY_REAL_DATA, or ../shared/data. Without it, the
    test is skipped.
    """
    folder = Path(os.environ.get("FER_STUDY_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "fer2013.csv.gz").is_file():
        pytest.skip(
            f"no real FER-2013 at {folder}: set FER_STUDY_REAL_DATA to a folder with fer2013.csv.gz"
        )
    return folder


@pytest.fixture(scope="session")
def yunet_file(real_data) -> Path:
    """YuNet's model file among the real data. Without it, the test is skipped."""
    file = real_data / "models" / YUNET_FILE
    if not file.is_file():
        pytest.skip(f"no YuNet model at {file}")
    return file


@pytest.fixture(scope="session")
def faces() -> Faces:
    """A few drawn faces, with each emotion in each split."""
    return draw_sample(210, seed=3)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A very narrow baseline CNN, for two epochs of six batches, with its last weights."""
    return get_recipe("baseline_cnn").but(
        width=0.03, batch_norm_momentum=0.5, epochs=2, batch_size=32, keep="last"
    )


@pytest.fixture(scope="session")
def run(faces, recipe, tmp_path_factory):
    """A finished run of `recipe` on `faces` with seed 1, not scored on PrivateTest.

    Tests must not write to it.
    """
    from fer_utils.training.fit import fit

    return fit(recipe, faces.without_private(), 1, tmp_path_factory.mktemp("runs"), progress=False)


@pytest.fixture(scope="session")
def canonical() -> Faces:
    """Blank images with FER-2013's counts, in random order; `row` differs from the position."""
    labels = [
        (u, e)
        for u, counts in CANONICAL_COUNTS.items()
        for e, count in enumerate(counts)
        for _ in range(count)
    ]
    order = np.random.default_rng(5).permutation(len(labels))
    return Faces(
        images=np.broadcast_to(np.uint8(0), (len(labels), 48, 48)),
        emotion=np.array([e for _, e in labels], np.uint8)[order],
        usage=np.array([u for u, _ in labels])[order],
        row=np.arange(len(labels))[::-1].copy(),
        source="csv",
    )


@pytest.fixture(scope="session")
def build_tiny():
    """Build a network that compiles fast: one dense layer with dropout on pooled pixels."""
    from fer_utils.networks.backend import keras

    def build(network: str, *, dropout: float = 0.25, **_) -> keras.Model:
        layers = keras.layers
        inputs = keras.Input((48, 48, 1))
        x = layers.AveragePooling2D(8)(layers.Rescaling(1 / 255)(inputs))
        return keras.Model(inputs, layers.Dense(7)(layers.Dropout(dropout)(layers.Flatten()(x))))

    return build


@pytest.fixture(scope="session")
def write_model():
    """Write a tiny linear model in the format of `fer-study export`, for the real ONNX Runtime."""
    import json

    import onnx
    from onnx import helper, numpy_helper

    def write(folder: Path, *, outputs: int = 7, side: int = 48, **card) -> Path:
        kernel = np.random.default_rng(7).normal(0, 0.02, (side * side, outputs)).astype(np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("Flatten", ["pixels"], ["flat"]),
                helper.make_node("MatMul", ["flat", "kernel"], ["logits"]),
            ],
            "tiny",
            [helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["n", side, side, 1])],
            [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", outputs])],
            [numpy_helper.from_array(kernel / side, "kernel")],
        )
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
            folder / "model.onnx",
        )
        about = {
            "name": "tiny network",
            "source": "csv",
            "public_accuracy": 0.375,
            "temperature": 1.0,
            "threshold": 0.5,
        }
        (folder / "card.json").write_text(json.dumps(about | card))
        return folder

    return write


@pytest.fixture(scope="session")
def model_folder(write_model, tmp_path_factory) -> Path:
    """A tiny exported model. Tests must not write to it."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def tiny_network(build_tiny, monkeypatch):
    """Let every training build the network of `build_tiny`, for any recipe."""
    from fer_utils.training import fit as training
    from fer_utils.training import fit_many

    monkeypatch.setattr(training, "build", build_tiny)
    # A process of its own would build the real network.
    monkeypatch.setattr(fit_many, "can_share_machine", lambda: False)
