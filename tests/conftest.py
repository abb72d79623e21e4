"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder the project lies in."""
    return PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real FER-2013 (fer2013.csv.gz, fer2013new.csv, media/); skips where it is missing.

    It is looked for in the environment variable FER_STUDY_REAL_DATA, then in ../shared/data.
    """
    folder = Path(os.environ.get("FER_STUDY_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "fer2013.csv.gz").is_file():
        pytest.skip(f"no real FER-2013 at {folder}: set FER_STUDY_REAL_DATA to a folder with fer2013.csv.gz")
    return folder
