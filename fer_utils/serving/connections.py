"""Waitress's connections with limits of memory and time, and with errors as problem details.

Waitress receives whole requests and sends responses in one thread. This module adds what waitress
lacks:

- Memory: all bodies together are limited. Further uploads get status 503 before their body arrives.
- Time: a request must arrive at a minimum speed, and a connection that takes no bytes of its
  response is closed.
- Threads: only a stream, such as the video, waits in a thread for its client. Any other response is
  buffered as a whole. The next request of a connection waits, without a thread, until the client
  has taken the responses before it.
- Places: when connections are many, those close that have waited longest for their client.
- Errors: waitress writes plain text. Here every error is a problem detail, as in the application.
- Other sites: an upload from a page of another site is refused before its body arrives.
- Refused uploads: waitress closes the connection at once, so a client that still sends never reads
  the reason. Here the rest of the upload is read and discarded.
"""

import json
import socket
import time
from collections.abc import Callable
from http import HTTPStatus

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge
from werkzeug.datastructures import Headers

from fer_utils.serving.access import FOREIGN, cors_headers, is_foreign
from fer_utils.serving.journal import ID_HEADER, new_id
from fer_utils.serving.problems import PROBLEM_TYPE, problem_fields, too_many_bytes
from fer_utils.serving.services import services_of

_STALLED = 30.0  # seconds without a byte taken, after which a response is given up
# A request may take `_PATIENCE` seconds, plus the time for its bytes at `_LEAST_SPEED` a second.
_PATIENCE = 20.0
_LEAST_SPEED = 16 * 2**10
_DRAINED = 100 * 2**20  # largest refused upload in bytes that is read to its end
_SOCKET_BUFFER = 256 * 2**10  # bytes; a short buffer keeps slow viewers of a video up to date


class _Refused(Error):  # noqa: N818 (waitress's base class is no exception)
    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.code, self.reason = status.value, status.phrase


class _Parser(HTTPRequestParser):
    """Receives one request.

    `unread` is the number of bytes of a refused upload that are still to be discarded.
    """

    unread = 0
    expect_continue: bool  # set by waitress

    def __init__(self, adj, refusal: Callable[["_Parser"], _Refused | None]) -> None:
        super().__init__(adj)
        self._refusal = refusal
        self._began = time.monotonic()
        self._received_bytes = 0

    @property
    def late(self) -> bool:
        """Whether the request arrives more slowly than it may."""
        allowed = _PATIENCE + self._received_bytes / _LEAST_SPEED
        return time.monotonic() - self._began > allowed

    @property
    def reserved(self) -> int:
        """Bytes of memory that the body may take."""
        if self.error is not None or self.body_rcv is None:
            return 0
        return self.adj.max_request_body_size if self.chunked else self.content_length

    def received(self, data: bytes) -> int:
        consumed = self._discard(data) if self.unread else self._parse(data)
        self._received_bytes += consumed
        return consumed

    def _discard(self, data: bytes) -> int:
        consumed = min(len(data), self.unread)
        self.unread -= consumed
        self.completed = not self.unread
        return consumed

    def _parse(self, data: bytes) -> int:
        had_headers = self.headers_finished
        try:
            consumed = super().received(data)
        except ValueError:  # Python reads no number of thousands of digits
            self.error, self.completed, consumed = BadRequest("Invalid header"), True, len(data)
        new_headers = self.headers_finished and not had_headers
        if new_headers and self.reserved and (refusal := self._refusal(self)):
            self.error, self.completed = refusal, True
        refused = isinstance(self.error, RequestEntityTooLarge | _Refused)
        if self.completed and refused and not self.chunked:
            # A client that sent `Expect: 100-continue` waits for the response and sends no body.
            if not self.expect_continue and self.content_length <= _DRAINED:
                self.unread, self.completed = self.content_length, False
            self.expect_continue = False
        return consumed


class _Task(WSGITask):
    """Responds with the application, and tells the channel whether the response is a stream."""

    def service(self) -> None:
        try:
            super().service()
        finally:
            self.channel.streaming = False

    def write(self, data) -> None:
        # Waitress sets a length for every response of one part, so only streams have none.
        self.channel.streaming = self.content_length is None
        super().write(data)


