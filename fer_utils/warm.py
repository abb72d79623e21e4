"""A Python that starts warm: with slow imports already done.

Importing TensorFlow takes longer than training a small network. While `preloaded_python` is
entered, a server process does the imports once, and new interpreters are forked from it:

- `preloaded_python` starts the server and writes a command, which is used like `python`.
- The command sends its arguments, environment, working folder and open files to the server.
- The server forks. One child runs what was asked for, with these files. Its parent, the attendant,
  passes signals on and reports the exit status, which becomes that of the command.

The server imports when `wake` or the first command asks. That command runs as an ordinary Python,
and so does every command without a server. The server must have no threads of its own when
it forks, and must not have used TensorFlow. Linux only.

After the fork server of Python's multiprocessing, which serves only the process that started it.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path

COMMAND = "FER_STUDY_PYTHON"
"""Environment variable with the path of the command."""

_ASKED = "FER_STUDY_ASKED"
_status: int | None = None  # with which this interpreter ends
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_MOST_FILES = 250  # that one message can carry


@contextlib.contextmanager
def preloaded_python(modules: Sequence[str]) -> Iterator[dict[str, str]]:
    """Start the server, and end it afterwards.

    Args:
        modules: what the server imports.

    Yields:
        An environment variable for programs that call `warm_python`; empty where forks cannot be
        waited for.
    """
    if not hasattr(os, "pidfd_open"):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="fer-study-") as folder:
        path, command = str(Path(folder) / "socket"), Path(folder) / "python"
        words = [sys.executable, "-ES", __file__, sys.executable, path]
        # Paths are bytes, whatever the locale.
        command.write_bytes(os.fsencode(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'))
        command.chmod(0o700)
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, "--serve", path, *modules], stdin=subprocess.PIPE
        )
        assert server.stdin is not None
        try:
            yield {COMMAND: str(command)}
        finally:
            server.stdin.close()
            server.wait()


def warm_python() -> str | None:
    """The path of the command, or None where no server was started."""
    command = os.environ.get(COMMAND)
    return command if command and Path(command).exists() else None


def continue_warm(module: str, arguments: Sequence[str]) -> None:
    """Replace this interpreter by a warm one that runs `python -m MODULE ARGUMENTS`.

    Returns without a server, and in the interpreter that replaced this one.
    """
    command, asked = warm_python(), os.environ.pop(_ASKED, None)
    if command is not None and asked is None:
        os.execve(command, [command, "-m", module, *arguments], os.environ | {_ASKED: "1"})


def wake() -> None:
    """Let the server do its imports now, if there is a server and it has not done them."""
    if (command := warm_python()) is not None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(Path(command).with_name("socket")))


# --- the server ---


def serve(path: str, modules: Sequence[str]) -> list[str]:
    """Wait for commands, until the standard input ends. Only forked interpreters return.

    Args:
        path: of the socket.
        modules: to import, after the first command.

    Returns:
        The arguments of the interpreter.
    """
    # Handlers run last in, first out: this one runs after those of the modules.
    atexit.register(_end_quickly)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system removes attendants that have ended
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        imported = False
        while True:
            ready, _, _ = select.select([listener.fileno(), 0], [], [])
            if 0 in ready:
                os._exit(0)
            connection = listener.accept()[0]
            if not imported:
                with contextlib.suppress(OSError):
                    connection.sendall(b"cold")
                connection.close()
                for module in modules:
                    __import__(module)
                # Garbage collection in the forked interpreters passes over what was imported.
                gc.collect()
                gc.freeze()
                imported = True
                continue
            request: dict | None = None
            files: list[int] = []
            with contextlib.suppress(OSError):
                connection.sendall(b"warm")
                request, files = _receive(connection)
            if request is not None and os.fork() == 0:
                listener.close()
                _attend(connection, request, files)
                return [_text(word) for word in request["arguments"]]
            connection.close()
            for file in files:
                os.close(file)


def _receive(connection: socket.socket) -> tuple[dict | None, list[int]]:
    text, files, _, _ = socket.recv_fds(connection, 1 << 16, _MOST_FILES)
    while text and not text.endswith(b"\n"):
        more = connection.recv(1 << 16)
        text = text + more if more else b""
    return (json.loads(text) if text else None), files


def _attend(connection: socket.socket, request: dict, files: list[int]) -> None:
    """Fork the interpreter. It returns from this function, and the attendant never does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(request, files)
        return
    for file in files:
        os.close(file)
    ended, watched = os.pidfd_open(pid), [connection.fileno()]
    while ended not in select.select([*watched, ended], [], [])[0]:
        message = connection.recv(1)
        # A command that is gone was killed, and the interpreter has to follow.
        watched = watched if message else []
        number = message[0] if message else signal.SIGKILL
        try:
            os.killpg(pid, number)
        except ProcessLookupError:  # it has no group of its own yet
            os.kill(pid, number)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(f"{code}\n".encode())
    os._exit(0)


