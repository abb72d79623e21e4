"""Errors as problem details (RFC 9457)."""

import json
import logging
from http import HTTPStatus

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from fer_utils.recognition.images import ImageTooLarge, UnreadableImage
from fer_utils.serving.work import Unavailable

_logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
"""Content type of every error."""


def problem_fields(status: int, detail: str) -> dict:
    """Return a problem as a dictionary. The type about:blank means: see the status.

    Its title is the standard phrase of the status.
    """
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": int(status), "detail": detail}


def problem(status: int, detail: str) -> Response:
    """Return a problem as a response."""
    body = json.dumps(problem_fields(status, detail))
    return Response(body, status, content_type=PROBLEM_TYPE)


def register_error_handlers(app: Flask) -> None:
    """Make the application respond to every exception with a problem."""
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(UnreadableImage, _unreadable)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(Exception, _unexpected)


def _http_problem(error: HTTPException) -> BaseResponse:
    if error.code is None or error.code < 400:  # a redirect
        return error.get_response()
    detail = error.description or ""
    # Werkzeug's own text for 413 names no cause.
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and detail == type(error).description:
        detail = _reason_of_413()
    response = problem(error.code, detail)
    for name, value in error.get_headers():
        if name != "Content-Type":  # such as Allow
            response.headers[name] = value
    return response


def too_many_bytes(most: int) -> str:
    """Return the reason why an upload of more than `most` bytes is refused."""
    return f"The upload is larger than the {most:,} bytes that this server accepts."


def _reason_of_413() -> str:
    most = current_app.config["MAX_CONTENT_LENGTH"]
    if request.content_length is not None and request.content_length <= most:
        return "The form has too many fields, or one that is no file and too long."
    return too_many_bytes(most)


def unreadable_status(error: UnreadableImage) -> int:
    """Return the status for a photo that cannot be read."""
    too_large = isinstance(error, ImageTooLarge)
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST


def _unreadable(error: UnreadableImage) -> Response:
    return problem(unreadable_status(error), str(error))


def _unavailable(error: Unavailable) -> Response:
    response = problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def _unexpected(error: Exception) -> Response:
    _logger.error("unexpected error in request %s", g.get("request_id"), exc_info=error)
    # The client learns nothing about the cause, which may contain private data.
    detail = "The server failed. The cause is in its log."
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
