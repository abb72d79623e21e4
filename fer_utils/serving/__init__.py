"""The recogniser as a web page and a small JSON interface."""

from fer_utils.serving.app import create_app
from fer_utils.serving.server import running, serve

__all__ = ["create_app", "running", "serve"]
