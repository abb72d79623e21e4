"""SIGKILL at any moment: the same command, given again, ends with what it would have left undisturbed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fer_utils.storage import atomic_file, atomic_folder

# --- at every step of a writing ---

WRITINGS = """
import json, os, signal, sys
from pathlib import Path
from fer_utils.storage import atomic_file, atomic_folder

kind, base, old = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "True"

def write(path, text, fails=False):
    with (atomic_file if kind == "file" else atomic_folder)(path) as new:
        for place in [new] if kind == "file" else [new / "first", new / "second"]:
            place.write_text(text)
        if fails:
            raise ValueError

def killed(path, step):
    # In a process of its own: the last thing it does is to begin the so-manieth thing that it asks of the system.
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
def test_a_writing_killed_at_any_step_loses_nothing_and_leaves_nothing(tmp_path, kind, old):
    """Killed, then another one fails, then one succeeds: what is there, and what else lies beside it."""
    command = [sys.executable, "-c", WRITINGS, kind, tmp_path, str(old)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    files = 1 if kind == "file" else 2
    before, after = (["old"] * files if old else []), ["new"] * files
    names = {True: ["results.csv"], False: []}
    assert len(steps) > 10 and steps[-1][0] == [after, ["results.csv"]], "the last one was not killed"
    for killed, failed, succeeded in steps:
        # While a folder takes the place of another, there is neither: the old one comes back.
        assert killed[0] in (before, after) or any(name.endswith(".old") for name in killed[1])
        assert failed[0] == (after if killed[0] == after else before)
        assert failed[1] == names[bool(failed[0])]
        assert succeeded == [["next"] * files, ["results.csv"]]
    assert any(len(killed[1]) > len(names[bool(killed[0])]) for killed, _, _ in steps), "none left anything behind"


@pytest.mark.parametrize("writing", [atomic_file, atomic_folder])
def test_what_a_living_writer_has_begun_is_not_removed(tmp_path, writing):
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


def test_a_longer_name_is_not_taken_for_what_was_left(tmp_path):
    others = [tmp_path / name for name in (".run-seed1-abcdefgh", ".run-abcdefgh.csv", "run-abcdefgh", ".run-abc")]
    for other in others:
        other.touch()
    (tmp_path / ".run-abcdefgh").touch()
    with atomic_folder(tmp_path / "run"):
        pass
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "run"])
