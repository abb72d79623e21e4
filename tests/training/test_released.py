"""Available models: runs with saved weights, and on real faces the released model."""

import dataclasses

import numpy as np
import pytest

from fer_utils.errors import StudyError
from fer_utils.paths import RELEASED
from fer_utils.training.predict import predict
from fer_utils.training.released import available_models


def test_runs_with_weights_predict_as_before(run, faces, tmp_path):
    models = available_models({"with": run.folder, "without": tmp_path}, faces)
    assert list(models) == ["with"]
    public = faces.of("PublicTest")
    np.testing.assert_allclose(
        predict(models["with"], public.images), run.logits(public), atol=1e-4
    )


def test_the_released_model_is_for_real_faces(faces, tmp_path):
    real = dataclasses.replace(faces, source="csv", truth=None)
    (label,) = available_models({}, real)
    assert label == "released model" and (RELEASED / "weights.npz").is_file()
    with pytest.raises(StudyError, match=r"model\.keras.*found none in"):
        available_models({"without": tmp_path}, faces)
