"""The running server: its bounds, its connections, its start and its stop."""

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest
from serving_cases import ASTRONAUT, NO_FACE, PREDICT, check_problem, post, send, wait_until

from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Detection
from fer_utils.recognition.images import UnreadableImage
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving import create_app, running, serve
from fer_utils.serving.server import running_app
from fer_utils.serving.services import services_of

# --- bounds ---


class Gate(HaarDetector):
    """A detector that waits until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.entered, self.most = threading.Event(), threading.Semaphore(0), 0
        self._inside, self._counting = 0, threading.Lock()

    def detect(self, photo) -> list[Detection]:
        with self._counting:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self.entered.release()
        assert self.open.wait(60)
        with self._counting:
            self._inside -= 1
        return super().detect(photo)


def test_requests_beyond_the_queue_are_a_503_at_once_and_health_checks_pass(model_folder):
    gate = Gate()
    recognizer = Recognizer(model_folder, detector=gate)
    with running(recognizer, at_once=2, waiting=3) as url, ThreadPoolExecutor(5) as pool:
        responses = [pool.submit(send, url, ASTRONAUT) for _ in range(5)]
        try:
            wait_until(lambda: gauges(url) == (2, 3))
            for _ in range(20):  # none is admitted, and none takes a place
                with pytest.raises(urllib.error.HTTPError) as raised:
                    send(url, ASTRONAUT, timeout=10)
                assert raised.value.code == 503
                assert int(raised.value.headers["Retry-After"]) >= 1
                assert raised.value.headers["Content-Type"] == "application/problem+json"
                for path in ("/healthz", "/readyz", "/", "/docs"):
                    assert urllib.request.urlopen(url + path, timeout=10).status == 200
        finally:
            gate.open.set()
        assert [len(response.result(60)["faces"]) for response in responses] == [1] * 5
        assert gate.most == 2
        wait_until(lambda: gauges(url) == (0, 0))
        assert send(url, NO_FACE)["faces"] == []


def gauges(url):
    text = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
    return tuple(
        float(re.search(rf"^fer_study_recognitions_{name} (\S+)$", text, re.MULTILINE)[1])
        for name in ("running", "waiting")
    )


def test_a_place_is_free_again_after_an_error(recognizer):
    client = create_app(recognizer, at_once=1, waiting=0).test_client()
    for _ in range(3):
        check_problem(post(client, b"junk"), 400, "expected")
        check_problem(client.post(PREDICT, data=b"x", content_type="text/plain"), 415, "text/plain")
    assert post(client, NO_FACE).status_code == 200


def test_a_photo_that_cannot_be_read_does_not_stay_in_memory(client):
    workers = services_of(client.application).workers

    class Photo:
        pass

    def fail(data):
        raise UnreadableImage("no")

    gc.disable()  # otherwise the collector would free objects in reference cycles
    try:
        photo = Photo()
        gone = weakref.ref(photo)
        with pytest.raises(UnreadableImage):
            workers.do(fail, photo)
        del photo
        workers.do(len, b"")  # the thread has released its previous job
        assert gone() is None
    finally:
        gc.enable()


# --- start and stop, and connections ---


def refused(url):
    host, port = url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_running_serves_and_ends(recognizer):
    with running(recognizer) as url:
        assert url.startswith("http://127.0.0.1:")
        assert len(send(url, ASTRONAUT)["faces"]) == 1
    refused(url)
    assert not [thread for thread in threading.enumerate() if thread.name == "fer-study-serve"]


def test_running_ends_when_its_block_fails(recognizer):
    with pytest.raises(KeyError), running(recognizer) as url:
        raise KeyError
    refused(url)


def test_many_clients_at_once_get_their_own_results(recognizer):
    photos = [NO_FACE, ASTRONAUT]
    with running(recognizer) as url, ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda n: send(url, photos[n % 2]), range(36)))
    assert [len(response["faces"]) for response in responses] == [0, 1] * 18
    assert all(response == responses[n % 2] for n, response in enumerate(responses))


# The application refuses the first size, and waitress the second.
@pytest.mark.parametrize("size", [250_000, 3_000_000])
def test_a_client_that_still_sends_too_much_receives_the_reason(recognizer, size):
    with running(recognizer, max_upload_bytes=200_000) as url:
        with pytest.raises(urllib.error.HTTPError) as raised:
            send(url, b"\0" * size)
        assert raised.value.code == 413
        assert raised.value.headers["Content-Type"] == "application/problem+json"
        problem = json.load(raised.value)
        assert problem["status"] == 413
        assert "200,000 bytes" in problem["detail"]
        assert send(url, NO_FACE)["faces"] == []


def test_an_upload_of_another_site_is_refused_before_it_arrives(recognizer):
    with running(recognizer) as url, connect(url) as client:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        head += "Sec-Fetch-Site: cross-site\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
        client.sendall(head.encode())
        assert client.makefile("rb").readline() == b"HTTP/1.1 403 Forbidden\r\n"


def test_a_length_that_is_no_number_python_reads_is_a_400(recognizer, caplog):
    with running(recognizer) as url, connect(url) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")
        assert re.match(rb"HTTP/1.[01] 400 ", client.makefile("rb").readline())
    assert "Traceback" not in caplog.text


def test_a_malformed_request_is_a_problem_too(recognizer):
    with running(recognizer) as url:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.putrequest("GET", "/")
        connection.putheader("Content-Length", "many")
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 400
        assert response.headers["Content-Type"] == "application/problem+json"
        assert json.load(response)["title"] == "Bad Request"


def test_a_request_in_progress_is_finished(model_folder):
    entered, go_on = threading.Event(), threading.Event()

    class Slow(HaarDetector):
        def detect(self, photo) -> list[Detection]:
            entered.set()
            assert go_on.wait(30)
            return super().detect(photo)

    with ThreadPoolExecutor(1) as pool:
        with running(Recognizer(model_folder, detector=Slow())) as url:
            response = pool.submit(send, url, ASTRONAUT)
            assert entered.wait(30)
            threading.Timer(0.3, go_on.set).start()
        assert len(response.result(30)["faces"]) == 1


def test_a_request_half_sent_when_the_server_stops_is_finished(recognizer):
    with ThreadPoolExecutor(1) as pool:
        with running(recognizer) as url:
            host, port = url.removeprefix("http://").split(":")
            client = socket.create_connection((host, int(port)), timeout=30)
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
            client.sendall(f"{head}Content-Length: {len(NO_FACE)}\r\n\r\n".encode() + NO_FACE[:50])
            idle = socket.create_connection((host, int(port)), timeout=30)  # delays nothing
            assert urllib.request.urlopen(f"{url}/healthz", timeout=30).status == 200
            pool.submit(lambda: (time.sleep(0.3), client.sendall(NO_FACE[50:])))
        with client, idle, client.makefile("rb") as response:
            assert response.readline() == b"HTTP/1.1 200 OK\r\n"
            assert response.read().endswith(b'"faces":[]}]}\n')
            assert idle.recv(1) == b""


@pytest.mark.parametrize("sent", [b"Content-Len", b"Content-Length: 500\r\n\r\nsome of it"])
def test_a_request_that_comes_too_slowly_is_a_408(recognizer, monkeypatch, sent):
    monkeypatch.setattr("fer_utils.serving.connections._PATIENCE", 0.0)
    with running(recognizer) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"POST /api/v1/predict HTTP/1.1\r\nContent-Type: image/png\r\n" + sent)
            response = client.makefile("rb").read()
        assert re.match(rb"HTTP/1.[01] 408 Request Timeout\r\n", response)
        assert b"application/problem+json" in response


def test_a_response_that_the_client_does_not_take_is_given_up(recognizer, monkeypatch):
    monkeypatch.setattr("fer_utils.serving.connections._STALLED", 0.5)
    app = create_app(recognizer)
    left = threading.Event()

    def endless():
        try:
            while True:
                yield b"x" * 100_000
        finally:
            left.set()

    app.add_url_rule("/endless", view_func=lambda: app.response_class(endless()))
    with running_app(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert left.wait(30)


def connect(url, **options):
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30, **options)


def test_clients_that_do_not_read_hold_no_thread(recognizer):
    # One request and one that waits: 2 threads, and 4 to spare.
    with running(recognizer, at_once=1, waiting=1) as url, ExitStack() as clients:
        for _ in range(12):
            client = clients.enter_context(connect(url))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /static/page.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        time.sleep(0.5)  # all responses that fit are in the buffers
        # Waitress itself answers only after the first client is given up, 30 seconds later.
        assert urllib.request.urlopen(f"{url}/healthz", timeout=20).status == 200
        assert send(url, ASTRONAUT, timeout=20)["faces"]


def test_a_client_that_reads_late_receives_all_responses_in_order(recognizer):
    paths = ("/static/page.css", "/healthz", "/openapi.json") * 40
    with running(recognizer) as url, connect(url) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        requests = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in paths]
        client.sendall("".join(requests).encode())
        time.sleep(0.3)
        stream, kinds = client.makefile("rb"), []
        for _ in paths:
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            head = {}
            while (line := stream.readline()) != b"\r\n":
                name, _, value = line.decode().partition(": ")
                head[name.lower()] = value.strip()
            assert len(stream.read(int(head["content-length"]))) == int(head["content-length"])
            kinds.append(head["content-type"].partition(";")[0])
    assert kinds == ["text/css", "application/json", "application/json"] * 40


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\nsome"])
def test_connections_that_wait_for_their_client_make_room(recognizer, monkeypatch, sent):
    monkeypatch.setattr("fer_utils.serving.server._CONNECTIONS", 24)
    monkeypatch.setattr("fer_utils.serving.server._SPARE_CONNECTIONS", 8)
    with running(recognizer) as url, ExitStack() as clients:
        first = clients.enter_context(connect(url))
        first.sendall(sent)
        for _ in range(40):
            clients.enter_context(connect(url)).sendall(sent)
        # Without room, the next client waits for the idle time of 60 seconds.
        assert urllib.request.urlopen(f"{url}/healthz", timeout=15).status == 200
        assert first.recv(1) == b""  # closed, because it has waited longest


def test_a_request_in_progress_keeps_its_place(model_folder, monkeypatch):
    monkeypatch.setattr("fer_utils.serving.server._CONNECTIONS", 24)
    monkeypatch.setattr("fer_utils.serving.server._SPARE_CONNECTIONS", 8)
    gate = Gate()
    with (
        running(Recognizer(model_folder, detector=gate)) as url,
        ThreadPoolExecutor(1) as pool,
        ExitStack() as clients,
    ):
        response = pool.submit(send, url, ASTRONAUT)
        assert gate.entered.acquire(timeout=30)
        for _ in range(40):
            clients.enter_context(connect(url))
        assert urllib.request.urlopen(f"{url}/healthz", timeout=15).status == 200
        gate.open.set()
        assert len(response.result(60)["faces"]) == 1


def test_the_memory_of_uploads_is_bounded(recognizer):
    # Three bodies of 100,000 bytes fit: those of two admitted requests, and one more.
    with running(recognizer, at_once=1, waiting=1, max_upload_bytes=35_000) as url:
        host, port = url.removeprefix("http://").split(":")
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
        head += "Content-Length: 100000\r\n\r\n"
        clients = [socket.create_connection((host, int(port)), timeout=30) for _ in range(4)]
        for client in clients:
            client.sendall(head.encode())
            time.sleep(0.2)  # the server receives them in this order
        clients[3].sendall(b"\0" * 100_000)
        response = clients[3].makefile("rb").read()
        assert response.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After: 1\r\n" in response
        assert urllib.request.urlopen(f"{url}/healthz", timeout=30).status == 200
        clients[0].close()
        wait_until(lambda: try_upload(url) != 503)
        for client in clients:
            client.close()


def try_upload(url):
    try:
        send(url, b"\0" * 90_000)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_client_that_expects_100_continue_is_refused_at_once(recognizer, monkeypatch):
    # The response must not come from the time limit.
    monkeypatch.setattr("fer_utils.serving.connections._PATIENCE", 600.0)
    with running(recognizer, max_upload_bytes=1000) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
            client.sendall(
                f"{head}Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert client.makefile("rb").readline() == b"HTTP/1.1 413 Request Entity Too Large\r\n"


def test_requests_that_waitress_refuses_have_the_headers_and_are_counted(recognizer):
    with running(recognizer) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"NONSENSE\r\n\r\n")
            response = client.makefile("rb").read().decode()
        assert "Content-Security-Policy: default-src 'none'" in response
        assert "Server:" not in response
        text = urllib.request.urlopen(f"{url}/metrics", timeout=30).read().decode()
        assert 'fer_study_requests_total{route="none",status="400"} 1.0' in text


def test_running_accepts_only_names_of_this_machine(recognizer):
    with running(recognizer) as url:
        request = urllib.request.Request(f"{url}/healthz", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=30)
        assert raised.value.code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_an_address_that_is_not_free_is_named_in_the_error(recognizer, host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StudyError, match=f"{host}:{port}.*--port"):
            serve(recognizer, host=host, port=port)


def test_an_invalid_port_is_named_in_the_error(recognizer):
    with pytest.raises(StudyError, match="99999"):
        serve(recognizer, port=99_999)


def test_serve_without_a_model_leaves_the_port_free(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_utils.recognition.recognizer.RELEASED", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    for _ in range(2):
        with pytest.raises(StudyError, match=re.escape(str(tmp_path))):
            serve(port=port)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_server_cleanly(model_folder, number):
    code = (
        "from fer_utils.recognition.recognizer import Recognizer\n"
        "from fer_utils.serving import serve\n"
        f"serve(Recognizer({str(model_folder)!r}), port=0)"
    )
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        try:
            line = server.stdout.readline()
            assert "tiny network" in line, server.stderr.read()
            url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
            assert send(url, NO_FACE)["faces"] == []
            server.send_signal(number)
            assert server.wait(60) == 0
            assert server.stdout.read() == "Stopped.\n"
            assert "Traceback" not in server.stderr.read()
            refused(url)
        finally:
            if server.poll() is None:
                server.kill()
