"""Running the application under waitress, and stopping it without cutting off anybody.

Why waitress: it is pure Python, runs on Windows too, and keeps one process, so the model and the camera are there
once, and what is counted is counted in one place; gunicorn's workers would each load the model, and only one of them
can have the camera. One thread of waitress does all that is slow because of the network (it takes in whole requests
and sends out answers), so a slow client holds no thread; ours do the rest. It leaves gaps, which are closed here:

- It knows no SIGTERM and drops what is queued: `_Server` runs its loop itself, and on a stop refuses new clients,
  ends the video, and finishes the requests in flight.
- Its queue has no bound: there are more threads than requests the application lets in (`Workers` and `Feed` answer
  the others with 503 at once), so nothing stays in the queue, and health answers are quick under any load.
- A body is held in memory, or in a file, for each connection: no file is used, and beyond as many bodies as there is
  work for, a request is refused with 503 before its body comes.
- A client may send a byte a minute, or never read: each request must come at some speed, and a connection on which an
  answer makes no headway is closed.
- A viewer of a video holds a thread and up to 16 MiB of old frames: viewers are counted, 64 KiB are enough, and the
  system's own buffer is bounded too, so that what a slow viewer sees is new.
- Its own errors are plain text, and a client still sending too much learns nothing: they are problem details, and
  what is sent is read to its end.
"""

import json
import logging
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from flask import Flask
from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import Error, RequestEntityTooLarge

from fer_utils.errors import StudyError
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.app import create_app

_SPARE_THREADS = 4  # for all that is neither a recognition nor a video: pages, health, refusals
_CONNECTIONS = 256
_GRACE = 10.0  # seconds that requests in flight have to finish after a stop
_IDLE = 60  # seconds that a connection is kept without a request
_STALLED = 30.0  # seconds without a byte taken, after which an answer is given up
_PATIENCE, _LEAST_SPEED = (
    20.0,
    16 * 2**10,
)  # a request must come within this many seconds, plus its bytes at this speed
_DRAINED = 100 * 2**20  # most bytes of a refused upload that are read to tell its sender why
_VIDEO_BUFFER, _SOCKET_BUFFER = 64 * 2**10, 256 * 2**10

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""The names by which a server that only this machine reaches is called."""


class _Refused(Error):  # noqa: N818 (a name that reads as what happened)
    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.code, self.reason = status.value, status.phrase


class _Parser(HTTPRequestParser):
    """Takes in one request, within limits of memory and time.

    Waitress would answer an upload that is too large and close at once; the client, still sending, then sees a
    broken connection and not the reason. So it is read to its end and thrown away.
    """

    unread = 0
    expect_continue: bool  # waitress's own

    def __init__(self, adj, room_for) -> None:
        super().__init__(adj)
        self._room_for = room_for
        self._began = time.monotonic()
        self._came = 0

    @property
    def late(self) -> bool:
        """Whether it is taking longer to come than it may."""
        return time.monotonic() - self._began > _PATIENCE + self._came / _LEAST_SPEED

    @property
    def reserved(self) -> int:
        """Bytes of memory that its body may take."""
        if self.error is not None or self.body_rcv is None:
            return 0
        return self.adj.max_request_body_size if self.chunked else self.content_length

    def received(self, data: bytes) -> int:
        consumed = self._received(data)
        self._came += consumed
        return consumed

    def _received(self, data: bytes) -> int:
        if self.unread:
            consumed = min(len(data), self.unread)
            self.unread -= consumed
            self.completed = not self.unread
            return consumed
        before = self.headers_finished
        consumed = super().received(data)
        if self.headers_finished and not before and self.reserved and not self._room_for(self):
            self.error = _Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many uploads at once. Try again in a moment."
            )
            self.completed = True
        if (
            self.completed
            and isinstance(self.error, RequestEntityTooLarge | _Refused)
            and not self.chunked
        ):
            # Who asks before sending (`Expect: 100-continue`) has nothing to be read.
            if not self.expect_continue and self.content_length <= _DRAINED:
                self.unread, self.completed = self.content_length, False
            self.expect_continue = False
        return consumed


class _ErrorTask(ErrorTask):
    """Answers what never reaches the application as the application would: problem details, not plain text."""

    def execute(self) -> None:
        error = self.request.error
        problem = {
            "type": "about:blank",
            "title": error.reason,
            "status": error.code,
            "detail": error.body,
        }
        body = json.dumps(problem).encode()
        app = self.channel.server.flask
        app.extensions["metrics"].refused(error.code)
        self.status = f"{error.code} {error.reason}"
        self.response_headers = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *app.extensions["headers"].items(),
        ]
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
            self.response_headers.append(("Retry-After", "1"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    error_task_class = _ErrorTask
    request: _Parser | None  # waitress's own: the one that is coming in

    def __init__(self, server, sock: socket.socket, *arguments, **options) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        super().__init__(server, sock, *arguments, **options)

    def parser_class(self, adj) -> _Parser:
        return _Parser(adj, self._room_for)

    def _room_for(self, request: _Parser) -> bool:
        """Whether the body of one more request can be held beside those that are being taken in or worked on."""
        channels = list(self.server.active_channels.values())
        others = [
            one
            for channel in channels
            for one in (*channel.requests, channel.request)
            if one is not None
        ]
        held = sum(other.reserved for other in others if other is not request)
        return held + request.reserved <= self.server.most_held

    @property
    def busy(self) -> bool:
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def give_up_if_stuck(self) -> None:
        """End a request that comes too slowly, and an answer that is not taken. For waitress's own thread."""
        if self.total_outbufs_len and time.time() - self.last_activity > _STALLED:
            self.handle_close()
            return
        request = self.request
        if request is None or self.requests or not request.late:
            return
        with self.requests_lock:
            request.error = request.error or _Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                "The request came too slowly, so it was not waited for any longer.",
            )
            self.requests.append(request)
            self.request = None
        self.server.add_task(self)


