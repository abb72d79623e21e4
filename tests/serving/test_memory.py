"""The memory of photos in work: its bounds, and that it is given back."""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from serving_cases import ASTRONAUT, NO_FACE, check_problem, encoded, post, send, wait_until

from fer_utils.recognition.images import memory_needed
from fer_utils.serving import create_app
from fer_utils.serving.memory import Memory

LARGE = encoded(Image.new("RGB", (700, 500), "teal"))


def test_a_photo_that_needs_too_much_memory_is_a_413(recognizer):
    client = create_app(recognizer, max_memory=memory_needed(LARGE)).test_client()
    assert post(client, LARGE).status_code == 200
    client = create_app(recognizer, max_memory=memory_needed(LARGE) - 1).test_client()
    check_problem(post(client, LARGE), 413, "memory")
    assert post(client, NO_FACE).status_code == 200


class Work:
    """Threads that hold memory until they are told to leave, in the order in which they enter."""

    def __init__(self, most):
        self.memory, self.entered, self.leave = Memory(most), [], {}
        self._pool = ThreadPoolExecutor(8)

    def begin(self, needed):
        self.leave[needed] = threading.Event()
        self._pool.submit(self._hold, needed)

    def _hold(self, needed):
        with self.memory.holding(needed):
            self.entered.append(needed)
            assert self.leave[needed].wait(30)

    def ask(self, needed):
        """Begin in a thread that has to wait."""
        waiting = len(self.memory._waiting)
        self.begin(needed)
        wait_until(lambda: len(self.memory._waiting) == waiting + 1)


def test_only_photos_whose_memory_fits_together_are_in_work_at_once():
    work = Work(100)
    work.begin(60)
    work.begin(40)
    wait_until(lambda: sorted(work.entered) == [40, 60])
    work.ask(50)
    work.leave[40].set()
    wait_until(lambda: work.memory._held == 60)
    assert len(work.entered) == 2  # 60 and 50 are too many
    work.leave[60].set()
    wait_until(lambda: len(work.entered) == 3)
    work.leave[50].set()


def test_a_large_photo_gets_its_turn_before_later_small_ones():
    work = Work(100)
    work.begin(60)
    wait_until(lambda: work.entered == [60])
    work.ask(90)
    work.ask(10)  # would fit beside the first
    assert work.entered == [60]
    work.leave[60].set()
    wait_until(lambda: len(work.entered) == 3)
    assert sorted(work.entered[1:]) == [10, 90]
    for event in work.leave.values():
        event.set()


def test_memory_is_free_again_after_an_error():
    memory = Memory(100)
    for _ in range(2):
        with pytest.raises(KeyError), memory.holding(100):
            raise KeyError
    with memory.holding(1000):  # more than all of it, alone
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_gives_the_memory_of_large_photos_back(model_folder):
    code = (
        "from fer_utils.recognition.recognizer import Recognizer\n"
        "from fer_utils.serving import serve\n"
        f"serve(Recognizer({str(model_folder)!r}), port=0)"
    )
    large = encoded(Image.new("RGB", (6000, 4000), "teal"), compress_level=1)
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            url = re.search(r"http://\S+", server.stdout.readline())[0]
            send(url, ASTRONAUT)
            before = resident_mb(server.pid)
            for _ in range(3):
                assert send(url, large)["width"] == 6000
            # The decoded photo has 72 MB, and 240 MB are in use at the peak.
            assert resident_mb(server.pid) - before < 60
        finally:
            server.kill()


def resident_mb(process):
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
