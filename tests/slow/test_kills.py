"""SIGKILL at any moment: the repeated command ends with the results of an undisturbed one."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
from clone import Clone
from kill_cases import FER_STUDY, content, litter, same_runs, small_pipeline
from PIL import Image
from skimage import data

from fer_utils.storage import Contents, atomic_file, atomic_folder
from fer_utils.training.fit import fit
from fer_utils.tuning.trials import recorded_outcome

# --- at every step of an atomic write ---

WRITINGS = """
import json, os, signal, sys
from pathlib import Path
from fer_utils.storage import Contents, atomic_file, atomic_folder

kind, base, old = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "True"

def write(path, text, fails=False):
    contents = Contents("texts", "first", ("second",))
    with atomic_file(path) if kind == "file" else atomic_folder(path, contents) as new:
        for place in [new] if kind == "file" else [new / "first", new / "second"]:
            place.write_text(text)
        if fails:
            raise ValueError

def killed(path, step):
    # A child process writes, and kills itself when it starts its `step`-th system operation.
    if child := os.fork():
        return os.waitpid(child, 0)[1] == signal.SIGKILL
    left = step
    def count(event, _):
        nonlocal left
        left -= event == "open" or event.startswith(("os.", "shutil.", "fcntl.", "tempfile."))
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    write(path, "new")
    os._exit(0)

def found(path):
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return [file.read_text() for file in files], sorted(one.name for one in path.parent.iterdir())

step, more = 0, True
while more:
    step += 1
    path = base / str(step) / "results.csv"
    path.parent.mkdir(parents=True)
    if old:
        write(path, "old")
    more = killed(path, step)
    seen = [found(path)]
    try:
        write(path, "other", fails=True)
    except ValueError:
        seen.append(found(path))
    write(path, "next")
    print(json.dumps([*seen, found(path)]))