class _Server:
    """The application on a bound socket. `run` works until `stop`, which any thread or signal may call."""

    def __init__(self, app: Flask, bound: socket.socket) -> None:
        # It would log a line for each request that waits a moment for a thread; `/metrics` tells of what really waits.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._app = app
        self._sockets: dict = {}
        workers, feed = app.extensions["workers"], app.extensions["feed"]
        admitted = workers.at_once + workers.waiting
        # Uploads are never stored, so waitress must not put a body into a temporary file either: what it takes
        # at all (a little more than the application, whose 413 says more) it keeps in memory.
        most = app.config["MAX_CONTENT_LENGTH"] + 2**16
        self._waitress = create_server(
            app,
            map=self._sockets,
            sockets=[bound],
            threads=admitted + (feed.most if feed else 0) + _SPARE_THREADS,
            ident=None,
            connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE,
            cleanup_interval=5,
            max_request_header_size=32 * 2**10,
            max_request_body_size=most,
            inbuf_overflow=most + 1,
            outbuf_overflow=2**30,  # no temporary file for what is sent, either
            outbuf_high_watermark=_VIDEO_BUFFER,
        )
        self._waitress.channel_class = _Channel
        self._waitress.flask = app  # its own `application` is wrapped
        self._waitress.most_held = (admitted + 1) * most
        self._stopping = threading.Event()
        self._looked = time.monotonic()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._turn(timeout=1.0)
        self._app.extensions["stopping"] = True
        self._waitress.accepting = False
        self._waitress.socket.close()  # the next client is refused at once, not left waiting
        self._sockets.pop(self._waitress._fileno, None)
        if self._app.extensions["feed"] is not None:
            self._app.extensions["feed"].close()
        until = time.monotonic() + _GRACE
        while time.monotonic() < until and self._finish():
            self._turn(timeout=0.1)
        self._waitress.task_dispatcher.shutdown(timeout=1)
        self._app.extensions["workers"].close()
        wasyncore.close_all(self._sockets, ignore_all=True)

    def stop(self) -> None:
        self._stopping.set()
        with suppress(OSError):  # it has stopped already
            self._waitress.pull_trigger()

    def _turn(self, timeout: float) -> None:
        # `poll`, since `select` fails where the process has more than 1,024 files open.
        wasyncore.loop(timeout=timeout, use_poll=True, map=self._sockets, count=1)
        if time.monotonic() - self._looked >= 1:
            self._looked = time.monotonic()
            for channel in self._channels():
                channel.give_up_if_stuck()

    def _finish(self) -> bool:
        """Close the connections on which nothing is left to do, and say whether others remain."""
        for channel in self._channels():
            if not channel.busy:
                channel.handle_close()
        return bool(self._channels())

    def _channels(self) -> list[_Channel]:
        return list(self._waitress.active_channels.values())


def serve(
    recognizer: Recognizer | None = None,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    token: str | None = None,
    camera: int | None = None,
    video: str | Path | None = None,
    **options,
) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are finished.

    Args:
        recognizer: answers the requests; `Recognizer()` when None.
        host: address to listen on; the default is reached from this machine only, and then the server answers only
            to this machine's names (`trusted_hosts` says otherwise).
        port: 0 takes a free one. The address is printed when the server is ready.
        token: what clients must send as a bearer token; None lets everybody in.
        camera: index of the camera that `/video_feed` shows.
        video: file that it shows instead.
        **options: passed to `create_app`.

    Raises:
        StudyError: there is no trained model, the video cannot be read, or the address cannot be had.
    """
    # Pillow warns of damaged files in ever new words, each of which Python would print once and keep for good.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    bound = _bind(host, port)
    local = host in ("127.0.0.1", "::1", "localhost")
    if local:
        options.setdefault("trusted_hosts", LOCAL_HOSTS)
    try:
        app = create_app(recognizer, token=token, camera=camera, video=video, **options)
        server = _Server(app, bound)
    except BaseException:
        bound.close()
        raise
    before = {
        number: signal.signal(number, lambda *_: server.stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        if token is None and not local:
            warning = "Everybody who reaches this address may use it: no token is asked for."
            print(warning, file=sys.stderr, flush=True)
        print(
            f"Serving {app.extensions['recognizer'].card['name']} at {_address(bound)} (Ctrl+C stops it)",
            flush=True,
        )
        server.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    print("Stopped.", flush=True)


@contextmanager
def running(recognizer: Recognizer | None = None, port: int = 0, **options) -> Iterator[str]:
    """Serve in a background thread while the block runs, on this machine only, and give the base URL.

    Args:
        recognizer: as for `create_app`.
        port: 0 takes a free one.
        **options: passed to `create_app`.

    Raises:
        StudyError: there is no trained model, or the port is in use.
    """
    with running_app(
        create_app(recognizer, **{"trusted_hosts": LOCAL_HOSTS, **options}), port
    ) as address:
        yield address


@contextmanager
def running_app(app: Flask, port: int = 0) -> Iterator[str]:
    """The same for an application of `create_app`'s that is there already."""
    bound = _bind("127.0.0.1", port)
    address = _address(bound)
    server = _Server(app, bound)
    thread = threading.Thread(target=server.run, name="fer-study-serve", daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.stop()
        thread.join()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise StudyError(
            f"{host}:{port}: expected a free address to serve at, found: {reason}. "
            "Name another with --port (0 takes any free one) or --host, or end what uses it."
        ) from None


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
