"""The examples in deploy/: the Dockerfile's steps, the unit of systemd, nginx before the server."""

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from serving_cases import ASTRONAUT, PREDICT, wait_until

from fer_utils.cli.environment import options_of, variable_of
from fer_utils.cli.parser import make_parser
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.yunet_file import yunet_path
from fer_utils.serving import create_app
from fer_utils.serving.on_device import RUNTIME_FILES
from fer_utils.serving.server import running_app

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"


@pytest.fixture(scope="module")
def recognizer(model_folder):
    return Recognizer(model_folder)


@pytest.fixture(scope="module")
def variables():
    """The server's environment variables, and their options."""
    [commands] = [each for each in make_parser()._actions if isinstance(each.choices, dict)]
    return {variable_of(each): each for each in options_of(commands.choices["serve"])}


# --- Docker ---


@pytest.fixture(scope="module")
def steps():
    """The Dockerfile's instructions: pairs of a name and its words."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name]


def words(steps, name):
    return [shlex.split(rest) for each, rest in steps if each == name]


def test_the_image_copies_files_that_exist(steps):
    copied = [each for each in words(steps, "COPY") if not each[0].startswith("--from")]
    sources = [source for *sources, _ in copied for source in sources]
    assert all((PROJECT / source).exists() for source in sources)
    # Setuptools reads the last two of these where pyproject.toml names them.
    assert {"pyproject.toml", "requirements.lock", "fer_utils", "README.md"} <= set(sources)


def test_the_image_installs_the_locked_server(steps):
    [install] = [rest for name, rest in steps if name == "RUN" and "--no-build-isolation" in rest]
    assert all(
        "--constraint requirements.lock" in each for each in re.findall("pip [^&]+", install)
    )
    [extra] = re.findall(r'"\.\[(\w+)\]"', install)
    about = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert extra in about["project"]["optional-dependencies"]


def test_the_image_uses_a_python_that_the_project_supports(steps):
    bases = [base for base, *_ in words(steps, "FROM") if base.startswith("python")]
    for base in bases:
        minor = int(re.fullmatch(r"python:3\.(\d+)-slim", base)[1])
        assert 11 <= minor < 14
    assert len(bases) == 2


def test_the_image_contains_yunet_where_the_server_looks(steps, monkeypatch):
    [fetch] = [shlex.split(rest) for name, rest in steps if name == "RUN" and "yunet" in rest]
    variable, *command = fetch
    assert command == ["fer-study", "fetch-yunet"]
    make_parser().parse_args(command[1:])  # an unknown command would be an error
    assert variable in [each for given in words(steps, "ENV") for each in given]
    name, folder = variable.split("=")
    assert ["--from=build", folder, folder] in words(steps, "COPY")
    monkeypatch.setenv(name, folder)
    assert yunet_path().is_relative_to(folder)


def test_the_image_contains_what_the_page_needs_to_answer_on_the_device(steps, variables):
    [(_, made, folder)] = [each for each in words(steps, "COPY") if each[0] == "--from=web"]
    variable, value = next(
        each.split("=")
        for given in words(steps, "ENV")
        for each in given
        if each.endswith(f"={folder}")
    )
    assert (variables[variable].dest, value) == ("onnxruntime_web", "/opt/onnxruntime-web")
    [run] = [rest for name, rest in steps if name == "RUN" and "npm" in rest]
    [copied] = re.findall(r"for file in ([^;]+);", run)
    assert tuple(copied.split()) == RUNTIME_FILES
    assert Path(made).name in run.split()


@pytest.mark.slow
def test_the_images_step_gets_onnxruntime_web(steps, tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PROJECT / "web" / name, tmp_path)
    [run] = [rest for name, rest in steps if name == "RUN" and "npm" in rest]
    made = subprocess.run(["sh", "-c", run], cwd=tmp_path, capture_output=True, text=True)
    if "npm error network" in made.stderr or "ENOTFOUND" in made.stderr:
        pytest.skip(f"npm's registry cannot be reached: {made.stderr[-200:]}")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "onnxruntime-web"
    assert {each.name for each in folder.iterdir()} == set(RUNTIME_FILES)


def test_the_image_starts_the_server_as_another_user(steps, variables, monkeypatch):
    assert words(steps, "USER") == [["10001"]]
    for name, value in (each.split("=", 1) for given in words(steps, "ENV") for each in given):
        if name.startswith("FER_STUDY_"):
            assert name in variables
            monkeypatch.setenv(name, value)
    command = json.loads(next(rest for name, rest in steps if name == "CMD"))
    given = make_parser().parse_args(command[1:])
    assert (given.host, given.proxies, given.access_log) == ("0.0.0.0", 1, "json")
    assert [[str(given.port)]] == words(steps, "EXPOSE")


def test_the_images_health_check_tells_a_server_from_none(steps, recognizer):
    [check] = [rest for name, rest in steps if name == "HEALTHCHECK"]
    command = json.loads(check.partition("CMD ")[2])
    with running_app(create_app(recognizer)) as url:
        code = command[2].replace("http://127.0.0.1:5000", url)
        assert code != command[2]
        alive = subprocess.run([sys.executable, "-c", code], capture_output=True)
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert (alive.returncode, dead.returncode) == (0, 1), alive.stderr


# --- systemd ---


def test_systemd_accepts_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze is installed")
    text = (DEPLOY / "fer-study.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/fer-study/bin/fer-study serve\n" in text
    unit = tmp_path / "fer-study.service"
    # systemd looks for the program, which is not installed there.
    unit.write_text(text.replace("/opt/fer-study/bin/fer-study", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_names_variables_of_the_server(variables):
    text = (DEPLOY / "fer-study.service").read_text(encoding="utf-8")
    named = set(re.findall(r"FER_STUDY_\w+", text))
    assert named
    assert named <= set(variables)


# --- nginx ---


@pytest.fixture(scope="module")
def behind_nginx(recognizer, tmp_path_factory):
    """The address of a server behind nginx with the example's settings, and a TLS context."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    certificate = ["-subj", "/CN=faces.example", "-addext", "subjectAltName=DNS:faces.example"]
    files = ["-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *certificate, *files],
        check=True,
        capture_output=True,
    )
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    app = create_app(recognizer, proxies=1, trusted_hosts=["faces.example"])
    with running_app(app) as url:
        text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
        text = text.replace("/etc/ssl/faces.example", str(folder))
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        text = text.replace("127.0.0.1:5000", url.removeprefix("http://"))
        user = "" if os.geteuid() else "user root; "  # another one cannot read the folder
        kept = "".join(
            f"{name}_temp_path {folder / name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"{user}daemon off; pid {folder / 'pid'}; error_log stderr; events {{}}\n"
            f"http {{ access_log off; {kept}\n{text}\n}}\n"
        )
        command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        with subprocess.Popen(command) as process:
            try:
                wait_until(lambda: listens(port))
                context = ssl.create_default_context(cafile=folder / "fullchain.pem")
                context.check_hostname = False  # the address is asked for, not the name
                yield f"https://127.0.0.1:{port}", context
            finally:
                process.terminate()


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(behind_nginx, path, data=None, **headers):
    url, context = behind_nginx
    headers = {"Host": "faces.example", **headers}
    request = urllib.request.Request(url + path, data, headers)
    return urllib.request.urlopen(request, context=context, timeout=30)


def test_behind_nginx_photos_are_answered(behind_nginx):
    sent = {"Content-Type": "image/jpeg", "Origin": "https://faces.example"}
    with ask(behind_nginx, PREDICT, ASTRONAUT, **sent) as response:
        assert len(json.load(response)["images"][0]["faces"]) == 1
        assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])  # nginx's own


def test_behind_nginx_the_docs_name_the_public_address(behind_nginx):
    forged = {"X-Forwarded-Port": "81", "X-Forwarded-Prefix": "/x", "X-Forwarded-Host": "evil"}
    with ask(behind_nginx, "/docs", **forged) as response:
        page = response.read().decode()
    named = set(re.findall(r"https?://[^ ]+(?=/api/v1/predict)", page))
    assert named == {"https://faces.example"}


def test_behind_nginx_the_metrics_are_not_public(behind_nginx):
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(behind_nginx, "/metrics")
    assert raised.value.code == 404
