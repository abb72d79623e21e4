"""What the READMEs say can be done: files, targets, commands and their options exist, and marked
commands run."""

import argparse
import ast
import importlib
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from fer_utils import cli

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
PAGES = [
    "README.md",
    "data/README.md",
    # docs/tuning.md has tests of its own.
    *sorted(f"docs/{page.name}" for page in DOCS.glob("*.md") if page.name != "tuning.md"),
]

# Words that begin a command of somebody else's program, which is not checked further.
FOREIGN = {
    *("source", "cd", "export", "ls", "mkdir", "kill", "sudo", "curl", "git"),
    *("python", "pip", "conda", "papermill", "jupyter"),
}
# A path in the text that stands for one of the reader's own.
OWN = re.compile(r"path/to/|^~|[<>*…]|^(train|test)/|RUN|NAME")


def text(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language; "" are those without one."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text(page), re.M | re.S)
    return [block for named, block in fenced if named == language]


def inline(page: str) -> list[str]:
    """What stands between backticks in the text, outside of blocks; a line break in it is a
    blank."""
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.M | re.S)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def commands(page: str) -> list[list[str]]:
    """Words of every command: lines of bash blocks, and what in the text begins with one of our
    programs."""
    lines = [
        line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()
    ]
    lines += [code for code in inline(page) if re.match(r"(make|fer-study|dvc)( |$)", code)]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def of(program: str) -> list[tuple[str, list[str]]]:
    return [(page, words) for page in PAGES for words in commands(page) if words[0] == program]


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def unknown_words(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """Subcommands and options that the parser does not know; what an option needs is not asked
    for."""
    if words[:1] == ["--cd"]:  # dvc's, before the subcommand
        words = words[2:]
    while words and (commands := subparsers(parser)) and not words[0].startswith("-"):
        if words[0] not in commands:
            return [words[0]]
        parser, words = commands[words[0]], words[1:]
    known = {option for action in parser._actions for option in action.option_strings}
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_of_a_known_program(page):
    programs = {"make", "fer-study", "dvc"} | FOREIGN
    assert [words for words in commands(page) if words[0] not in programs] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_known_language(page):
    """So that none escapes these tests for its name; a block without one is the map of the
    folders."""
    named = re.findall(r"^```(\w*)\n.*?^```$", text(page), re.M | re.S)
    assert set(named) <= {"bash", "python", ""}


def test_targets_and_settings_of_make_exist():
    makefile = text("Makefile")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    settings = set(re.findall(r"^([A-Z]+) \?=", makefile, re.M))
    profiles = {path.stem for path in (PROJECT / "conf" / "profile").iterdir()}
    found = of("make")
    assert {"study", "test"} <= {words[1] for _, words in found if len(words) > 1}
    for page, (_, *words) in found:
        for word in words:
            name, given, value = word.partition("=")
            assert name in (settings if given else targets), f"{page}: make {word}"
            assert name != "PROFILE" or value in profiles, f"{page}: make {word}"
    for page in PAGES:
        given = re.findall(r"\b([A-Z]{3,})=", text(page))
        assert set(given) <= settings, f"{page}: settings of make"


def test_the_makefiles_help_lists_every_target():
    makefile = text("Makefile")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    shown = subprocess.run(
        ["make", "help"], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout
    assert re.findall(r"^ +make ([a-z-]+)", shown, re.M) == phony
    assert sorted(re.findall(r"^([a-z-]+):", makefile, re.M)) == sorted(phony)


def test_commands_and_options_of_fer_study_exist():
    found = of("fer-study")
    assert found
    assert [
        (page, " ".join(words))
        for page, words in found
        if unknown_words(cli.make_parser(), words[1:])
    ] == []


def test_commands_and_options_of_dvc_exist():
    from dvc.cli.parser import get_main_parser

    found = of("dvc")
    assert found
    assert [
        (page, " ".join(words))
        for page, words in found
        if unknown_words(get_main_parser(), words[1:])
    ] == []


def test_parameters_that_are_set_exist():
    params = yaml.safe_load(text("params.yaml"))
    for page, words in of("dvc"):
        for option, change in pairwise(words):
            if option in ("-S", "--set-param"):
                section, _, name = change.partition("=")[0].partition(".")
                assert section in params, f"{page}: {change}"
                assert not name or name in params[section], f"{page}: {change}"


def exists_or_is_made(path: str) -> bool:
    """A file of the project, or one that git ignores because the study makes it or the reader
    brings it."""
    if (PROJECT / path).exists():
        return True
    return subprocess.run(["git", "check-ignore", "--quiet", path], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", text(page))
    local = [link for link in links if not re.match(r"https?://", link)]
    folder = Path(page).parent
    missing = [link for link in local if not (PROJECT / folder / link.partition("#")[0]).exists()]
    assert missing == []
    assert [link for link in links if link.startswith("http://")] == []


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_the_text_exist(page):
    paths = [
        code
        for code in inline(page)
        if re.fullmatch(r"[\w.-]+(/[\w.-]*)+", code) and not OWN.search(code)
    ]
    folder = Path(page).parent
    missing = [
        path
        for path in paths
        if not (exists_or_is_made(path) or exists_or_is_made(str(folder / path)))
    ]
    assert missing == []


def test_paths_on_the_map_exist():
    """In the block that shows where things are: what stands before the description, two blanks
    apart. An indented line is in the package."""
    (shown,) = blocks("docs/layout.md", "")
    paths = []
    for line in shown.splitlines():
        folder = "fer_utils/" if line.startswith(" ") else ""
        paths += [folder + path for path in re.split(r"  +", line.strip())[:-1]]
    assert len(paths) >= 6
    assert [path for path in paths if not (PROJECT / path).exists()] == []
    packages = {
        f"fer_utils/{path.parent.name}/" for path in PROJECT.glob("fer_utils/*/__init__.py")
    }
    assert packages <= set(paths)


def test_the_readme_is_short():
    """In words as `wc -w` counts them, tables included."""
    assert len(text("README.md").split()) <= 1000


def test_every_page_and_notebook_is_listed():
    notebooks = (PROJECT / "notebooks").glob("*.ipynb")
    for listing, files in (("README", DOCS.glob("*.md")), ("notebooks", notebooks)):
        shown = text(f"docs/{listing}.md")
        linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)\s#]+)\)", shown)}
        assert set(files) - {DOCS / f"{listing}.md"} <= linked, listing


@pytest.mark.parametrize("page", PAGES)
def test_python_imports_what_there_is(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_left_to_fill_in(page):
    assert (
        re.findall(r"\b(?:TODO|TBD|FIXME|XXX|[A-Z]+_(?:TIME|INSTALL|SIZE|SCORE)\w*)\b", text(page))
        == []
    )


def marked_blocks() -> list:
    """Bash blocks below a line `<!-- test -->`."""
    marked = r"^<!-- test -->\n```bash\n(.*?)^```$"
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page in PAGES
        if (PROJECT / page).exists()
        for number, block in enumerate(re.findall(marked, text(page), re.M | re.S))
    ]


def test_some_commands_are_run_as_written():
    assert marked_blocks()


@pytest.mark.slow
@pytest.mark.parametrize("block", marked_blocks())
def test_marked_commands_run_as_written(block, tmp_path):
    from clone import Clone

    Clone(tmp_path).run("bash", "-euo", "pipefail", "-c", block)
