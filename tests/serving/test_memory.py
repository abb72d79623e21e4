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


def test_only_photos_whose_memory_fits_together_are_in_work_at_once():
    memory, entered, leave = Memory(100), [], threading.Event()

    def work(needed):
        with memory.holding(needed):
            entered.append(needed)
            assert leave.wait(30)

    with ThreadPoolExecutor(3) as pool:
        for needed in (60, 70, 30):
            pool.submit(work, needed)
        wait_until(lambda: sorted(entered) in ([30, 60], [30, 70]))
        leave.set()
    assert sorted(entered) == [30, 60, 70]


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
