"""CONTRIBUTING.md's ways to add a source, a network, a recipe or a notebook: followed in a copy of
the tree, they work.

And the hook of pre-commit that strips notebooks, and what the datasheet counts.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from nbformat import v4

from fer_utils.data import sample
from fer_utils.data.faces import load_faces
from fer_utils.emotions import CANONICAL_COUNTS

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KINDS = ("source", "network", "recipe", "notebook")
LINES = 12  # at most, of a new file, and of what is added to others for it to be found

# The description of a new stage in dvc.yaml is not held to that.
UNCOUNTED = {"notebook": ("dvc.yaml",)}

# The project's own tests that know of a thing that was added.
OWN_TESTS = {
    "source": ["tests/data/test_sources.py"],
    "network": [
        "tests/networks/test_networks.py",
        "tests/networks/test_costs.py",
        "-k",
        "one_layer or lists_every_network",
    ],
    "recipe": ["tests/training/test_recipes.py"],
    "notebook": ["tests/slow/test_notebook_check.py", "-m", "slow", "-k", "budget"],
}


def blocks(kind: str) -> list[tuple[str, str]]:
    """Language and text of the blocks that are marked as ways to add a `kind`, in their order."""
    return re.findall(rf"^<!-- add: {kind} -->\n```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)


def patch(text: str, hunk: list[str]) -> str:
    """`text` with one hunk applied: where its lines to find are, which is once; at the end where it
    has none.

    `…` stands for whatever is in its place in a line, and is kept.
    """
    found = "\n".join(line[1:] for line in hunk if line[0] in " -")
    left = "\n".join(line[1:] for line in hunk if line[0] in " +")
    if not found:
        return f"{text.rstrip()}\n{left}\n"
    pattern = re.compile(rf"^{re.escape(found).replace('…', '(.*)')}$", re.M)
    places = len(pattern.findall(text))
    assert places == 1, f"found {places} times:\n{found}"

    def new(match: re.Match) -> str:
        kept = iter(match.groups())
        return re.sub("…", lambda _: next(kept), left)

    return pattern.sub(new, text)


def hunks(diff: str) -> list[tuple[str, list[str]]]:
    """File and lines of each hunk."""
    split: list[tuple[str, list[str]]] = []
    for line in diff.splitlines():
        if line.startswith("+++ "):
            split.append((line[4:], []))
        elif line.startswith("@@"):
            split.append((split[-1][0], []))
        else:
            assert line[:1] in ("+", "-", " "), f"no line of a diff: {line!r}"
            split[-1][1].append(line)
    return [hunk for hunk in split if hunk[1]]


def notebook_of(cells: str) -> nbformat.NotebookNode:
    """The notebook that JupyterLab would save of these cells, each begun by `# %%`; its number is
    in its first line."""
    first, _, rest = cells.partition("\n")
    number = re.search(r"/(\d\d)_", first)[1]
    made = []
    for part in re.split(r"^# %%", rest, flags=re.M)[1:]:
        head, _, source = part.partition("\n")
        source, name = source.strip(), f"{number}-{len(made):02}"
        if "[markdown]" in head:
            made.append(v4.new_markdown_cell(re.sub("^# ?", "", source, flags=re.M), id=name))
        else:
            tags = re.search(r"tags=(\[.*\])", head)
            made.append(
                v4.new_code_cell(
                    source, id=name, metadata={"tags": json.loads(tags[1])} if tags else {}
                )
            )
    like = nbformat.read(next((PROJECT / "notebooks").glob("01_*.ipynb")), as_version=4)
    return v4.new_notebook(cells=made, metadata=like.metadata)


class Tree:
    """A copy of the tree, with what is new or changed in it but not what git ignores, and commands
    that run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: set[str] = set()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (PROJECT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, root / name)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        given = {
            key: value for key, value in os.environ.items() if not key.startswith(("FER_", "GIT_"))
        }
        self.environment = given | {
            "PATH": path,
            "PYTHONPATH": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def follow(self, kind: str) -> list[str]:
        """Do what the page says a `kind` takes, noting the files.

        Returns the commands that are left to run.
        """
        commands = []
        for language, text in blocks(kind):
            if language == "bash":
                commands += text.splitlines()
            elif language == "diff":
                for name, lines in hunks(text):
                    file = self.root / name
                    changed = patch(file.read_text(encoding="utf-8"), lines)
                    file.write_text(changed, encoding="utf-8")
                    self.written.add(name)
            else:
                file = self.root / text.partition("\n")[0].removeprefix("# ")
                assert not file.exists(), f"{file.name} is no new file"
                self.written.add(str(file.relative_to(self.root)))
                if file.suffix == ".ipynb":
                    nbformat.write(notebook_of(text), file)
                else:
                    file.write_text(text, encoding="utf-8")
        return commands


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path / "tree")


