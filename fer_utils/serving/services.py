"""The objects that the routes and the server of one application share."""

import threading
from dataclasses import dataclass, field

from flask import Flask

from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.feed import Feed
from fer_utils.serving.journal import Journal
from fer_utils.serving.memory import Memory
from fer_utils.serving.metrics import Metrics
from fer_utils.serving.on_device import OnDevice
from fer_utils.serving.work import Workers

_KEY = "fer_study"


@dataclass(frozen=True)
class Services:
    """The shared objects of one application.

    Attributes:
        recognizer: finds and classifies the faces of every request.
        workers: the threads in which the recogniser runs.
        memory: the memory that the photos in work share.
        feed: the camera or video of `/video_feed`; None if there is none.
        on_device: what a browser needs to answer by itself; None if it is not offered.
        metrics: the counters of `/metrics`.
        journal: the access log.
        document: the OpenAPI document.
        headers: the security headers of every response.
        cors_origins: other sites whose pages may use the server; "*" for all.
        max_photos: largest number of photos in one request.
        token_required: whether clients must send a token.
        stopping: set when the server begins to stop.
    """

    recognizer: Recognizer
    workers: Workers
    memory: Memory
    feed: Feed | None
    on_device: OnDevice | None
    metrics: Metrics
    journal: Journal
    document: dict
    headers: dict[str, str]
    cors_origins: frozenset[str]
    max_photos: int
    token_required: bool
    stopping: threading.Event = field(default_factory=threading.Event)


def attach(app: Flask, services: Services) -> None:
    """Make `services` those of the application."""
    app.extensions[_KEY] = services


def services_of(app: Flask) -> Services:
    """Return the services of an application that `create_app` made."""
    return app.extensions[_KEY]
