"""Running the application under waitress, and stopping it without cutting off anybody."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flask import Flask
from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import RequestEntityTooLarge

from fer_utils.errors import StudyError
from fer_utils.recognition import Recognizer
from fer_utils.serving.app import create_app

THREADS = 4
_GRACE = 10.0  # seconds that requests in flight have to finish after a stop


class _Parser(HTTPRequestParser):
    """Reads an upload that is too large to its end, throwing it away.

    Waitress would answer and close at once; the client, still sending, then sees a broken connection and not
    the reason.
    """

    unread = 0

    def received(self, data: bytes) -> int:
        if self.unread:
            consumed = min(len(data), self.unread)
            self.unread -= consumed
            self.completed = not self.unread
            return consumed
        consumed = super().received(data)
        if self.completed and isinstance(self.error, RequestEntityTooLarge) and not self.chunked:
            self.unread, self.completed = self.content_length, False
        return consumed


class _ErrorTask(ErrorTask):
    """Answers what never reaches the application as the application would: problem details, not plain text."""

    def execute(self) -> None:
        error = self.request.error
        problem = {"type": "about:blank", "title": error.reason, "status": error.code, "detail": error.body}
        body = json.dumps(problem).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    parser_class = _Parser
    error_task_class = _ErrorTask


class _Server:
    """The application on a bound socket. `run` works until `stop`, which any thread or signal may call."""

    def __init__(self, app: Flask, bound: socket.socket) -> None:
        self._sockets: dict = {}
        # Uploads are never stored, so waitress must not put a body into a temporary file either: what it takes
        # at all (a little more than the application, whose 413 says more) it keeps in memory.
        most = app.config["MAX_CONTENT_LENGTH"] + 2**16
        self._waitress = create_server(
            app,
            map=self._sockets,
            sockets=[bound],
            threads=THREADS,
            ident=None,
            max_request_body_size=most,
            inbuf_overflow=most + 1,
        )
        self._waitress.channel_class = _Channel
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._turn(timeout=1.0)
        self._waitress.accepting = False
        self._waitress.socket.close()  # the next client is refused at once, not left waiting
        self._sockets.pop(self._waitress._fileno, None)
        until = time.monotonic() + _GRACE
        while time.monotonic() < until and self._busy():
            self._turn(timeout=0.1)
        self._waitress.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._sockets, ignore_all=True)

    def stop(self) -> None:
        self._stopping.set()
        with suppress(OSError):  # it has stopped already
            self._waitress.pull_trigger()

    def _turn(self, timeout: float) -> None:
        wasyncore.loop(timeout=timeout, map=self._sockets, count=1)

    def _busy(self) -> bool:
        channels = list(self._waitress.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)


def serve(model: str | Path | None = None, host: str = "127.0.0.1", port: int = 5000, **options) -> None:
    """Serve a trained model until SIGINT or SIGTERM; requests in flight are finished.

    Args:
        model: the model's folder, as for `Recognizer`.
        host: address to listen on; the default is reached from this machine only.
        port: 0 takes a free one. The address is printed when the server is ready.
        **options: passed to `create_app`.

    Raises:
        StudyError: there is no trained model, or the address cannot be had.
    """
    bound = _bind(host, port)
    try:
        recognizer = Recognizer(model)
        server = _Server(create_app(recognizer, **options), bound)
    except BaseException:
        bound.close()
        raise
    before = {number: signal.signal(number, lambda *_: server.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        print(f"Serving {recognizer.about['name']} at {_address(bound)} (Ctrl+C stops it)", flush=True)
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
    app = create_app(recognizer, **options)
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
