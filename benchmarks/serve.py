"""Put the server under load from 1, 8 and 64 clients at once.

    python benchmarks/serve.py [--model FOLDER] [--photo FILE] [--requests 5000] [--quick]
                               [--processes 1] [--detector haar] [--yunet FILE]

Starts `fer-study serve` as a process on this machine, and ends it afterwards. With --processes,
there are several, and the clients are divided evenly among them, as by a proxy before them. Each
client sends the photo over one connection until its group has sent its share of the requests. After
a response 503 it waits for the time in Retry-After. The program prints for each number of clients:
responses per second, their latency (50th, 95th and 99th percentile), refusals (503), and errors
(any other response). At the end it prints the resident memory of all servers after a warm-up and
after all requests, and the processor time of an answer. Clients and server share the processor.
"""

import argparse
import http.client
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from fer_utils.recognition.detectors import NAMES

CLIENTS = {1: 0.2, 8: 0.4, 64: 0.4}
"""Numbers of clients, and the share of the requests that each group sends."""

_PATIENCE = 60  # seconds for one response


@dataclass
class Load:
    """The responses to a group of clients. Several threads write to it."""

    wanted: int
    deadline: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Reserve a request. Returns False if none is left, or the time is over."""
        with self._lock:
            if self._taken == self.wanted or time.monotonic() > self.deadline:
                return False
            self._taken += 1
            return True


def portrait() -> bytes:
    """scikit-image's public-domain portrait as JPEG, 512 x 512 pixels with a face of 100 pixels."""
    from skimage import data

    file = io.BytesIO()
    Image.fromarray(data.astronaut()).save(file, "JPEG", quality=90)
    return file.getvalue()


def send_all(port: int, photo: bytes, load: Load) -> None:
    """Send requests as one client until none is left."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    while load.take():
        while time.monotonic() < load.deadline:
            began = time.perf_counter()
            try:
                connection.request("POST", "/api/v1/predict", photo, {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as problem:
                load.errors.append(type(problem).__name__)
                connection.close()
                break
            if answer.status == 503:
                load.refused += 1
                time.sleep(int(answer.headers["Retry-After"]))
                continue
            if answer.status == 200 and body.startswith(b'{"images":[{"width"'):
                load.latencies.append(time.perf_counter() - began)
            else:
                load.errors.append(str(answer.status))
            break
    connection.close()


def run(
    ports: list[int], photo: bytes, clients: int, requests: int, limit: float
) -> tuple[Load, float]:
    """Send requests from this number of clients. Returns their load and the seconds it took."""
    load = Load(requests, time.monotonic() + limit)
    threads = [
        threading.Thread(target=send_all, args=(ports[number % len(ports)], photo, load))
        for number in range(clients)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load, time.perf_counter() - began


def metric(ports: list[int], name: str) -> float:
    """The sum of a metric over the servers."""
    total = 0.0
    for port in ports:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        total += float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])
    return total


def memory_mb(ports: list[int]) -> float:
    """The servers' resident memory, MB."""
    return metric(ports, "process_resident_memory_bytes") / 1e6


def start(options: list[str]) -> tuple[subprocess.Popen, int]:
    """Start a server with these options. Returns its process and port."""
    command = [sys.executable, "-m", "fer_utils.cli", "serve", "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
    if found is None:
        server.kill()
        sys.exit(f"serve: expected its address, found {line!r}")
    return server, int(found[1])


def measure(ports: list[int], photo: bytes, requests: int, limit: float) -> bool:
    """Run all groups of clients and print the results. Returns True if there were no errors."""
    run(ports, photo, max(CLIENTS), max(2 * max(CLIENTS), requests // 20), limit)
    before, used = memory_mb(ports), metric(ports, "process_cpu_seconds_total")
    print(
        f"{len(ports)} processes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the "
        f"start, a photo of {len(photo):,} bytes"
    )
    print("clients  answered  a second   p50 ms   p95 ms   p99 ms    503  errors")
    answered, errors = 0, []
    for clients, share in CLIENTS.items():
        load, seconds = run(ports, photo, clients, round(share * requests), limit)
        p50, p95, p99 = 1000 * np.percentile(load.latencies or [np.nan], (50, 95, 99))
        rate = len(load.latencies) / seconds
        print(
            f"{clients:7} {len(load.latencies):9,} {rate:9.1f} {p50:8.1f} {p95:8.1f} {p99:8.1f} "
            f"{load.refused:6,} {len(load.errors):7,}"
        )
        answered += len(load.latencies)
        errors += load.errors
    after, used = memory_mb(ports), metric(ports, "process_cpu_seconds_total") - used
    print(
        f"resident memory: {before:.1f} MB after the warm-up, {after:.1f} MB after {answered:,} "
        f"requests more, ratio {after / before:.3f} (after / before)"
    )
    # Refusals are in it, too; they take little.
    print(f"processor time of the servers: {1000 * used / max(1, answered):.1f} ms an answer")
    if errors:
        print("errors:", ", ".join(sorted(set(errors))))
    return not errors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, help="folder of an exported model; default: the released model"
    )
    parser.add_argument(
        "--photo", type=Path, help="photo to send; default: a portrait of 512 x 512 pixels"
    )
    parser.add_argument(
        "--requests", type=int, default=5000, help="requests after the warm-up; default: 5000"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=600,
        help="longest time of one group of clients, in seconds; default: 600",
    )
    parser.add_argument(
        "--quick", action="store_true", help="only 200 requests, to test that the server works"
    )
    parser.add_argument("--processes", type=int, default=1, help="servers; default: 1")
    parser.add_argument(
        "--detector", choices=NAMES, default="haar", help="face detector; default: haar"
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file")
    given = parser.parse_args()
    if given.processes < 1:
        parser.error(f"--processes: expected at least 1, found {given.processes}")
    photo = given.photo.read_bytes() if given.photo else portrait()
    options = ["--detector", given.detector]
    for name in ("model", "yunet"):
        if value := getattr(given, name):
            options += [f"--{name}", str(value)]
    servers = []
    try:
        for _ in range(given.processes):
            servers.append(start(options))
        ports = [port for _, port in servers]
        good = measure(ports, photo, 200 if given.quick else given.requests, given.limit)
    finally:
        for server, _ in servers:
            server.send_signal(signal.SIGTERM)
        codes = [server.wait(60) for server, _ in servers]
    if any(codes) or not good:
        sys.exit(1)


if __name__ == "__main__":
    main()
