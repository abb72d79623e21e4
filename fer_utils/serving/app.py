"""The Flask application: makes it, and sees to what every answer has in common."""

import io
import json
import logging
from http import HTTPStatus

from flask import Flask, Request, Response
from werkzeug.exceptions import HTTPException

from fer_utils.recognition import ImageTooLarge, Recognizer, UnreadableImage
from fer_utils.serving.routes import routes

_logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 10 * 2**20

FRAME_ANCESTORS = ("'self'", "http://localhost:*", "http://127.0.0.1:*")
"""Who may show the page in a frame: a notebook on this machine does."""


class _Request(Request):
    """A request whose uploads stay in memory; Werkzeug would put large ones into temporary files."""

    def _get_file_stream(self, *_args, **_kwargs) -> io.BytesIO:
        return io.BytesIO()


class _Flask(Flask):
    request_class = _Request


def create_app(
    recognizer: Recognizer | None = None,
    *,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    frame_ancestors: tuple[str, ...] = FRAME_ANCESTORS,
    **config,
) -> Flask:
    """Make the application that `fer-study serve` and the notebook share.

    `GET /` is the page, `POST /predict` takes one photo (multipart field `image`) and answers JSON, and
    `GET /healthz` says that the server lives. Errors are problem details (RFC 9457). Uploads are never stored.

    Args:
        recognizer: answers the requests; `Recognizer()` when None, loaded now.
        max_upload_bytes: largest request that is read; a larger one is answered with 413.
        frame_ancestors: sources, as Content-Security-Policy writes them, that may frame the page.
        **config: Flask settings, in capitals, such as `TESTING=True`.

    Raises:
        StudyError: no recogniser is given and there is no trained model.
    """
    app = _Flask("fer_utils.serving")
    app.config.from_mapping(MAX_CONTENT_LENGTH=max_upload_bytes, FRAME_ANCESTORS=tuple(frame_ancestors))
    app.config.from_mapping(config)
    app.json.sort_keys = False  # emotions keep their order
    app.extensions["recognizer"] = recognizer or Recognizer()
    app.register_blueprint(routes)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(UnreadableImage, _unreadable)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(_secure(app.config["FRAME_ANCESTORS"]))
    return app


def problem(status: int, detail: str) -> Response:
    """An error as problem details (RFC 9457). `type` is about:blank: the status says all there is to say."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(json.dumps(body), status, content_type="application/problem+json")


def _http_problem(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:  # a redirect
        return error.get_response()
    detail = error.description or ""
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = "The upload is larger than this server accepts."
    answer = problem(error.code, detail)
    for name, value in error.get_headers():
        if name != "Content-Type":  # such as Allow
            answer.headers[name] = value
    return answer


def _unreadable(error: UnreadableImage) -> Response:
    too_large = isinstance(error, ImageTooLarge)
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST, str(error))


def _unexpected(error: Exception) -> Response:
    _logger.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed to answer; its log says why.")


def _secure(frame_ancestors: tuple[str, ...]):
    framed_by = " ".join(frame_ancestors) or "'none'"
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",  # the chosen photo, shown from the browser's own memory
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {framed_by}",
        )
    )

    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return add_headers
