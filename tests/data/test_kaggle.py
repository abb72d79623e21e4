"""The download from Kaggle, with a replacement for kagglehub's function."""

import io
import tarfile

import kagglehub
import numpy as np
import pytest
import requests
from kagglehub.exceptions import KaggleApiHTTPError, UnauthenticatedError

from fer_utils.data.kaggle import COMPETITION, FILE
from fer_utils.data.sources import read
from fer_utils.emotions import USAGES
from fer_utils.errors import StudyError


@pytest.mark.parametrize(
    "problem",
    [
        UnauthenticatedError(),
        KaggleApiHTTPError("403 Client Error", response=requests.Response()),
        requests.exceptions.ConnectionError("no network"),
        ValueError("Invalid Kaggle credentials file"),
        OSError(28, "No space left on device"),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_a_failed_download_is_an_error_with_advice(monkeypatch, problem):
    def fail(handle, path=None, **_):
        raise problem

    monkeypatch.setattr(kagglehub, "competition_download", fail)
    with pytest.raises(StudyError) as caught:
        read("kaggle")
    message = str(caught.value)
    assert message.startswith(
        f"Kaggle: expected to download {FILE}, found {type(problem).__name__}: {problem}."
    )
    for advice in (
        "KAGGLE_API_TOKEN",
        f"{COMPETITION}/rules",
        "--source csv --path",
        "--source folder",
    ):
        assert advice in message


def test_kagglehub_requires_credentials(monkeypatch, tmp_path):
    """Without credentials, kagglehub raises an error before it opens a connection."""
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(StudyError, match="UnauthenticatedError"):
        read("kaggle")


def test_reads_the_downloaded_file(monkeypatch, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 2304))
    rows = [
        f"{index},{' '.join(map(str, row))},{USAGES[index % 3]}\n"
        for index, row in enumerate(pixels)
    ]
    content = ("emotion,pixels,Usage\n" + "".join(rows)).encode()
    with tarfile.open(tmp_path / FILE, "w:gz") as archive:
        member = tarfile.TarInfo("fer2013/fer2013.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    calls = []

    def download(handle, path=None, **_):
        calls.append((handle, path))
        return str(tmp_path / FILE)

    monkeypatch.setattr(kagglehub, "competition_download", download)
    faces = read("kaggle")
    assert calls == [(COMPETITION, FILE)]
    assert faces.source == "kaggle"
    np.testing.assert_array_equal(faces.images.reshape(-1, 2304), pixels)
    assert faces.emotion.tolist() == list(range(6))
