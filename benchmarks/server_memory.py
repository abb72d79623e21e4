"""Measure the memory of the server under photos of many sizes, and under the largest ones.

    python benchmarks/server_memory.py [--requests 5000] [--clients 8] [--at-once 2]
                                       [--detector haar] [--yunet FILE]

Starts `fer-study serve` as a process on this machine, and ends it afterwards. The portrait is sent
in three phases, each by the same number of clients:

1. mixed sizes: from 128 to 4,600 pixels, most of them about 1,000, as JPEG, PNG or WEBP;
2. the largest: photos of every kind that need nearly all of `--max-memory-mb`;
3. mixed sizes again.

The program prints for each phase the answers, refusals and errors, the resident memory before it
and at its peak, and for the first one its growth: the median memory in the last tenth of the
requests, divided by the median in the second tenth. At the end it prints what the idle server
keeps. All memory is that of the whole process, read from /proc 20 times a second (Linux only).
"""

import argparse
import io
import os
import re
import signal
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from serve import start

from fer_utils.recognition.detectors import NAMES

_PERIOD = 0.05  # seconds between two readings of the memory
_PATIENCE = 120  # seconds for one response


@dataclass
class Watch:
    """Reads the resident memory of a process until it is told to stop."""

    process: int
    readings: list[float] = field(default_factory=list)  # MB
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopped.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stopped.wait(_PERIOD):
            self.readings.append(resident_mb(self.process))


def resident_mb(process: int) -> float:
    """The resident memory of a process, MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1e6


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def mixed(portrait: Image.Image, number: int) -> list[bytes]:
    """Photos of many sizes, the same in each run."""
    draw = np.random.default_rng(0)
    sides = np.clip(1000 * np.exp(0.7 * draw.standard_normal(number)), 128, 4600).astype(int)
    kinds = draw.choice(["JPEG", "PNG", "WEBP"], number, p=[0.8, 0.1, 0.1])
    return [
        encoded(portrait.resize((side, side)), kind)
        for side, kind in zip(sides.tolist(), kinds.tolist(), strict=True)
    ]


def largest(portrait: Image.Image) -> list[bytes]:
    """Photos that need nearly as much memory as the server's default allows.

    They are enlarged without interpolation, so that PNG stores them in less than 10 MB.
    """

    def of(width: int, height: int) -> Image.Image:
        return portrait.resize((width, height), Image.Resampling.NEAREST)

    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    return [
        encoded(of(5700, 4300), "JPEG", exif=turned),
        encoded(of(8000, 6000), "JPEG", progressive=True),
        encoded(of(7000, 6400), "PNG"),
        encoded(of(5200, 4700).convert("RGBA"), "PNG"),
        encoded(of(4300, 3900), "WEBP", quality=60),
        encoded(of(4100, 3900), "JPEG2000", quality_mode="rates", quality_layers=[40]),
    ]


def send_all(port: int, photos: list[bytes], clients: int) -> dict[int, int]:
    """Send each photo once, from this number of clients. Returns the number of each status.

    The server knows a photo's kind by its content, so all are sent as JPEG.
    """
    statuses: dict[int, int] = {}
    left, lock = iter(photos), threading.Lock()

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        while True:
            with lock:
                photo = next(left, None)
            if photo is None:
                return
            status = 503
            while status == 503:
                connection.request("POST", "/api/v1/predict", photo, {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
                with lock:
                    statuses[status] = statuses.get(status, 0) + 1
                if status == 503:
                    time.sleep(int(answer.headers["Retry-After"]))

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client) for _ in range(clients)]:
            done.result()
    return statuses


def phase(name: str, server: int, port: int, photos: list[bytes], clients: int) -> Watch:
    """Send photos and print the statuses and the memory."""
    before, began = resident_mb(server), time.perf_counter()
    with Watch(server) as watch:
        statuses = send_all(port, photos, clients)
    seconds = time.perf_counter() - began
    counts = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
    peak = max(watch.readings)
    print(
        f"{name}: {counts} in {seconds:.0f} s; {before:.0f} MB before, {peak:.0f} MB at the peak "
        f"(+{peak - before:.0f})",
        flush=True,
    )
    return watch


def growth(readings: list[float]) -> float:
    """The median of the last tenth divided by the median of the second tenth."""
    tenth = max(1, len(readings) // 10)
    return statistics.median(readings[-tenth:]) / statistics.median(readings[tenth : 2 * tenth])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5000, help="of mixed sizes; default: 5000")
    parser.add_argument("--clients", type=int, default=8, help="default: 8")
    parser.add_argument("--at-once", type=int, default=2, help="photos in parallel; default: 2")
    parser.add_argument(
        "--detector", choices=NAMES, default="haar", help="face detector; default: haar"
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file")
    given = parser.parse_args()

    from skimage import data

    portrait = Image.fromarray(data.astronaut())
    different = mixed(portrait, min(given.requests, 300))
    photos = [different[number % len(different)] for number in range(given.requests)]
    options = ["--access-log", "off", "--detector", given.detector]
    options += ["--at-once", str(given.at_once)]
    if given.yunet:
        options += ["--yunet", str(given.yunet)]
    server, port = start(options)
    try:
        send_all(port, [encoded(portrait, "JPEG")], 1)
        idle = resident_mb(server.pid)
        print(f"{os.cpu_count()} cores, {given.clients} clients; idle: {idle:.0f} MB")
        watch = phase("mixed sizes", server.pid, port, photos, given.clients)
        print(f"growth in these: {growth(watch.readings):.3f} (last tenth / second tenth)")
        phase("the largest", server.pid, port, 5 * largest(portrait), given.clients)
        again = photos[: len(photos) // 5]
        phase("mixed sizes again", server.pid, port, again, given.clients)
        time.sleep(2)
        print(f"idle at the end: {resident_mb(server.pid):.0f} MB, {idle:.0f} MB at the start")
    finally:
        server.send_signal(signal.SIGTERM)
    sys.exit(server.wait(60))


if __name__ == "__main__":
    main()
