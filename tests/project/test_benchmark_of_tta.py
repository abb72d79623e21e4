"""The benchmark of test-time averaging: its answers are the averages that it says; no time is
tested."""

import re
import sys

import numpy as np
import pytest

from fer_utils.data.csv import read_csv
from fer_utils.emotions import PUBLIC
from fer_utils.evaluation import paired_bootstrap, probabilities
from fer_utils.recognition.recognizer import RELEASED
from fer_utils.release.export import onnx_logits
from fer_utils.training.predict import predict

NUMBERS = {"none": 1, "flip": 2, "shifts": 20, "crops": 10, "jitter": 64}


@pytest.fixture(scope="module")
def benchmark(project):
    folder = str(project / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import tta
    finally:
        sys.path.remove(folder)
    return tta


@pytest.fixture
def printed(benchmark, monkeypatch, capsys):
    """Runs the benchmark with these arguments; gives the columns of its rows."""

    def run(*arguments) -> dict[str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["tta.py", "--rounds", "2", *map(str, arguments)])
        benchmark.main()
        lines = capsys.readouterr().out.splitlines()[2:]
        return {line.split()[0]: re.split(r" {2,}", line.strip()) for line in lines}

    return run


def test_an_exported_model_s_answers_are_predict_over_the_views(benchmark, model_folder, faces):
    look, images = benchmark.exported(model_folder), faces.images[:30]
    file = model_folder / "model.onnx"
    np.testing.assert_allclose(look(images, "none"), onnx_logits(file, images), rtol=1e-5)
    both = [probabilities(onnx_logits(file, each)) for each in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(
        probabilities(look(images, "flip")), np.mean(both, axis=0), atol=1e-6
    )
    # More views than a batch holds of several faces: each face has its own answer.
    one_by_one = np.concatenate([look(images[i : i + 1], "jitter") for i in range(len(images))])
    np.testing.assert_allclose(look(images, "jitter"), one_by_one, atol=1e-5)


def test_a_run_is_looked_at_as_trainings_do(benchmark, run, faces):
    look, images = benchmark.trained(run.folder), faces.images[:5]
    assert np.array_equal(look(images, "none"), predict(run.model(), images))
    assert np.array_equal(look(images, "crops"), predict(run.model(), images, "crops"))


def test_the_table_has_each_way_with_its_accuracy(
    benchmark, printed, model_folder, faces, tmp_path
):
    faces.save(tmp_path / "faces")
    rows, public = printed("--model", model_folder, "--data", tmp_path / "faces"), faces.of(PUBLIC)
    assert {name: int(row[1]) for name, row in rows.items()} == NUMBERS
    look = benchmark.exported(model_folder)
    correct = {
        name: np.mean(look(public.images, name).argmax(1) == public.emotion) for name in NUMBERS
    }
    for name, row in rows.items():
        assert float(row[4].split()[0]) == pytest.approx(100 * correct[name], abs=0.006)
        low, high = (float(each) for each in re.findall(r"[-+]?\d+\.\d+", row[4])[1:])
        assert low < 100 * correct[name] < high
        if name != "none":
            difference, low, high = (float(each) for each in re.findall(r"[-+]\d+\.\d+", row[5]))
            assert difference == pytest.approx(100 * (correct[name] - correct["none"]), abs=0.006)
            assert low <= difference <= high
    assert rows["none"][3] == "1.0 (1.0 to 1.0)" and len(rows["none"]) == 5


def test_without_faces_there_are_only_times(printed, model_folder):
    rows = printed("--model", model_folder)
    assert list(rows) == list(NUMBERS)
    assert all(
        len(row) == 4 and all(float(ms) > 0 for ms in re.findall(r"\d+\.\d+", row[2]))
        for row in rows.values()
    )


def test_a_folder_without_a_model_is_named(printed, tmp_path):
    with pytest.raises(SystemExit, match="expected an ONNX model"):
        printed("--model", tmp_path)


@pytest.mark.slow
def test_what_the_readme_says_that_averaging_brings(benchmark, project, real_data):
    public = read_csv(real_data / "fer2013.csv.gz").of(PUBLIC)
    words = " ".join((project / "README.md").read_text(encoding="utf-8").split())
    look = benchmark.exported(RELEASED)
    correct = {name: look(public.images, name).argmax(axis=1) == public.emotion for name in NUMBERS}
    alone = correct.pop("none")
    points = {
        name: f"{100 * abs(each.mean() - alone.mean()):.1f}" for name, each in correct.items()
    }
    assert f"Of {alone.mean():.1%}".replace("%", " % of PublicTest") in words
    for said in (
        f"an image and its mirror image has {points['flip']} points less",
        f"that over small shifts {points['shifts']} more",
        f"over ten crops {points['crops']} more",
        f"over 64 jitters {points['jitter']} less",
    ):
        assert said in words
    ends = {name: paired_bootstrap(each, alone) for name, each in correct.items()}
    assert all(low <= 0 <= high for low, high in ends.values()), "every interval holds 0"