"""


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_write_killed_at_any_step_loses_nothing_and_leaves_nothing(tmp_path, kind, old):
    """A write is killed, another one fails, and a third succeeds. The folder is checked after
    each."""
    command = [sys.executable, "-c", WRITINGS, kind, tmp_path, str(old)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    files = 1 if kind == "file" else 2
    before, after = (["old"] * files if old else []), ["new"] * files
    names = {True: ["results.csv"], False: []}
    assert len(steps) > 10 and steps[-1][0] == [after, ["results.csv"]], (
        "the last write was not killed"
    )
    for killed, failed, succeeded in steps:
        # While a folder replaces another one, neither is there. The old one is put back.
        assert killed[0] in (before, after) or any(name.endswith(".old") for name in killed[1])
        assert failed[0] == (after if killed[0] == after else before)
        assert failed[1] == names[bool(failed[0])]
        assert succeeded == [["next"] * files, ["results.csv"]]
    assert any(len(killed[1]) > len(names[bool(killed[0])]) for killed, _, _ in steps), (
        "some kills leave a temporary file"
    )


def text_folder(path: Path):
    return atomic_folder(path, Contents("a text", "text"))


@pytest.mark.parametrize("writing", [atomic_file, text_folder])
def test_the_file_of_a_living_writer_is_not_removed(tmp_path, writing):
    path = tmp_path / "deep[1]" / "results.csv"

    def write(place: Path, text: str) -> None:
        (place if writing is atomic_file else place / "text").write_text(text)

    with writing(path) as first:
        write(first, "first")
        with writing(path) as second:
            assert first.exists()
            write(second, "second")
        assert path.exists() and first.exists()
    assert [one.read_text() for one in path.parent.rglob("*") if one.is_file()] == ["first"]
    assert list(path.parent.iterdir()) == [path]


def test_other_names_are_not_removed(tmp_path):
    others = [
        tmp_path / name
        for name in (".run-seed1-abcdefgh", ".run-abcdefgh.csv", "run-abcdefgh", ".run-abc")
    ]
    for other in others:
        other.touch()
    (tmp_path / ".run-abcdefgh").touch()
    with text_folder(tmp_path / "run"):
        pass
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "run"])


def test_the_checkpoint_of_a_finished_run_is_removed(run, recipe, faces, tmp_path):
    """A kill between the record of the finished run and the removal leaves the checkpoint."""
    faces = faces.without_private()
    for open_run in (fit, recorded_outcome):
        folder = shutil.copytree(run.folder, tmp_path / open_run.__name__ / run.folder.name)
        (folder / "checkpoint.npz").touch()
        open_run(recipe, faces, 1, folder.parent)
        assert content(folder) == content(run.folder)


# --- at random moments ---

KILLS = 20


class Command:
    """A command that is killed at random moments.

    Args:
        command: the command line.
        log: the file for its output.
        begun: a pattern of its output when its work starts. Before that it only imports.
        remedy: called with the output of a failure; corrects it as a user would. Returns True if
            that may help.
        options: of `subprocess.Popen`.
    """

    def __init__(
        self,
        command: list,
        log: Path,
        begun: str,
        *,
        remedy: Callable[[str], bool] = lambda _: False,
        **options,
    ) -> None:
        self.command, self.log, self.begun, self.remedy, self.options = (
            command,
            log,
            begun,
            remedy,
            options,
        )
        self.started: list[psutil.Process] = []

    def start(self) -> subprocess.Popen:
        """Start it in a new process group."""
        with self.log.open("w") as log:
            # Two trainings at once on all cores are slower than one after the other.
            environment = self.options.get("env", os.environ) | {
                "OMP_NUM_THREADS": "1",
                "PYTHONUNBUFFERED": "1",
            }
            given = self.options | {"env": environment}
            return subprocess.Popen(
                self.command, stdout=log, stderr=log, start_new_session=True, **given
            )

    def run(self) -> float:
        """Run it to its end. Returns the seconds."""
        began, process = time.monotonic(), self.start()
        if process.wait() != 0:
            assert self.remedy(self.output()), self.output()
            assert self.start().wait() == 0, self.output()
        return time.monotonic() - began

    def output(self) -> str:
        """The output of the last start."""
        return self.log.read_text(errors="replace")

    def kill(self, process: subprocess.Popen) -> None:
        """Kill its process group.

        Processes in other groups, such as kernels of notebooks, must end by themselves.
        """
        with suppress(psutil.NoSuchProcess):
            self.started += psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def disturb(self, usual: float, undo: Callable[[], None]) -> None:
        """Kill it `KILLS` times, at random moments spread over `usual` seconds.

        If it ends before it is killed, `undo` resets its work, and the duration of a complete run
        becomes the new `usual`. At least a quarter of the kills must occur while it works.
        """
        seed = random.randrange(2**32)
        print(f"kills at the moments of seed {seed}")  # pytest shows it if the test fails
        generator = random.Random(seed)
        shares = [(k + generator.random()) / KILLS for k in range(KILLS)]
        generator.shuffle(shares)
        working, fresh = 0, False
        while shares:
            began, process = time.monotonic(), self.start()
            try:
                code = process.wait(shares[-1] * usual)
            except subprocess.TimeoutExpired:
                self.kill(process)
                working += bool(re.search(self.begun, self.output()))
                fresh = False
                shares.pop()
            else:
                if code != 0:
                    assert self.remedy(self.output()), self.output()
                    continue
                if fresh:
                    usual = time.monotonic() - began
                undo()
                fresh = True
        assert working >= KILLS / 4, f"only {working} of {KILLS} kills occurred while it worked"
        until = time.monotonic() + 30
        while alive := [
            one for one in self.started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE
        ]:
            assert time.monotonic() < until, f"these processes outlived their command: {alive}"
            time.sleep(0.2)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder. The commands' folder for temporary files is another one, not checked."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.mark.slow
def test_prepare(workplace, tmp_path):
    def prepare(out: Path) -> Command:
        return Command(
            [*FER_STUDY, "prepare", "--count", "210", "--out", out],
            tmp_path / "log",
            "drawing faces",
        )

    usual = prepare(tmp_path / "undisturbed").run()
    disturbed = prepare(workplace / "faces")
    disturbed.disturb(usual, lambda: None)
    disturbed.run()
    assert content(workplace / "faces") == content(tmp_path / "undisturbed")
    assert [one.name for one in workplace.iterdir()] == ["faces"]


@pytest.mark.slow
def test_training(workplace, faces, tmp_path):
    faces.save(tmp_path / "faces")
    store = workplace / "runs"

    def train(store: Path) -> Command:
        changes = [
            part
            for change in ("width=0.03", "epochs=30", "batch_size=32")
            for part in ("--set", change)
        ]
        given = ["--data", tmp_path / "faces", "--runs", store, *changes]
        return Command(
            [*FER_STUDY, "train", "baseline_cnn", *given], tmp_path / "log", r"epoch \d+/30"
        )

    usual = train(tmp_path / "undisturbed").run()
    disturbed = train(store)
    disturbed.disturb(usual, lambda: shutil.rmtree(store))
    disturbed.run()
    assert same_runs(store, tmp_path / "undisturbed")
    assert litter(workplace) == []


@pytest.mark.slow
def test_tuning(workplace, faces, tmp_path):
    faces.save(tmp_path / "faces")

    def tune(place: Path) -> Command:
        given = [
            "--data",
            tmp_path / "faces",
            "--runs",
            place / "runs",
            "--out",
            place / "search",
            "--trials",
            "2",
        ]
        given += [
            "--set",
            "width=0.03",
            "--set",
            "epochs=12",
            "--search",
            "learning_rate=1e-4..5e-3",
        ]
        return Command([*FER_STUDY, "tune", "baseline_cnn", *given], tmp_path / "log", "trial")

    def undo() -> None:
        shutil.rmtree(workplace)
        workplace.mkdir()

    usual = tune(tmp_path / "undisturbed").run()
    disturbed = tune(workplace)
    disturbed.disturb(usual, undo)
    disturbed.run()
    ours, theirs = (
        pd.read_csv(place / "search" / "ledger.csv").drop(columns="seconds")
        for place in (workplace, tmp_path / "undisturbed")
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert set(ours["status"]) == {"completed"} and len(ours) == 2
    best = Path("search") / "best.json"
    assert (workplace / best).read_bytes() == (tmp_path / "undisturbed" / best).read_bytes()
    assert same_runs(workplace / "runs", tmp_path / "undisturbed" / "runs")
    assert litter(workplace) == []


@pytest.mark.slow
def test_dvc_repro(workplace, tmp_path):
    """A stage that writes a folder, and one that runs a notebook with figures, tables and metrics.

    Other stages also train, into a store that is no output of DVC. `test_training` covers it.

    DVC does not write its lock file and its list of locks atomically. If it is killed meanwhile, it
    refuses to continue, and names the file to delete. Finished stages come from its cache.
    """

    def repro(folder: Path) -> tuple[Clone, Command]:
        folder.mkdir(exist_ok=True)
        clone = small_pipeline(folder)
        given = {"cwd": clone.root, "env": clone.environment}

        def remedy(output: str) -> bool:
            wrong = {
                "dvc.lock": r"dvc\.lock' (is invalid|validation failed)",
                ".dvc/tmp/rwlock": "read RWLock-file",
            }
            torn = [name for name, words in wrong.items() if re.search(words, output)]
            for name in torn:
                print(f"DVC did not continue until {name} was deleted")
                (clone.root / name).unlink(missing_ok=True)
            return bool(torn)

        command = ["dvc", "repro", "explore"]
        return clone, Command(command, tmp_path / "log", "Running stage", remedy=remedy, **given)

    undisturbed, command = repro(tmp_path / "undisturbed")
    usual = command.run()
    clone, disturbed = repro(workplace)
    parameters = (clone.root / "params.yaml").read_bytes()

    def undo() -> None:
        # Also DVC's cache, from which it would restore earlier results.
        clone.run("git", "clean", "-qxdff", "--exclude", ".venv")
        clone.run("git", "checkout", "-q", ".")
        (clone.root / "params.yaml").write_bytes(parameters)

    disturbed.disturb(usual, undo)
    disturbed.run()
    for place in ("data", "reports"):
        ours, theirs = content(clone.root / place), content(undisturbed.root / place)
        assert sorted(ours) == sorted(theirs)
        assert [name for name, bytes_ in ours.items() if bytes_ != theirs[name]] == []
    assert (clone.root / "reports" / "notebooks" / "01_explore.ipynb").is_file()
    disturbed.run()
    assert "Running stage" not in disturbed.output(), "all stages are up to date"
    assert [
        left for place in ("data", "reports", "build") for left in litter(clone.root / place)
    ] == []
    assert clone.changed() == ["dvc.lock", "params.yaml"]


@pytest.mark.slow
def test_server(workplace, tmp_path):
    """After a kill at any moment, the server starts on the same port and responds as before."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api/v1/predict"
    photo = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()).save(photo)
    server = Command(
        [*FER_STUDY, "serve", "--port", str(port)], tmp_path / "log", "Serving", cwd=workplace
    )

    def answer() -> bytes | None:
        """The server's response to the photo; None if it does not listen, or is killed."""
        request = urllib.request.Request(url, photo.read_bytes(), {"Content-Type": "image/png"})
        try:
            return urllib.request.urlopen(request, timeout=60).read()
        except (OSError, urllib.error.URLError):
            return None

    def first_answer(process: subprocess.Popen) -> bytes:
        while (response := answer()) is None:
            assert process.poll() is None, server.output()
            time.sleep(0.05)
        return response

    began, process = time.monotonic(), server.start()
    undisturbed = first_answer(process)
    usual = 2 * (time.monotonic() - began)
    server.kill(process)
    assert len(json.loads(undisturbed)["images"][0]["faces"]) == 1

    answers, over = [], threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(answer())
            time.sleep(0.01)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        server.disturb(usual, lambda: None)
    finally:
        over.set()
        for thread in asking:
            thread.join()
    assert set(answers) == {None, undisturbed}
    process = server.start()
    try:
        assert first_answer(process) == undisturbed
    finally:
        server.kill(process)
    assert list(workplace.iterdir()) == []
