"""The threads that process photos, and how long a refused client should wait."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving_cases import wait_until

from fer_utils.serving.work import Unavailable, Workers


def refused_after(seconds, waiting):
    """Return Retry-After of a server whose photos take this long, with a full queue."""
    workers, leave = Workers(at_once=1, waiting=waiting), threading.Event()
    now = [0.0]

    def take(_):
        now[0] += seconds

    def hold():
        with workers.admitted():
            workers.do(leave.wait, 30)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now[0])
        for _ in range(30):
            workers.do(take, None)
    with ThreadPoolExecutor(waiting + 1) as pool:
        for _ in range(waiting + 1):
            pool.submit(hold)
        wait_until(lambda: workers.working + workers.queued == waiting + 1)
        try:
            with pytest.raises(Unavailable) as raised, workers.admitted():
                pass
        finally:
            leave.set()
    workers.close()
    return raised.value.retry_after


@pytest.mark.parametrize("seconds, waiting, expected", [(0.01, 3, 1), (1.0, 15, 8), (100.0, 3, 30)])
def test_a_refused_client_waits_until_half_of_the_queue_is_gone(seconds, waiting, expected):
    assert refused_after(seconds, waiting) == expected
