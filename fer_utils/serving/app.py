"""The Flask application: makes it, and sees to what every answer has in common."""

import hmac
import io
import json
import logging
import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib import metadata
from pathlib import Path

from flask import Flask, Request, Response, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from fer_utils.errors import StudyError
from fer_utils.recognition.images import ImageTooLarge, UnreadableImage
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.feed import VIEWERS, Feed
from fer_utils.serving.metrics import Metrics
from fer_utils.serving.openapi import describe
from fer_utils.serving.routes import routes
from fer_utils.serving.work import WAITING, Unavailable, Workers

_logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 10 * 2**20
MAX_PHOTOS = 16

FRAME_ANCESTORS = ("'self'", "http://localhost:*", "http://127.0.0.1:*")
"""Who may show the page in a frame: a notebook on this machine does."""

_PROTECTED = {"routes.predict", "routes.metrics", "routes.video_feed"}


class _Request(Request):
    """A request whose uploads stay in memory; Werkzeug would put large ones into temporary files."""

    def _get_file_stream(self, *_args, **_kwargs) -> io.BytesIO:
        return io.BytesIO()


class _Json(DefaultJSONProvider):
    sort_keys = False  # emotions keep their order


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
    at_once: int | None = None,
    waiting: int = WAITING,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    max_photos: int = MAX_PHOTOS,
    trusted_hosts: Iterable[str] | None = None,
    frame_ancestors: Iterable[str] = FRAME_ANCESTORS,
    **config,
) -> Flask:
    """Make the application that `fer-study serve` and the notebook share.

    `GET /` is the page, `POST /api/v1/predict` takes photos and answers JSON, `GET /docs` describes the rest.
    Errors are problem details (RFC 9457). Uploads are never stored.

    Args:
        recognizer: answers the requests; `Recognizer()` when None, loaded now.
        token: what clients must send as `Authorization: Bearer TOKEN` to the API, the video and the metrics; None
            lets everybody in. The page, its description and the health answers are open either way.
        camera: index of the camera that `/video_feed` shows.
        video: file that it shows instead.
        viewers: most that watch it at once.
        at_once: most requests whose photos are looked at at the same time; the processor cores when None.
        waiting: most requests that wait for that; those beyond are answered with 503 at once.
        max_upload_bytes: largest request that is read; a larger one is answered with 413.
        max_photos: most photos in a request.
        trusted_hosts: the names, without port, by which the server may be called; None takes any. On the user's own
            machine it keeps other sites' pages from reading the camera by a name they point here (DNS rebinding).
        frame_ancestors: sources, as Content-Security-Policy writes them, that may frame the page.
        **config: Flask settings, in capitals, such as `TESTING=True`.

    Raises:
        StudyError: no recogniser is given and there is no model, the token cannot be sent in a header, both a camera
            and a video are given, or the video cannot be read.
    """
    # RFC 6750's b68token; an empty one is a variable that was meant to be set.
    if token is not None and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
        raise StudyError(
            "token: expected letters, digits and -._~+/ (such as `openssl rand -hex 24` prints), found "
            + ("other characters." if token else "nothing.")
        )
    if camera is not None and video is not None:
        raise StudyError(
            f"expected a camera or a video, found both: camera {camera} and {video}. Leave one out."
        )
    app = _Flask("fer_utils.serving")
    app.config.from_mapping(
        MAX_CONTENT_LENGTH=max_upload_bytes,
        MAX_PHOTOS=max_photos,
        TOKEN_REQUIRED=token is not None,
    )
    app.config.from_mapping(config)
    recognizer = recognizer or Recognizer()
    source = video if camera is None else camera
    feed = None if source is None else Feed(source, recognizer, viewers)
    workers = Workers(at_once, waiting)
    metrics = Metrics(workers, feed)
    app.extensions.update(
        recognizer=recognizer, workers=workers, feed=feed, metrics=metrics, stopping=False
    )
    app.extensions["openapi"] = describe(
        version=metadata.version("fer-study"),
        max_bytes=app.config["MAX_CONTENT_LENGTH"],
        max_photos=max_photos,
        secured=token is not None,
        live=feed is not None,
    )
    metrics.watch(app)
    if trusted_hosts is not None:
        app.before_request(_host_check({host.lower() for host in trusted_hosts}))
    if token is not None:
        app.before_request(_token_check(token.encode()))
    app.register_blueprint(routes)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(UnreadableImage, _unreadable)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(Exception, _unexpected)
    app.extensions["headers"] = headers = security_headers(frame_ancestors)

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(headers)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


def problem(status: int, detail: str) -> Response:
    """An error as problem details (RFC 9457). `type` is about:blank: the status says all there is to say."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(json.dumps(body), status, content_type="application/problem+json")


def security_headers(frame_ancestors: Iterable[str]) -> dict[str, str]:
    """Headers of every answer that keep a browser from doing what the page does not need."""
    framed_by = " ".join(frame_ancestors) or "'none'"
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",  # the chosen photo, shown from the browser's own memory
            "media-src 'self' blob:",  # the chosen video
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {framed_by}",
        )
    )
    return {
        "Content-Security-Policy": policy,
        # For browsers that do not know frame-ancestors; the others pass it over.
        "X-Frame-Options": "DENY" if framed_by == "'none'" else "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(self), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        # No other site's page may show the camera, not even as a picture.
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def _host_check(trusted: set[str]):
    def check() -> Response | None:
        name = re.sub(r":\d*$", "", request.headers.get("Host", "")).lower()
        if name in trusted:
            return None
        names = ", ".join(sorted(trusted))
        return problem(
            400, f"Expected a request to a name of this server ({names}), found one to {name!r}."
        )

    return check


def _token_check(token: bytes):
    def check() -> Response | None:
        if request.endpoint not in _PROTECTED and not request.path.startswith("/api/"):
            return None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token):
            return None
        answer = problem(
            401, "Expected the header `Authorization: Bearer TOKEN` with this server's token."
        )
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    return check


def _http_problem(error: HTTPException) -> BaseResponse:
    if error.code is None or error.code < 400:  # a redirect
        return error.get_response()
    detail = error.description or ""
    if type(error).description == detail and error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = "The upload is larger than this server accepts."
    answer = problem(error.code, detail)
    for name, value in error.get_headers():
        if name != "Content-Type":  # such as Allow
            answer.headers[name] = value
    return answer


def _unreadable(error: UnreadableImage) -> Response:
    too_large = isinstance(error, ImageTooLarge)
    return problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST, str(error)
    )


def _unavailable(error: Unavailable) -> Response:
    answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _unexpected(error: Exception) -> Response:
    _logger.error("unexpected error", exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed to answer; its log says why."
    )