@pytest.fixture
def prepared(tree, faces):
    """The few drawn faces as the tree's prepared ones."""
    faces.save(tree.root / "data" / "prepared")
    return faces


def test_the_page_says_how_to_add_each_kind():
    assert set(re.findall(r"<!-- add: (\w+) -->", PAGE)) == set(KINDS)
    for kind in KINDS:
        languages = [language for language, _ in blocks(kind)]
        assert len(languages) == len(re.findall(rf"<!-- add: {kind} -->", PAGE)), (
            "a marker without its block"
        )
        assert {"bash"} < set(languages) <= {"python", "diff", "bash"}


@pytest.mark.parametrize("kind", KINDS)
def test_adding_takes_few_lines(kind):
    added = 0
    for language, text in blocks(kind):
        if language == "python" and kind != "notebook":
            assert len([line for line in text.splitlines()[1:] if line.strip()]) <= LINES, (
                "the new file"
            )
        elif language == "diff":
            counted = [lines for name, lines in hunks(text) if name not in UNCOUNTED.get(kind, ())]
            added += sum(line[0] == "+" and line != "+" for lines in counted for line in lines)
    assert added <= LINES


def test_a_step_that_no_longer_fits_is_noticed():
    assert patch("a = (1, 2)\nb\n", ["-a = (…)", "+a = (…, 3)"]) == "a = (1, 2, 3)\nb\n"
    assert patch("a\n", ["+b"]) == "a\nb\n"
    for text in ("b\n", "a\na\n", "aa\n"):
        with pytest.raises(AssertionError, match=r"found \d times:\s+a"):
            patch(text, [" a", "+c"])


def test_what_was_added_is_as_lint_wants_it(tree):
    for kind in KINDS:
        tree.follow(kind)
    written = shlex.join(sorted(name for name in tree.written if name.endswith((".py", ".ipynb"))))
    tree.run(f"ruff check {written} && ruff format --check {written}")


@pytest.mark.parametrize("kind", ["source", "recipe", "notebook"])
def test_without_the_steps_the_command_fails(tree, prepared, kind):
    command = [
        line for language, text in blocks(kind) if language == "bash" for line in text.splitlines()
    ][-1]
    failed = tree.run(command, check=False)
    assert failed.returncode == 2 and "expected one of" in failed.stderr


def test_a_new_source_is_prepared(tree):
    for command in tree.follow("source"):
        tree.run(command)
    faces = load_faces(tree.root / "build" / "noise")
    assert (faces.source, len(faces), faces.drawn) == ("noise", 700, False)
    assert 0.1 < (faces.emotion == 3).mean() < 0.2, "labels are by chance, a seventh each"
    refused = tree.run("fer-study prepare --source noise --votes votes.csv", check=False)
    assert refused.returncode == 2 and "nobody voted on noise" in refused.stderr


def test_a_new_network_is_listed(tree):
    listing, _ = tree.follow("network")
    assert re.search(r"^one_layer +48x48x1 +27,943 .* this study$", tree.run(listing).stdout, re.M)


@pytest.mark.slow
def test_a_new_network_is_trained(tree, prepared):
    *_, training = tree.follow("network")
    (history,) = trained(tree, training, "one_layer")
    assert 0 < history["loss"] < 100


def trained(tree: Tree, command: str, name: str) -> list[dict]:
    """The epochs of the run that a training command leaves."""
    tree.run(command)
    (run,) = (tree.root / "data" / "runs").glob(f"{name}-seed1-*")
    assert (run / "model.keras").is_file(), "the run keeps no weights"
    return pd.read_csv(run / "history.csv").to_dict("records")


