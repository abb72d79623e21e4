"""The benchmark of test-time augmentation: its predictions and its table. Times are not tested."""

import re
import sys

import numpy as np
import pytest
import tta

from fer_utils.data.csv import read_csv
from fer_utils.emotions import PUBLIC
from fer_utils.evaluation import paired_bootstrap, probabilities
from fer_utils.paths import RELEASED
from fer_utils.release.export import onnx_logits
from fer_utils.training.predict import predict

NUMBERS = {"none": 1, "flip": 2, "shifts": 20, "crops": 10, "jitter": 64}


@pytest.fixture
def printed(monkeypatch, capsys):
    """Run the benchmark with these arguments, and return the columns of its rows."""

    def run(*arguments) -> dict[str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["tta.py", "--rounds", "2", *map(str, arguments)])
        tta.main()
        lines = capsys.readouterr().out.splitlines()[2:]
        return {line.split()[0]: re.split(r" {2,}", line.strip()) for line in lines}

    return run


def test_an_exported_model_predicts_the_mean_over_the_transforms(model_folder, faces):
    predict_tta, images = tta.exported(model_folder), faces.images[:30]
    file = model_folder / "model.onnx"
    np.testing.assert_allclose(predict_tta(images, "none"), onnx_logits(file, images), rtol=1e-5)
    both = [probabilities(onnx_logits(file, each)) for each in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(
        probabilities(predict_tta(images, "flip")), np.mean(both, axis=0), atol=1e-6
    )
    # One batch does not hold the transforms of several faces, and each face keeps its own mean.
    one_by_one = [predict_tta(images[i : i + 1], "jitter") for i in range(len(images))]
    np.testing.assert_allclose(predict_tta(images, "jitter"), np.concatenate(one_by_one), atol=1e-5)


def test_a_run_predicts_as_after_its_training(run, faces):
    predict_tta, images = tta.trained(run.folder), faces.images[:5]
    assert np.array_equal(predict_tta(images, "none"), predict(run.model(), images))
    assert np.array_equal(predict_tta(images, "crops"), predict(run.model(), images, "crops"))


def test_the_table_has_each_way_with_its_accuracy(printed, model_folder, faces, tmp_path):
    faces.save(tmp_path / "faces")
    rows, public = printed("--model", model_folder, "--data", tmp_path / "faces"), faces.of(PUBLIC)
    assert {name: int(row[1]) for name, row in rows.items()} == NUMBERS
    predict_tta = tta.exported(model_folder)
    correct = {}
    for name in NUMBERS:
        correct[name] = np.mean(predict_tta(public.images, name).argmax(1) == public.emotion)
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
    for row in rows.values():
        milliseconds = re.findall(r"\d+\.\d+", row[2])
        assert len(row) == 4 and all(float(number) > 0 for number in milliseconds)


def test_a_folder_without_a_model_is_named(printed, tmp_path):
    with pytest.raises(SystemExit, match="expected an ONNX model"):
        printed("--model", tmp_path)


@pytest.mark.slow
def test_the_differences_in_the_results_page_are_computed(project, real_data):
    public = read_csv(real_data / "fer2013.csv.gz").of(PUBLIC)
    page = (project / "docs" / "results.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\w+)[^|]* \| ([+−]\d\.\d) \| × ", page, re.MULTILINE))
    predict_tta = tta.exported(RELEASED)
    correct = {}
    for name in NUMBERS:
        correct[name] = predict_tta(public.images, name).argmax(axis=1) == public.emotion
    none = correct.pop("none")
    assert f"{100 * none.mean():.1f} %" in page
    assert list(rows) == list(correct)
    for name, each in correct.items():
        assert rows[name] == f"{100 * (each.mean() - none.mean()):+.1f}".replace("-", "−")
        low, high = paired_bootstrap(each, none)
        assert low <= 0 <= high, "not significant, as the page claims"
