"""YuNet's file: fetched once and with notice, and the detector that is used without it."""

import hashlib
import os
import threading
import time

import pytest

from fer_utils.recognition import yunet_file as files
from fer_utils.recognition.detectors import HaarDetector, make_detector
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.yunet import YuNetDetector
from fer_utils.recognition.yunet_file import OFFLINE, download_yunet, fetch_yunet_once


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, from which the commands may fetch."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(OFFLINE)
    return tmp_path / "cache" / "fer-study"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The address of a file that counts as YuNet's."""
    file = tmp_path / "there.onnx"
    file.write_bytes(b"the network")
    monkeypatch.setattr(files, "YUNET_SHA256", hashlib.sha256(b"the network").hexdigest())
    return file.as_uri()


@pytest.fixture
def said():
    return []


def test_the_file_is_fetched_once_with_notice(cache, source, said):
    fetch_yunet_once(said.append, source)
    assert (cache / files.YUNET_FILE).read_bytes() == b"the network"
    assert len(said) == 1
    assert source in said[0] and OFFLINE in said[0]
    fetch_yunet_once(said.append, source)
    assert len(said) == 1
    assert [path.name for path in cache.iterdir()] == [files.YUNET_FILE]


def test_a_failed_attempt_is_told_and_not_repeated_for_weeks(cache, source, said, tmp_path):
    nothing = (tmp_path / "nothing.onnx").as_uri()
    fetch_yunet_once(said.append, nothing)
    assert len(said) == 2
    assert "was not fetched" in said[1] and "Haar" in said[1]
    fetch_yunet_once(said.append, source)
    assert len(said) == 2
    assert not (cache / files.YUNET_FILE).exists()
    (tried,) = cache.iterdir()
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(tried, (long_ago, long_ago))
    fetch_yunet_once(said.append, source)
    assert (cache / files.YUNET_FILE).exists()


def test_after_a_failed_attempt_it_can_be_fetched_on_demand(cache, source, said, tmp_path):
    fetch_yunet_once(said.append, (tmp_path / "nothing.onnx").as_uri())
    download_yunet(source)
    assert [path.name for path in cache.iterdir()] == [files.YUNET_FILE]


def test_another_file_is_not_kept(cache, said, tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"something else")
    fetch_yunet_once(said.append, (tmp_path / "other.onnx").as_uri())
    assert "14 bytes" in said[1]
    assert not (cache / files.YUNET_FILE).exists()


@pytest.mark.parametrize("value", ["1", "yes"])
def test_offline_nothing_is_fetched_or_said(cache, source, said, monkeypatch, value):
    monkeypatch.setenv(OFFLINE, value)
    fetch_yunet_once(said.append, source)
    assert said == [] and not cache.exists()


def test_zero_allows_fetching(cache, source, said, monkeypatch):
    monkeypatch.setenv(OFFLINE, "0")
    fetch_yunet_once(said.append, source)
    assert len(said) == 1


def test_a_command_does_not_wait_for_a_silent_network(cache, source, said, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(files, "_PATIENCE", 0.2)

    def silent(*_, **__):
        answers.wait(30)
        raise TimeoutError

    monkeypatch.setattr(files.urllib.request, "urlopen", silent)
    started = time.monotonic()
    try:
        fetch_yunet_once(said.append, source)
    finally:
        answers.set()
    assert time.monotonic() - started < 10
    assert "no answer within 0.2 seconds" in said[1]


def test_without_a_place_for_the_file_nothing_is_fetched(cache, source, said):
    cache.parent.write_text("a file where the cache should be")
    fetch_yunet_once(said.append, source)
    assert said == []


# --- auto ---


def test_auto_is_haar_without_the_file_or_with_a_damaged_one(cache, model_folder):
    assert isinstance(make_detector("auto"), HaarDetector)
    cache.mkdir(parents=True)
    (cache / files.YUNET_FILE).write_bytes(b"damaged")
    assert isinstance(make_detector("auto"), HaarDetector)
    assert Recognizer(model_folder).detector.name == "haar"


def test_auto_is_yunet_with_its_file(cache, model_folder, real_data):
    file = real_data / "models" / files.YUNET_FILE
    if not file.is_file():
        pytest.skip(f"no YuNet model at {file}")
    assert isinstance(make_detector("auto", file), YuNetDetector)
    cache.mkdir(parents=True)
    (cache / files.YUNET_FILE).write_bytes(file.read_bytes())
    assert isinstance(make_detector(), YuNetDetector)
    assert Recognizer(model_folder).detector.name == "yunet"
    assert isinstance(make_detector("haar"), HaarDetector)
