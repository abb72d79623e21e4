"""Fixtures of the server's tests."""

import pytest

from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving import create_app


@pytest.fixture(scope="session")
def recognizer(model_folder):
    return Recognizer(model_folder)


@pytest.fixture
def client(recognizer):
    """A client of an application that accepts 200,000 bytes in one request."""
    return create_app(recognizer, max_upload_bytes=200_000).test_client()
