"""The access log: one line for each request, with nothing from a body, a query or a photo.

Every response has the request's id in its header X-Request-ID. A proxy may send the id.
"""

import json
import logging
import re
import time
import uuid
from datetime import UTC, datetime
from urllib.parse import quote

from flask import Flask, Response, g, request

ACCESS_LOGS = ("off", "plain", "json")
"""Forms of the access log."""

ID_HEADER = "X-Request-ID"

LOGGER = logging.getLogger(__name__)
"""Logger of the access log, at the level INFO. `serve` prints it to stderr."""

_LONGEST_PATH = 200  # characters in the log


class Journal:
    """Writes the access log.

    Args:
        form: one of `ACCESS_LOGS`.
    """

    def __init__(self, form: str) -> None:
        self._form = form

    def watch(self, app: Flask) -> None:
        """Give each request of the application an id, and log its response."""
        app.before_request(self._begin)
        app.after_request(self._responded)

    def _begin(self) -> None:
        sent = request.headers.get(ID_HEADER, "")
        g.request_id = sent if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", sent) else new_id()
        g.arrived = time.perf_counter()

    def _responded(self, response: Response) -> Response:
        response.headers[ID_HEADER] = g.request_id
        self.write(
            request.remote_addr or "",
            request.method,
            request.path,
            response.status_code,
            response.content_length,  # None for a stream
            time.perf_counter() - g.arrived,
            g.request_id,
        )
        return response

    def write(
        self,
        client: str,
        method: str,
        path: str,
        status: int,
        size: int | None,
        seconds: float,
        request_id: str,
    ) -> None:
        """Log one response.

        Args:
            client: address of the client, or of the proxy before it.
            method: HTTP method.
            path: path without the query.
            status: status of the response.
            size: bytes of the response's body; None if they are unknown.
            seconds: time from the complete request to the response.
            request_id: the value of the response's X-Request-ID.
        """
        if self._form == "off":
            return
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client,
            # Clients choose these two. Line breaks and other signs must not forge an entry.
            "method": quote(method[:20]),
            "path": quote(path[:_LONGEST_PATH]),
            "status": status,
            "bytes": size,
            "seconds": round(seconds, 4),
            "id": request_id,
        }
        if self._form == "json":
            LOGGER.info("%s", json.dumps(entry))
        else:
            texts = ("-" if each in (None, "") else str(each) for each in entry.values())
            LOGGER.info("%s", " ".join(texts))


def new_id() -> str:
    """Return an id for a request."""
    return uuid.uuid4().hex[:16]
