"""The server's options, each also as an environment variable, and their table in the docs."""

import inspect
import re
from pathlib import Path

import pytest

from fer_utils import serving
from fer_utils.cli import main
from fer_utils.cli.environment import options_of, variable_of
from fer_utils.cli.parser import make_parser

SIGNATURES = [inspect.signature(each) for each in (serving.create_app, serving.serve)]


@pytest.fixture
def serve_parser():
    [commands] = [each for each in make_parser()._actions if isinstance(each.choices, dict)]
    return commands.choices["serve"]


@pytest.fixture
def started(monkeypatch):
    """Run `fer-study serve` without a server. Returns the arguments of `serving.serve`."""
    monkeypatch.setattr(serving, "serve", lambda _recognizer, **options: found.update(options))
    found = {}

    def start(*arguments, **variables):
        found.clear()
        for name, text in variables.items():
            monkeypatch.setenv(f"FER_STUDY_{name}", text)
        assert main(["serve", *arguments]) == 0
        return found

    return start


def test_a_variable_gives_an_option_and_the_command_line_wins(started):
    assert started()["port"] == 5000
    assert started(PORT="8000")["port"] == 8000
    assert started("--port", "9000", PORT="8000")["port"] == 9000


def test_every_limit_reaches_the_server(started):
    found = started(
        **{"MAX_UPLOAD_MB": "3", "MAX_PHOTOS": "2", "MAX_MEMORY_MB": "70", "AT_ONCE": "5"},
        **{"WAITING": "0", "VIEWERS": "1", "PROXIES": "1", "ACCESS_LOG": "json"},
        **{"CORS_ORIGIN": "https://a.example, https://b.example", "FRAME_ANCESTOR": "none"},
        **{"TRUSTED_HOST": "faces.example", "HOST": "0.0.0.0", "CAMERA": "1"},
        **{"ONNXRUNTIME_WEB": "runtime"},
    )
    assert found == {
        "host": "0.0.0.0",
        "port": 5000,
        "token": None,
        "proxies": 1,
        "cors_origins": ["https://a.example", "https://b.example"],
        "frame_ancestors": ["'none'"],
        "access_log": "json",
        "at_once": 5,
        "waiting": 0,
        "max_upload_bytes": 3 * 2**20,
        "max_photos": 2,
        "max_memory": 70_000_000,
        "viewers": 1,
        "onnxruntime_web": Path("runtime"),
        "camera": 1,
        "video": None,
        "trusted_hosts": (*serving.LOCAL_HOSTS, "faces.example"),
    }


def test_an_empty_variable_is_none_but_an_empty_token_is_not(started):
    found = started(PORT="", TOKEN="")
    assert (found["port"], found["token"]) == (5000, "")


@pytest.mark.parametrize(
    "name, text", [("PORT", "many"), ("AT_ONCE", "0"), ("ACCESS_LOG", "xml"), ("WAITING", "-1")]
)
def test_a_wrong_variable_is_named(monkeypatch, capsys, name, text):
    monkeypatch.setenv(f"FER_STUDY_{name}", text)
    with pytest.raises(SystemExit) as raised:
        main(["serve"])
    assert raised.value.code == 2
    message = capsys.readouterr().err
    assert f"FER_STUDY_{name}" in message
    assert repr(text) in message


def test_other_commands_do_not_read_the_variables(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FER_STUDY_MODEL", "/nowhere")
    assert main(["predict", str(tmp_path / "missing.jpg")]) == 2
    assert "/nowhere" not in capsys.readouterr().err


def test_the_defaults_are_those_of_the_library(started):
    found = started()
    defaults = {
        name: parameter.default
        for signature in SIGNATURES
        for name, parameter in signature.parameters.items()
    }
    for name, given in found.items():
        assert given == ([] if name == "cors_origins" else defaults[name]), name


def test_the_docs_list_every_option_with_its_variable(serve_parser, project):
    text = (project / "docs" / "serving.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `([A-Z_]+)` \| (.+) \|$", text, re.MULTILINE)
    expected = [
        (each.option_strings[-1], variable_of(each), each.help) for each in options_of(serve_parser)
    ]
    assert rows == expected
