"""The application under waitress, and a stop that finishes the requests in progress.

Waitress is pure Python, runs on Windows, and uses one process. The model, the camera and the
metrics exist once. With gunicorn each worker process would load the model, and only one of them
could open the camera.

Waitress alone does not handle SIGTERM, and it drops queued requests when it stops. Its queue has
no bound. `_Server` therefore runs waitress's loop itself, and starts more threads than the
application admits requests, so that health checks find a free thread beside any number of photos,
of clients that do not read, and of silent connections. Limits of single connections are in
`fer_utils.serving.connections`.
"""

import logging
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flask import Flask
from waitress import create_server, wasyncore

from fer_utils.errors import StudyError
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.app import create_app
from fer_utils.serving.connections import Channel
from fer_utils.serving.journal import LOGGER
from fer_utils.serving.memory import map_large_arrays
from fer_utils.serving.services import services_of

_SPARE_THREADS = 4  # for pages, health checks and refusals
_CONNECTIONS = 512
_SPARE_CONNECTIONS = 32  # places for new clients; waitress accepts none when all are taken
# Most bytes of all uploads that arrive or wait, but room for two of the largest. Each is copied
# once or twice before its photos are decoded.
_MOST_HELD = 64 * 2**20
_GRACE = 10.0  # seconds that requests in progress have after a stop
_IDLE = 60  # seconds that a connection without a request is kept
_VIDEO_BUFFER = 64 * 2**10  # bytes of a response that wait for a slow client; waitress has 16 MiB

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""The host names of a server that only this machine can reach."""


class _Server:
    """The application on a bound socket.

    `run` returns after a call of `stop`, which may come from any thread or signal handler.
    """

    def __init__(self, app: Flask, bound: socket.socket) -> None:
        # Waitress would log each request that waits a moment for a thread. `/metrics` counts the
        # requests that wait for the recogniser.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._services = services_of(app)
        self._sockets: dict = {}
        workers, feed = self._services.workers, self._services.feed
        admitted = workers.at_once + workers.waiting
        # A little more than the application accepts, because its own 413 has the better message.
        largest_body = app.config["MAX_CONTENT_LENGTH"] + 2**16
        self._waitress = create_server(
            app,
            map=self._sockets,
            sockets=[bound],
            threads=admitted + (feed.most if feed else 0) + _SPARE_THREADS,
            ident=None,
            connection_limit=_CONNECTIONS,
            backlog=_CONNECTIONS,
            channel_timeout=_IDLE,
            cleanup_interval=5,
            max_request_header_size=32 * 2**10,
            max_request_body_size=largest_body,
            # Uploads and responses never go to a temporary file.
            inbuf_overflow=largest_body + 1,
            outbuf_overflow=2**30,
            outbuf_high_watermark=_VIDEO_BUFFER,
            # The application reads a proxy's headers, or ignores them.
            clear_untrusted_proxy_headers=False,
        )
        self._waitress.channel_class = Channel
        self._queue = self._waitress.add_task
        self._waitress.add_task = self._add_task
        self._waitress.flask = app  # waitress wraps its own reference to the application
        self._waitress.most_held = min(
            (admitted + 1) * largest_body, max(_MOST_HELD, 2 * largest_body)
        )
        self._stopping = threading.Event()
        self._checked = time.monotonic()

    def run(self) -> None:
        """Serve until `stop`, then finish the requests in progress."""
        while not self._stopping.is_set():
            self._turn(timeout=1.0)
        self._services.stopping.set()
        self._waitress.accepting = False
        self._waitress.socket.close()  # new clients are refused at once
        self._sockets.pop(self._waitress._fileno, None)
        if self._services.feed is not None:
            self._services.feed.close()
        until = time.monotonic() + _GRACE
        while time.monotonic() < until and self._finish():
            self._turn(timeout=0.1)
        self._waitress.task_dispatcher.shutdown(timeout=1)
        self._services.workers.close()
        wasyncore.close_all(self._sockets, ignore_all=True)

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()
        with suppress(OSError):  # the server has stopped already
            self._waitress.pull_trigger()

    def _add_task(self, channel: Channel) -> None:
        if channel.may_run():
            self._queue(channel)

    def _turn(self, timeout: float) -> None:
        # `select`, the default, fails in a process with more than 1,024 open files.
        wasyncore.loop(timeout=timeout, use_poll=True, map=self._sockets, count=1)
        if time.monotonic() - self._checked >= 1:
            self._checked = time.monotonic()
            for channel in self._channels():
                channel.give_up_if_stuck()
        self._make_room()

    def _make_room(self) -> None:
        """Close the connections that have waited longest for their client, if few places remain."""
        excess = len(self._sockets) - (_CONNECTIONS - _SPARE_CONNECTIONS)
        if excess <= 0:
            return
        waiting = [each for each in self._channels() if each.waited_since is not None]
        for channel in sorted(waiting, key=lambda each: each.waited_since or 0)[:excess]:
            channel.handle_close()

    def _finish(self) -> bool:
        """Close the idle connections and return whether others remain."""
        for channel in self._channels():
            if not channel.busy:
                channel.handle_close()
        return bool(self._channels())

    def _channels(self) -> list[Channel]:
        return list(self._waitress.active_channels.values())


def serve(
    recognizer: Recognizer | None = None,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    token: str | None = None,
    camera: int | None = None,
    video: str | Path | None = None,
    access_log: str = "plain",
    **options,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress.

    Args:
        recognizer: finds and classifies the faces; `Recognizer()` when None.
        host: address to listen on. Only this machine can reach the default; the Host header of a
            request must then be a name of this machine, unless `trusted_hosts` is passed.
        port: 0 takes a free port. The address is printed when the server is ready.
        token: bearer token that clients must send; None opens the server to everybody.
        camera: index of the camera for `/video_feed`.
        video: file for `/video_feed`, in place of a camera.
        access_log: one of `journal.ACCESS_LOGS`. The log goes to stderr.
        **options: other arguments of `create_app`.

    Raises:
        StudyError: there is no trained model, the video cannot be read, or the address is not free.
    """
    # Pillow's warnings about damaged files contain varying text. Python would print every variant
    # and remember all of them.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    map_large_arrays()
    bound = _bind(host, port)
    local = host in ("127.0.0.1", "::1", "localhost")
    if local:
        options.setdefault("trusted_hosts", LOCAL_HOSTS)
    try:
        options |= {"camera": camera, "video": video, "access_log": access_log}
        app = create_app(recognizer, token=token, **options)
        server = _Server(app, bound)
    except BaseException:
        bound.close()
        raise
    before = {
        number: signal.signal(number, lambda *_: server.stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    printed = _print_access_log()
    try:
        if token is None and not local:
            warning = "Warning: there is no token, so everybody who reaches this address may use it"
            print(f"{warning}.", file=sys.stderr, flush=True)
        name = services_of(app).recognizer.card["name"]
        print(f"Serving {name} at {_address(bound)} (Ctrl+C stops it)", flush=True)
        server.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        LOGGER.removeHandler(printed)
    print("Stopped.", flush=True)


def _print_access_log() -> logging.Handler:
    """Print the access log to stderr, and return the handler that does it."""
    handler = logging.StreamHandler(sys.stderr)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    return handler


@contextmanager
def running(recognizer: Recognizer | None = None, port: int = 0, **options) -> Iterator[str]:
    """Serve on this machine in a background thread while the block runs, and yield the base URL.

    Args:
        recognizer: finds and classifies the faces; `Recognizer()` when None.
        port: 0 takes a free port.
        **options: other arguments of `create_app`.

    Raises:
        StudyError: there is no trained model, or the port is in use.
    """
    app = create_app(recognizer, **{"trusted_hosts": LOCAL_HOSTS, **options})
    with running_app(app, port) as address:
        yield address


@contextmanager
def running_app(app: Flask, port: int = 0) -> Iterator[str]:
    """Do the same as `running` for an application that `create_app` made."""
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
            f"{host}:{port}: expected a free address, found: {reason}. Name another one with "
            "--port (0 takes a free port) or --host, or stop the program that uses it."
        ) from None


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
