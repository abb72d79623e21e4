"""The recogniser as a web page and a JSON API."""

from fer_utils.serving.app import create_app
from fer_utils.serving.server import LOCAL_HOSTS, running, serve

__all__ = ["LOCAL_HOSTS", "create_app", "running", "serve"]