class _ErrorTask(ErrorTask):
    """Responds to a request that waitress refused before the application received it."""

    def execute(self) -> None:
        request, error = self.request, self.request.error
        app = self.channel.server.flask
        detail = error.body
        if isinstance(error, RequestEntityTooLarge):  # waitress names its own, larger limit
            detail = too_many_bytes(app.config["MAX_CONTENT_LENGTH"])
        body = json.dumps(problem_fields(error.code, detail)).encode()
        services = services_of(app)
        services.metrics.refused(error.code)
        request_id = new_id()
        # A request that was refused early has neither method nor path.
        method, path = getattr(request, "command", ""), getattr(request, "path", "")
        services.journal.write(
            self.channel.addr[0], method, path, error.code, len(body), 0, request_id
        )
        sent = Headers([(name.replace("_", "-"), text) for name, text in request.headers.items()])
        self.status = f"{error.code} {error.reason}"
        self.response_headers = [
            ("Content-Type", PROBLEM_TYPE),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            (ID_HEADER, request_id),
            *services.headers.items(),
            *cors_headers(services.cors_origins, sent).items(),
        ]
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
            self.response_headers.append(("Retry-After", "1"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):
    """One connection. Its waitress server has the attributes `flask` and `most_held`.

    `flask` is the application, and `most_held` the largest number of bytes of all bodies together.
    `streaming` is whether the present response is a stream.
    """

    task_class = _Task
    error_task_class = _ErrorTask
    streaming = False
    _parked = False  # whether the next request waits until the client has taken a response
    request: _Parser | None  # set by waitress: the request that is arriving

    def __init__(self, server, sock: socket.socket, *arguments, **options) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        super().__init__(server, sock, *arguments, **options)

    def parser_class(self, adj) -> _Parser:
        return _Parser(adj, self._refusal)

    def _refusal(self, request: _Parser) -> _Refused | None:
        """Return why the body of this request is not received; None if it is."""
        origins = services_of(self.server.flask).cors_origins
        origin, site = request.headers.get("ORIGIN"), request.headers.get("SEC_FETCH_SITE")
        if is_foreign(site) and not origins & {origin, "*"}:
            return _Refused(HTTPStatus.FORBIDDEN, FOREIGN)
        if not self._room_for(request):
            return _Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many uploads at once. Try again in a moment."
            )
        return None

    def _room_for(self, request: _Parser) -> bool:
        """Whether this request's body fits beside those that arrive or are being processed."""
        held = 0
        for channel in list(self.server.active_channels.values()):
            for other in (*channel.requests, channel.request):
                if other is not None and other is not request:
                    held += other.reserved
        return held + request.reserved <= self.server.most_held

    def _flush_outbufs_below_high_watermark(self) -> None:
        # Waitress calls this before it buffers more, and waits here for a client that does not
        # read. Such clients could hold all threads.
        if self.streaming:
            super()._flush_outbufs_below_high_watermark()

    def may_run(self) -> bool:
        """Whether the next request may have a thread now; otherwise it gets one later."""
        with self.outbuf_lock:
            self._parked = self.total_outbufs_len > self.adj.outbuf_high_watermark
        return not self._parked

    def handle_write(self) -> None:
        super().handle_write()
        if self._parked and self.connected and self.may_run():
            self.server.add_task(self)

    @property
    def waited_since(self) -> float | None:
        """Time of the client's last sign of life (`time.time`); None while the server works."""
        return None if self.requests and not self._parked else self.last_activity

    @property
    def busy(self) -> bool:
        """Whether a request or a response is unfinished."""
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def give_up_if_stuck(self) -> None:
        """End a request that arrives too slowly, or a response that the client does not take.

        Only waitress's own thread may call this.
        """
        if self.total_outbufs_len and time.time() - self.last_activity > _STALLED:
            self.handle_close()
            return
        request = self.request
        if request is None or self.requests or not request.late:
            return
        with self.requests_lock:
            request.error = request.error or _Refused(
                HTTPStatus.REQUEST_TIMEOUT, "The request arrived too slowly."
            )
            self.requests.append(request)
            self.request = None
        self.server.add_task(self)