def _become(request: dict, files: list[int]) -> None:
    """Make this process what the command was asked for, up to running it."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The files get the numbers that they had. They are moved out of each other's way first.
    high = 1 + max(*files, *request["files"])
    moved = [os.dup2(file, high + i) for i, file in enumerate(files)]
    for file in set(files) - set(request["files"]):
        os.close(file)
    for file, number in zip(moved, request["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update({_text(key): _text(value) for key, value in request["environment"].items()})
    os.chdir(_text(request["folder"]))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  as long as the process


def run(arguments: Sequence[str]) -> None:
    """Run `-c CODE` or `-m MODULE` with its arguments, as Python does. Other flags are ignored."""
    global _status
    try:
        _run(arguments)
        _status = 0
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            _status = ended.code or 0
        raise


def _end_quickly() -> None:
    """End this interpreter, if its status is known, without taking its modules apart.

    With all that the server imported, that would take two seconds. All other handlers have run,
    and no thread is left that Python would wait for.
    """
    if _status is not None:
        with contextlib.suppress(OSError, ValueError):  # Python itself reports these
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_status & 0xFF)


def _run(arguments: Sequence[str]) -> None:
    start = next(i for i, word in enumerate(arguments) if word in ("-c", "-m"))
    flag, what, *rest = arguments[start:]
    if flag == "-m":
        sys.argv = [what, *rest]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *rest]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(what, vars(main))


# --- the command ---


def ask(python: str, path: str, arguments: Sequence[str]) -> None:
    """Ask the server for an interpreter, and end as it ends.

    Args:
        python: the ordinary interpreter, which replaces this process if there is no server.
        path: the server's socket.
        arguments: of the interpreter.
    """
    connection = socket.socket(socket.AF_UNIX)
    files = [int(file.name) for file in Path("/proc/self/fd").iterdir()]
    files = [file for file in files if file != connection.fileno() and _is_open(file)]
    try:
        connection.connect(path)
        answer = connection.recv(4)
    except OSError:
        answer = b""
    if answer != b"warm":
        connection.close()
        os.execv(python, [python, *arguments])
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    request = {
        "arguments": [_bytes(word) for word in arguments],
        "environment": {_bytes(key): _bytes(value) for key, value in os.environ.items()},
        "files": files,
        "folder": _bytes(str(Path.cwd())),
    }
    text = json.dumps(request) + "\n"
    sent = socket.send_fds(connection, [text.encode()], files)
    connection.sendall(text.encode()[sent:])
    # Whoever waits for these files to be closed waits for the interpreter alone.
    for file in files:
        os.close(file)
    answer = b""
    while not answer.endswith(b"\n") and (more := connection.recv(16)):
        answer += more
    code = int(answer or b"1")
    if code < 0:
        with contextlib.suppress(OSError):  # some signals have no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _bytes(text: str) -> str:
    """The bytes of a path or variable, a character each.

    The command and the server may decode them differently: the command ignores PYTHONUTF8.
    """
    return os.fsencode(text).decode("latin-1")


def _text(characters: str) -> str:
    """The text that `_bytes` was given, as this interpreter decodes it."""
    return os.fsdecode(characters.encode("latin-1"))


def _is_open(file: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(file)
        return True
    return False


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        from fer_utils import warm

        warm.run(warm.serve(sys.argv[2], sys.argv[3:]))
    else:
        ask(sys.argv[1], sys.argv[2], sys.argv[3:])
