"""The Flask application that `fer-study serve` and the notebook share."""

import io
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from flask import Flask, Request, Response, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from fer_utils.errors import StudyError
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.access import (
    cors_headers,
    expect_origins,
    expect_token,
    host_check,
    origin_check,
    security_headers,
    token_check,
)
from fer_utils.serving.feed import VIEWERS, Feed
from fer_utils.serving.journal import Journal
from fer_utils.serving.memory import MAX_MEMORY, Memory
from fer_utils.serving.metrics import Metrics
from fer_utils.serving.on_device import find_on_device
from fer_utils.serving.openapi import describe
from fer_utils.serving.problems import register_error_handlers
from fer_utils.serving.routes import FEED_PATH, device_routes, routes
from fer_utils.serving.services import Services, attach
from fer_utils.serving.work import WAITING, Workers

MAX_UPLOAD_BYTES = 10 * 2**20
MAX_PHOTOS = 16

FRAME_ANCESTORS = ("'self'", "http://localhost:*", "http://127.0.0.1:*")
"""Sources that may show the page in a frame. A notebook on this machine does that."""


class _Request(Request):
    """A request whose uploads stay in memory. Werkzeug would put large ones into files."""

    def _get_file_stream(self, *_args, **_kwargs) -> io.BytesIO:
        return io.BytesIO()


class _Json(DefaultJSONProvider):
    sort_keys = False  # the emotions keep their order


class _Flask(Flask):
    request_class = _Request
    json_provider_class = _Json


def create_app(
    recognizer: Recognizer | None = None,
    *,
    token: str | None = None,
    camera: int | None = None,
    video: str | Path | None = None,
    viewers: int = VIEWERS,
    onnxruntime_web: str | Path | None = None,
    at_once: int | None = None,
    waiting: int = WAITING,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    max_photos: int = MAX_PHOTOS,
    max_memory: int = MAX_MEMORY,
    trusted_hosts: Iterable[str] | None = None,
    proxies: int = 0,
    cors_origins: Iterable[str] = (),
    frame_ancestors: Iterable[str] = FRAME_ANCESTORS,
    access_log: str = "off",
) -> Flask:
    """Make the application.

    `GET /` is the page, `POST /api/v1/predict` classifies photos, and `GET /docs` describes all
    routes. Errors are problem details (RFC 9457). Uploads are never stored.

    Args:
        recognizer: finds and classifies the faces; `Recognizer()` when None, loaded at once.
        token: clients must send it as `Authorization: Bearer TOKEN` to the API, the video and the
            metrics; None opens these to everybody. The page, the documentation and the health
            checks are always open.
        camera: index of the camera for `/video_feed`.
        video: file for `/video_feed`, in place of a camera.
        viewers: largest number of simultaneous viewers of `/video_feed`.
        onnxruntime_web: folder of onnxruntime-web. With it and YuNet, the page can also answer on
            the visitor's device. When None, the folder of `make on-device`, if there is one.
        at_once: number of requests that are processed in parallel; the processor cores when None.
        waiting: number of requests that may wait. Further requests get status 503 at once.
        max_upload_bytes: largest accepted request. A larger one gets status 413.
        max_photos: largest number of photos in one request.
        max_memory: most memory in bytes for the photos in work together. A photo that needs more
            gets status 413, and others wait for each other.
        trusted_hosts: names, without port, that the Host header may have; None accepts all. On
            the user's own machine this prevents DNS rebinding, by which pages of other sites
            could read the camera.
        proxies: number of proxies in front of the server. From these it takes the client's
            address and the public scheme, host, port and prefix (X-Forwarded-For, -Proto, -Host,
            -Port and -Prefix). Without a proxy, clients could forge them.
        cors_origins: other sites whose pages may use the API, such as https://lab.example; "*" for
            all. Pages of other sites get status 403.
        frame_ancestors: sources that may frame the page, as Content-Security-Policy writes them.
        access_log: one of `journal.ACCESS_LOGS`. The log goes to `journal.LOGGER`.

    Raises:
        StudyError: `recognizer` is None and there is no model, the token cannot be sent in a
            header, an origin is none, both a camera and a video are named, the video cannot be
            read, or `onnxruntime_web` is named and lacks a file or YuNet.
    """
    if token is not None:
        expect_token(token)
    origins = frozenset(cors_origins)
    expect_origins(origins)
    if camera is not None and video is not None:
        raise StudyError(
            f"source: expected a camera or a video, found both: camera {camera} and {video}. "
            "Leave one out."
        )
    app = _Flask("fer_utils.serving")
    app.config["MAX_CONTENT_LENGTH"] = max_upload_bytes
    recognizer = recognizer or Recognizer()
    source = video if camera is None else camera
    feed = None if source is None else Feed(source, recognizer, viewers)
    workers = Workers(at_once, waiting)
    metrics = Metrics(workers, feed)
    on_device = find_on_device(recognizer, onnxruntime_web)
    headers = security_headers(frame_ancestors, wasm=on_device is not None)
    offered = [each for each in routes.operations if feed or each.path != FEED_PATH]
    protected = routes.protected_endpoints()
    if on_device:
        offered += device_routes.operations
        protected |= device_routes.protected_endpoints()
    document = describe(
        offered,
        version=metadata.version("fer-study"),
        max_bytes=max_upload_bytes,
        max_photos=max_photos,
        secured=token is not None,
    )
    journal = Journal(access_log)
    services = Services(
        recognizer=recognizer,
        workers=workers,
        memory=Memory(max_memory),
        feed=feed,
        on_device=on_device,
        metrics=metrics,
        journal=journal,
        document=document,
        headers=headers,
        cors_origins=origins,
        max_photos=max_photos,
        token_required=token is not None,
    )
    attach(app, services)
    app.register_blueprint(routes)
    if on_device:
        app.register_blueprint(device_routes)
    register_error_handlers(app)
    # Flask runs these in this order, and what follows a request in the opposite one.
    journal.watch(app)
    metrics.watch(app)
    if trusted_hosts is not None:
        app.before_request(host_check(trusted_hosts))
    app.before_request(origin_check(origins))
    if token is not None:
        app.before_request(token_check(token, protected))

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(headers)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(cors_headers(origins, request.headers))
        return response

    if proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            *(app.wsgi_app, proxies, proxies, proxies, proxies, proxies)
        )
    return app