def test_a_new_recipe_is_trained(tree, prepared):
    (training,) = tree.follow("recipe")
    (history,) = trained(tree, training, "baseline_cnn_cosine")
    assert 0 < history["loss"] < 100


def test_a_new_notebook_runs_as_a_stage(tree, prepared):
    for command in tree.follow("notebook"):
        tree.run(command)
    measured = json.loads(
        (tree.root / "reports" / "metrics" / "brightness.json").read_text(encoding="utf-8")
    )
    assert measured == {"mean_grey": pytest.approx(prepared.of("Training").images.mean())}
    assert (tree.root / "reports" / "notebooks" / "07_brightness.ipynb").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_projects_own_tests_hold_with_it(tree, kind):
    """Among them that dvc.yaml names every module that a stage imports."""
    tree.follow(kind)
    tree.run("git init --quiet && git add --all")
    tree.run("python -m pytest -q -p no:cacheprovider tests/project/test_pipeline.py")
    tree.run(f"python -m pytest -q -p no:cacheprovider {shlex.join(OWN_TESTS[kind])}")


# The hook that strips notebooks


@pytest.fixture(scope="module")
def hooks() -> dict[str, dict]:
    """Pre-commit's hooks by their ids."""
    given = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repository["repo"] for repository in given["repos"]} == {"local"}, (
        "a clone of another repository is needed"
    )
    return {hook["id"]: hook for repository in given["repos"] for hook in repository["hooks"]}


def test_saved_in_jupyterlab_a_notebook_is_stripped_to_what_is_committed(hooks, tmp_path):
    """Of all outputs, counts and marks of the machine, but not of the outputs that nbval
    compares."""
    kept = 0
    for source in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(source, as_version=4)
        notebook.metadata.language_info.version = "3.12.1"
        notebook.metadata.kernelspec.display_name = "own"
        for number, cell in enumerate(notebook.cells):
            cell.metadata["collapsed"] = True
            if cell.cell_type == "code":
                cell.execution_count = 100 + number
                kept += bool(cell.outputs)
                cell.outputs = cell.outputs or [
                    v4.new_output("stream", text="what this machine said")
                ]
        nbformat.write(notebook, tmp_path / source.name)
    assert kept
    python, *rest = shlex.split(hooks["strip-notebooks"]["entry"])
    assert python == ".venv/bin/python"
    files = sorted(tmp_path.glob("*.ipynb"))
    subprocess.run([sys.executable, *rest, *files], check=True)
    for file in files:
        assert file.read_bytes() == (PROJECT / "notebooks" / file.name).read_bytes(), file.name
        assert re.search(hooks["strip-notebooks"]["files"], f"notebooks/{file.name}")


# What the other pages say


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md", "docs/datasheet.md"])
def test_links_and_paths_lead_somewhere(page):
    text = (PROJECT / page).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    links = [
        link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if not link.startswith("https://")
    ]
    paths = re.findall(r"`((?:fer_utils|tests|reports|docs|data)/[\w./-]*)`", prose)
    assert links + paths or page == "CHANGELOG.md"
    found = [(PROJECT / page).parent / link.partition("#")[0] for link in links] + [
        PROJECT / path for path in paths
    ]
    assert [str(path) for path in found if not path.exists()] == []


def test_the_datasheet_has_the_contests_counts_and_the_samples_shares():
    text = (PROJECT / "docs" / "datasheet.md").read_text(encoding="utf-8")
    for usage, counts in CANONICAL_COUNTS.items():
        assert (
            f"| {usage} | {' | '.join(f'{count:,}' for count in (*counts, sum(counts)))} |" in text
        )
    for row in (
        f"| exact duplicates within Training | {sample.DUPLICATE_SHARE:.0%} |",
        f"| of these, with another label | {sample.CONFLICT_SHARE:.0%} |",
        f"| test images with an exact duplicate in Training | {sample.LEAK_SHARE:.0%} of each test",
        f"| of these, with another label | {sample.LEAK_CONFLICT_SHARE:.0%} |",
        f"| wrong label | {sample.WRONG_LABEL_SHARE:.0%} of each split |",
        f"| no face | {sample.NOT_A_FACE_SHARE:.0%} of each split |",
    ):
        assert row.replace("%", " %") in text
