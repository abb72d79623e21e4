"""Export: files that agree with the run and with each other, the model card, and errors."""

import json
import shutil

import numpy as np
import pytest

from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy, probabilities
from fer_utils.paths import RELEASED
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.release import export
from fer_utils.release.export import card_text, copy_released, export_run, onnx_logits, parity
from fer_utils.results.scoring import score
from fer_utils.training.released import load_keras, read_card
from fer_utils.training.runs import Run


@pytest.fixture(scope="module")
def exported(run, faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    return folder, export_run(run, faces, folder)


def test_onnx_predicts_as_the_run_does(exported, run, faces):
    folder, _ = exported
    public = faces.of(PUBLIC)
    found = probabilities(onnx_logits(folder / "model.onnx", public.images))
    # Kernels are rounded to float16.
    np.testing.assert_allclose(found, probabilities(run.logits(public)), atol=2e-3)
    assert np.ptp(found) > 0.01


def test_keras_weights_are_the_same_model(exported, faces):
    from fer_utils.training.predict import predict

    folder, _ = exported
    images = faces.of(TRAINING).images
    in_keras = probabilities(predict(load_keras(folder), images))
    np.testing.assert_allclose(
        in_keras, probabilities(onnx_logits(folder / "model.onnx", images)), atol=1e-4
    )


def test_the_recogniser_loads_it(exported, faces):
    folder, card = exported
    recognizer = Recognizer(folder)
    public = faces.of(PUBLIC)
    found = recognizer.classify(public.images)
    expected = probabilities(
        onnx_logits(folder / "model.onnx", public.images) / card["temperature"]
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert recognizer.card == card
    assert recognizer.drawn


def test_the_card_has_the_numbers_of_the_run(exported, run, faces):
    folder, card = exported
    assert card == json.loads((folder / "card.json").read_text())
    public = faces.of(PUBLIC)
    logits = onnx_logits(folder / "model.onnx", public.images)
    assert (
        card["public_accuracy"]
        == card["scores"][PUBLIC]["top1_accuracy"]
        == accuracy(logits, public.emotion)
    )
    assert (
        card["scores"][PUBLIC]["top1_low"]
        < card["public_accuracy"]
        < card["scores"][PUBLIC]["top1_high"]
    )
    assert list(card["scores"][PUBLIC]["recall"]) == list(EMOTIONS)
    assert card["recipe"] == json.loads(json.dumps(run.recipe.to_dict()))
    assert (card["seed"], card["fingerprint"]) == (1, run.info.fingerprint)
    assert card["parameters"] == run.info.parameters
    assert card["training_images"] == len(faces.of(TRAINING))
    assert card["onnx"]["largest_difference"] < 1e-4


def test_privatetest_is_in_the_card_only_if_it_was_scored(exported, run, faces, tmp_path):
    assert list(exported[1]["scores"]) == [PUBLIC]
    shutil.copytree(run.folder, tmp_path / "run")
    scored = score(type(run)(tmp_path / "run"), faces)
    card = export_run(scored, faces, tmp_path / "model")
    private = faces.of(PRIVATE)
    assert card["scores"][PRIVATE]["top1_accuracy"] == accuracy(
        scored.logits(private), private.emotion
    )


def test_the_same_run_gives_the_same_bytes(exported, run, faces, tmp_path):
    export_run(run, faces, tmp_path / "again")
    for file in exported[0].iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_other_faces_are_refused(run, faces, tmp_path):
    others = faces.select(np.arange(len(faces)) > 3)
    with pytest.raises(StudyError, match="expected the faces it was trained on"):
        export_run(run, others, tmp_path / "model")


def test_a_model_with_other_predictions_is_refused():
    logits = np.random.default_rng(0).normal(size=(1500, 7))
    assert parity(logits, logits + 1e-6) < 1e-5
    moved = logits.copy()
    moved[500, 2] += 0.01
    with pytest.raises(StudyError, match="Nothing was written"):
        parity(logits, moved)
    moved = logits.copy()
    moved[1200, 2] += 0.01  # not among the compared images
    assert parity(logits, moved) == 0
    tie = np.zeros((1, 7))
    with pytest.raises(StudyError, match="1 other predictions"):
        parity(tie, tie + 1e-9 * np.arange(7))


def test_a_failed_export_keeps_the_old_folder(run, faces, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.json").write_text("old")
    monkeypatch.setattr(
        export, "onnx_logits", lambda file, images: np.zeros((len(images), 7), np.float32)
    )
    with pytest.raises(StudyError, match="same top predictions of ONNX Runtime and Keras"):
        export_run(run, faces, tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "card.json"]
    assert (tmp_path / "model" / "card.json").read_text() == "old"


@pytest.mark.parametrize(
    ("speedup", "allowed_loss", "used"), [(1.5, 1.0, True), (0.9, 1.0, False), (1.5, -1.0, False)]
)
def test_8_bit_integers_are_used_if_as_accurate_and_faster(
    exported, run, faces, tmp_path, monkeypatch, speedup, allowed_loss, used
):
    monkeypatch.setattr(export, "_latency_ratio", lambda *_: speedup)
    monkeypatch.setattr(export, "INT8_LOSS", allowed_loss)
    card = export_run(run, faces, tmp_path / "model", int8=True)
    assert card["onnx"]["int8"] is used
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md", "card.json", "model.onnx", "weights.npz",
    ]  # fmt: skip
    same = (tmp_path / "model" / "model.onnx").read_bytes() == (
        exported[0] / "model.onnx"
    ).read_bytes()
    assert same is not used
    images = faces.of(PUBLIC).images
    assert card["public_accuracy"] == accuracy(
        onnx_logits(tmp_path / "model" / "model.onnx", images), faces.of(PUBLIC).emotion
    )


def test_the_released_model_is_copied_for_the_run_that_it_came_from(run, project, tmp_path):
    card = read_card(RELEASED)
    recipe, seed = card["recipe"]["name"], card["seed"]
    origin = Run(project / "reports" / "evidence" / f"{recipe}-seed{seed}")
    found, copied = copy_released([run, origin], tmp_path / "copy")
    assert (found, copied) == (origin, card)
    files = {file.name for file in (tmp_path / "copy").iterdir()}
    assert {"model.onnx", "weights.npz", "card.json", "README.md"} <= files
    for name in files:
        assert (tmp_path / "copy" / name).read_bytes() == (RELEASED / name).read_bytes()


def test_other_runs_are_no_origin_of_the_released_model(run, tmp_path):
    with pytest.raises(StudyError, match=f"released model: expected one of {run.info.label}"):
        copy_released([run], tmp_path / "copy")
    assert not any(tmp_path.iterdir())


def test_the_model_card_has_the_numbers_of_card_json(exported):
    folder, card = exported
    text = (folder / "README.md").read_text()
    assert text == card_text(card)
    assert f"{card['public_accuracy']:.1%}".replace("%", " %") in text
    assert "Trained on drawn faces" in text
    assert "has not been scored" in text
    real = card_text(
        card | {"source": "csv", "scores": {**card["scores"], PRIVATE: card["scores"][PUBLIC]}}
    )
    assert "drawn" not in real
    assert "| PrivateTest |" in real


def test_the_model_card_says_what_the_network_started_from_and_learned_from(exported):
    card = json.loads((exported[0] / "card.json").read_text(encoding="utf-8"))
    assert "distilled" not in card_text(card) and "from the weights" not in card_text(card)
    card["recipe"]["initial_weights"] = "first-seed1-0123456789ab"
    card["teachers"] = ["a-seed1", "FER+ votes"]
    text = card_text(card)
    assert "from the weights of `first-seed1-0123456789ab`" in text
    assert "distilled from a-seed1, FER+ votes" in text


def test_a_folder_without_weights_is_named(exported, tmp_path):
    shutil.copytree(exported[0], tmp_path / "model")
    (tmp_path / "model" / "weights.npz").write_bytes(b"nothing")
    with pytest.raises(StudyError, match=r"weights\.npz"):
        load_keras(tmp_path / "model")
