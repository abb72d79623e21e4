"""The access log and the request ids."""

import io
import json
import re
import socket
import urllib.request

import pytest
from serving_cases import ASTRONAUT, PREDICT, post, send

from fer_utils.emotions import EMOTIONS
from fer_utils.serving import create_app, running
from fer_utils.serving.journal import LOGGER


@pytest.fixture
def lines(caplog):
    """The lines of the access log."""
    with caplog.at_level("INFO", LOGGER.name):
        yield lambda: [each.getMessage() for each in caplog.records if each.name == LOGGER.name]


def test_a_plain_line_has_what_an_operator_needs(recognizer, lines):
    response = post(create_app(recognizer, access_log="plain").test_client(), ASTRONAUT)
    [line] = lines()
    time, client, method, path, status, size, seconds, request_id = line.split(" ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", time)
    assert (client, method, path, status) == ("127.0.0.1", "POST", PREDICT, "200")
    assert int(size) == len(response.data)
    assert float(seconds) > 0
    assert request_id == response.headers["X-Request-ID"]


def test_a_json_line_has_the_same(recognizer, lines):
    response = create_app(recognizer, access_log="json").test_client().get("/nothing?secret=1")
    entry = json.loads(lines()[0])
    assert list(entry) == ["time", "client", "method", "path", "status", "bytes", "seconds", "id"]
    assert (entry["path"], entry["status"]) == ("/nothing", 404)
    assert entry["id"] == response.headers["X-Request-ID"]


def test_the_log_is_off_in_the_library(client, lines):
    client.get("/healthz")
    assert lines() == []


@pytest.mark.parametrize("form", ["plain", "json"])
def test_nothing_of_a_photo_is_logged(recognizer, lines, form):
    client = create_app(recognizer, access_log=form).test_client()
    post(client, ASTRONAUT, b"junk")
    post(client, b"junk")
    client.post(PREDICT, data={"image": (io.BytesIO(ASTRONAUT), "portrait-of-me.jpg")})
    text = "\n".join(lines())
    assert len(lines()) == 3
    assert not any(word in text for word in (*EMOTIONS, "box", "portrait-of-me", "junk"))


def test_a_path_cannot_forge_a_line(recognizer, lines):
    client = create_app(recognizer, access_log="plain").test_client()
    client.get("/a%0A2026-01-01 127.0.0.1 GET /forged" + "x" * 5000)
    [line] = lines()
    assert "\n" not in line
    assert len(line.split(" ")) == 8
    assert len(line) < 800


def test_an_id_of_a_proxy_is_kept_and_another_text_is_not(client):
    assert client.get("/", headers={"X-Request-ID": "a-1.B_2"}).headers["X-Request-ID"] == "a-1.B_2"
    made = set()
    for bad in ("", "two words", "x" * 65, "<b>"):
        made.add(client.get("/", headers={"X-Request-ID": bad}).headers["X-Request-ID"])
    assert len(made) == 4
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in made)


def test_a_request_that_waitress_refuses_is_logged(recognizer, lines):
    with running(recognizer, access_log="plain") as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"NONSENSE\r\n\r\n")
            response = client.makefile("rb").read().decode()
        assert send(url, ASTRONAUT)
        assert urllib.request.urlopen(f"{url}/healthz", timeout=30).status == 200
    refused = lines()[0].split(" ")
    assert refused[2:5] == ["-", "-", "400"]
    assert f"x-request-id: {refused[7]}" in response.lower()
