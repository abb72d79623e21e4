"""A Python that starts warm behaves as an ordinary one, with imports already done."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fer_utils.warm import COMMAND, preloaded_python, wake, warm_python

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux' pidfd")

IMPORTED = "colorsys"  # a module that no interpreter imports by itself


def ask(command, code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [command, "-B", "-c", code, *arguments], capture_output=True, text=True, **options
    )


def socket_of(command: str) -> Path:
    """Wait for the server's socket, and return its path."""
    socket = Path(command).with_name("socket")
    while not socket.exists():
        time.sleep(0.02)
    return socket


@pytest.fixture(scope="module")
def command():
    """The command of a server whose imports are done."""
    with preloaded_python([IMPORTED]) as variables:
        deadline = time.monotonic() + 60
        while "True" not in ask(variables[COMMAND], HAS).stdout:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield variables[COMMAND]


HAS = f"import sys; print({IMPORTED!r} in sys.modules)"


def test_arguments_files_folder_environment_and_status_are_those_of_the_command(command, tmp_path):
    code = (
        "import os, sys\n"
        "print(sys.argv[1:], os.getcwd(), os.environ['WORD'], os.environ.get('HOME'))\n"
        "print(sys.stdin.read(), file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    environment = {"WORD": "größer", "PATH": os.environ["PATH"]}
    options = {"input": "in", "cwd": tmp_path, "env": environment}
    done = ask(command, code, "a b", "$c", **options)

    assert (done.returncode, done.stderr) == (7, "in\n")
    assert done.stdout == f"['a b', '$c'] {tmp_path} größer None\n"


def test_other_open_files_keep_their_numbers(command):
    read, write = os.pipe()
    code = f"import os; os.write({write}, b'through')"
    assert subprocess.run([command, "-c", code], pass_fds=[write]).returncode == 0
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"through"  # and the other end is closed everywhere


def test_a_module_runs_as_the_main_program(command):
    done = subprocess.run(
        [command, "-m", "json.tool", "--compact"], input="{ }", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "{}\n")


def test_an_exception_is_status_1_with_its_traceback(command):
    done = ask(command, "1/0")
    assert done.returncode == 1 and done.stderr.endswith("ZeroDivisionError: division by zero\n")


SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_signals_reach_the_interpreter_and_end_the_command(command, number):
    process = subprocess.Popen([command, "-c", SLEEPS], stdout=subprocess.PIPE, text=True)
    interpreter = int(process.stdout.readline())
    process.send_signal(number)

    assert process.wait(10) == -number
    assert_gone(interpreter)


def test_an_interrupt_is_a_keyboard_interrupt(command):
    process = subprocess.Popen(
        [command, "-c", SLEEPS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)

    assert process.wait(10) != 0 and "KeyboardInterrupt" in process.stderr.read()


def test_a_killed_interpreter_ends_the_command_in_the_same_way(command):
    assert ask(command, "import os; os.kill(os.getpid(), 9)").returncode == -signal.SIGKILL


def assert_gone(process: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_commands_at_once_do_not_wait_for_each_other(command):
    code = "import sys; print(sys.stdin.read())"
    processes = [
        subprocess.Popen(
            [command, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for number, process in reversed(list(enumerate(processes))):
        assert process.communicate(str(number), timeout=10)[0] == f"{number}\n"


def test_without_a_server_the_command_is_an_ordinary_python(tmp_path):
    with preloaded_python([IMPORTED]) as variables:
        words = Path(variables[COMMAND]).read_text()
    copy = tmp_path / "python"
    copy.write_text(words)
    copy.chmod(0o700)
    done = ask(copy, HAS)
    assert (done.returncode, done.stdout) == (0, "False\n")


def test_waking_the_server_makes_the_first_command_warm(monkeypatch):
    with preloaded_python([IMPORTED]) as variables:
        monkeypatch.setenv(COMMAND, variables[COMMAND])
        socket_of(variables[COMMAND])
        wake()
        wake()
        assert ask(variables[COMMAND], HAS).stdout == "True\n"
    wake()  # without a server it does nothing


def test_the_variable_names_a_command_only_while_the_server_runs(monkeypatch):
    monkeypatch.delenv(COMMAND, raising=False)
    assert warm_python() is None
    with preloaded_python([]) as variables:
        monkeypatch.setenv(COMMAND, variables[COMMAND])
        assert warm_python() == variables[COMMAND]
    assert warm_python() is None


def test_the_server_ends_with_the_program_that_started_it():
    code = (
        "import os, sys, time\n"
        "from fer_utils.warm import preloaded_python\n"
        "with preloaded_python([]) as variables:\n"
        "    print(variables['FER_STUDY_PYTHON'], flush=True)\n"
        "    time.sleep(100)\n"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    command = program.stdout.readline().strip()
    (server,) = psutil.Process(program.pid).children()
    # For a moment after its start, a process has no command line.
    deadline = time.monotonic() + 10
    while "--serve" not in server.cmdline():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    program.kill()
    program.wait()
    assert_gone(server.pid)
    # The folder remains after a kill, and the command in it is an ordinary Python.
    assert ask(command, HAS).returncode == 0


@pytest.mark.slow
def test_notebooks_and_trainings_start_warm_with_the_same_results(faces, tmp_path, monkeypatch):
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    from fer_utils.notebooks.runner import run_notebook

    faces.save(tmp_path / "faces")
    code = (
        "import sys\n"
        "print('warm' if started else 'cold')\n"
        "from pathlib import Path\n"
        "from fer_utils.data.faces import load_faces\n"
        "from fer_utils.training.fit_many import fit_many\n"
        "from fer_utils.training.recipes import get_recipe\n"
        "recipe = get_recipe('baseline_cnn').but(width=0.03, epochs=2, batch_size=32)\n"
        "runs = fit_many([(recipe, 1), (recipe, 2)], load_faces(Path('faces')), Path(store))\n"
        "print([run.logits(load_faces(Path('faces')).of('PublicTest')).sum() for run in runs])\n"
    )
    cells = [
        new_code_cell("store = ''", metadata={"tags": ["parameters"]}),
        new_code_cell("import sys\nstarted = 'fer_utils.training.fit' in sys.modules"),
        new_code_cell(code),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "small.ipynb")

    def run(store: str) -> list[str]:
        out = tmp_path / f"{store}.ipynb"
        run_notebook(tmp_path / "small.ipynb", out, {"store": store}, tmp_path)
        outputs = nbformat.read(out, as_version=4).cells[-1].outputs
        return "".join(o.text for o in outputs if o.get("name") == "stdout").splitlines()

    cold, sums = run("cold")
    with preloaded_python(["fer_utils.training.fit_many"]) as variables:
        monkeypatch.setenv(COMMAND, variables[COMMAND])
        while (
            "True"
            not in ask(
                variables[COMMAND],
                "import sys; print('fer_utils.training.fit_many' in sys.modules)",
            ).stdout
        ):
            time.sleep(0.1)
        warm, same = run("warm")
    assert (cold, warm) == ("cold", "warm") and sums == same


def test_a_path_that_the_locale_cannot_spell(tmp_path):
    folder = tmp_path / "größer"
    folder.mkdir()
    code = (
        "import subprocess\n"
        "from fer_utils.warm import COMMAND, preloaded_python\n"
        "with preloaded_python([]) as variables:\n"
        "    for _ in range(2):\n"  # the first is an ordinary Python
        "        subprocess.run([variables[COMMAND], '-c', 'print(6 * 7)'], check=True)\n"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | locale, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "42\n42\n"), done.stderr


@pytest.mark.parametrize("server", ["alive", "dead"])
def test_a_program_continues_warm_once(tmp_path, monkeypatch, server):
    """The replacement runs the same program, and so does an ordinary Python without a server."""
    (tmp_path / "program.py").write_text(
        "import sys\n"
        "from fer_utils.warm import continue_warm\n"
        f"print(sys.argv[1:], {IMPORTED!r} in sys.modules, flush=True)\n"
        "continue_warm('program', ['again'])\n"
        "sys.exit(3)\n"
    )
    project = Path(__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(project)]))
    with preloaded_python([IMPORTED]) as variables:
        monkeypatch.setenv(COMMAND, variables[COMMAND])
        socket = socket_of(variables[COMMAND])
        wake()
        if server == "dead":
            socket.unlink()
        done = subprocess.run(
            [sys.executable, "-m", "program", "first"], capture_output=True, text=True
        )
    assert done.returncode == 3, done.stderr
    assert done.stdout == f"['first'] False\n['again'] {server == 'alive'}\n"


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit()", 0),
        ("sys.exit(7)", 7),
        ("sys.exit('text')", 1),
        ("raise ValueError", 1),
        ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    ],
)
def test_an_interpreter_ends_as_an_ordinary_one(command, tmp_path, end, status):
    """Its handlers run, its threads are waited for, its files are written, its status is right."""
    code = (
        "import atexit, os, signal, sys, threading, time\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w', buffering=1)\n"
        "atexit.register(lambda: file.write('handler\\n'))\n"
        "def last():\n"
        "    time.sleep(0.3)\n"
        "    file.write('thread\\n')\n"
        "threading.Thread(target=last).start()\n"
        "print('unflushed', end='')\n"
        f"{end}\n"
    )
    done = ask(command, code)
    assert (done.returncode, done.stdout) == (status, "unflushed"), done.stderr
    assert (tmp_path / "file").read_text() == "thread\nhandler\n"
