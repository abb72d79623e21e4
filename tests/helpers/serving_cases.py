"""Requests to the server, and what its answers must be, shared by its tests."""

import io
import json
import time

import cv2
import numpy as np
from prometheus_client.parser import text_string_to_metric_families


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def write_video(path, frames=12, rate=24, size=(160, 120)):
    """A clip whose n-th frame is as bright as 10 n (modulo 250), so that a frame tells which it is."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * number % 250, np.uint8))
    writer.release()
    return path


PREDICT = "/api/v1/predict"


def check_problem(answer, status, detail):
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    problem = json.loads(answer.data)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["title"]
    assert detail in problem["detail"]


def metrics(client, **options):
    """Each sample's value, by its name with its labels."""
    answer = client.get("/metrics", **options)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    families = text_string_to_metric_families(answer.get_data(as_text=True))
    return {
        sample.name
        + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def wait_until(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
