"""YuNet's model file: its place in the user's cache, and its download."""

import hashlib
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file

YUNET_FILE = "yunet_n_640_640.onnx"
YUNET_URL = f"https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/{YUNET_FILE}"
YUNET_SHA256 = "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31"


OFFLINE = "FER_STUDY_OFFLINE"
"""Environment variable that forbids `fetch_yunet_once` to use the network; 0 allows it."""

AGAIN = 30
"""Days after a failed download until `fetch_yunet_once` tries again."""

_PATIENCE = 10
"""Seconds that a command waits for the file before it starts without it."""


def yunet_path() -> Path:
    """Return the place of the downloaded model file, in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fer-study" / YUNET_FILE


def fetched_yunet() -> Path | None:
    """Return `yunet_path` if the file is there and has YuNet's SHA-256, else None."""
    path = yunet_path()
    try:
        return path if _sha256(path.read_bytes()) == YUNET_SHA256 else None
    except OSError:
        return None


def download_yunet(url: str = YUNET_URL) -> Path:
    """Download YuNet's model file, check its SHA-256, and return its path, `yunet_path`.

    Nothing is downloaded if the file is already there.

    Raises:
        StudyError: the download fails, or the downloaded file is another one. The latter is not
            kept.
    """
    if path := fetched_yunet():
        return path
    path = yunet_path()
    by_hand = "Download it by hand and name it with --yunet FILE."
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            data = response.read(10_000_000)
    except (OSError, HTTPException) as problem:
        raise StudyError(
            f"{url}: expected YuNet's model file, found: {problem}. {by_hand}"
        ) from None
    if (digest := _sha256(data)) != YUNET_SHA256:
        raise StudyError(
            f"{url}: expected a file with SHA-256 {YUNET_SHA256}, found {len(data):,} bytes with "
            f"{digest}. Nothing was kept. {by_hand}"
        )
    with atomic_file(path) as target:
        target.write_bytes(data)
    with suppress(OSError):
        _attempt().unlink()
    return path


def fetch_yunet_once(say: Callable[[str], None], url: str = YUNET_URL) -> None:
    """Download YuNet's model file, unless it is there, forbidden, or was tried in vain recently.

    The commands call this for their user; the library never does. After `_PATIENCE` seconds the
    command goes on without the file. An attempt leaves a file in the cache, also if it is
    interrupted, and the next one is made `AGAIN` days later.

    Args:
        say: receives one line before the download, and one if it fails.
        url: address of the file.
    """
    attempt = _attempt()
    if os.environ.get(OFFLINE, "0") not in ("", "0") or fetched_yunet():
        return
    try:
        if time.time() - attempt.stat().st_mtime < AGAIN * 24 * 3600:
            return
    except OSError:
        pass  # there was no attempt
    try:
        attempt.parent.mkdir(parents=True, exist_ok=True)
        attempt.touch()
    except OSError:
        return  # the file could not be kept either
    say(
        f"Fetching the face detector YuNet once: 317 kB from {url}. "
        f"{OFFLINE}=1 or `--detector haar` prevents this."
    )
    found = f"no answer within {_PATIENCE} seconds"
    finished = threading.Event()

    def download() -> None:
        nonlocal found
        try:
            download_yunet(url)
        except (OSError, StudyError) as problem:
            found = str(problem)
        finished.set()

    # A daemon, because resolving a name may take long and cannot be interrupted.
    threading.Thread(target=download, daemon=True).start()
    finished.wait(_PATIENCE)
    if not fetched_yunet():
        say(
            f"YuNet was not fetched ({found}), so OpenCV's Haar cascade finds the faces. The next "
            f"attempt is in {AGAIN} days, or with `fer-study fetch-yunet`."
        )


def _attempt() -> Path:
    """The file whose time is that of the last attempt."""
    path = yunet_path()
    return path.with_name(f"{path.name}.tried")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
