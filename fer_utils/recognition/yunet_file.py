"""YuNet's model file: its place in the user's cache, and its download."""

import hashlib
import os
import urllib.request
from pathlib import Path

from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file

YUNET_FILE = "yunet_n_640_640.onnx"
YUNET_URL = f"https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/{YUNET_FILE}"
YUNET_SHA256 = "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31"


def yunet_path() -> Path:
    """Return the place of the downloaded model file, in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fer-study" / YUNET_FILE


def download_yunet(url: str = YUNET_URL) -> Path:
    """Download YuNet's model file, check its SHA-256, and return its path, `yunet_path`.

    Nothing is downloaded if the file is already there.

    Raises:
        StudyError: the download fails, or the downloaded file is another one. The latter is not
            kept.
    """
    path = yunet_path()
    if path.is_file() and _sha256(path.read_bytes()) == YUNET_SHA256:
        return path
    by_hand = "Download it by hand and name it with --yunet FILE."
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            data = response.read(10_000_000)
    except OSError as problem:
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
    return path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
