"""Requests to the server and checks of its responses, shared by its tests."""

import io
import json
import time
import urllib.request

import cv2
import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from skimage import data

PREDICT = "/api/v1/predict"


def encoded(image, format="PNG", **options):
    """Return the bytes of a PIL image as a file of this format."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


ASTRONAUT = encoded(Image.fromarray(data.astronaut()), "JPEG")
NO_FACE = encoded(Image.new("RGB", (60, 40), "teal"))


def write_video(path, frames=12, rate=24, size=(160, 120)):
    """Write a clip whose n-th frame has brightness 10 n (modulo 250), which identifies it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * number % 250, np.uint8))
    writer.release()
    return path


def post(client, *photos, headers=None):
    """Upload photos with Flask's test client."""
    files = [(io.BytesIO(photo), f"{number}.jpg") for number, photo in enumerate(photos)]
    return client.post(PREDICT, data={"image": files}, headers=headers)


def send(url, photo, timeout=60):
    """Upload a photo to a running server and return its part of the response."""
    boundary = "edge-of-part"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(f"{url}{PREDICT}", body, headers)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        [image] = json.load(response)["images"]
        return image


def only_image(response):
    """Return the part of the one photo in a response of Flask's test client."""
    assert response.status_code == 200, response.text
    [image] = response.json["images"]
    return image


def check_problem(response, status, detail):
    """Check that the response is a problem with this status and this text in its detail."""
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    problem = json.loads(response.data)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["title"]
    assert detail in problem["detail"]


def metrics(client, **options):
    """Return the value of each sample. Its key is the name followed by the labels."""
    response = client.get("/metrics", **options)
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain")
    values = {}
    for family in text_string_to_metric_families(response.get_data(as_text=True)):
        for sample in family.samples:
            labels = [value for _, value in sorted(sample.labels.items())]
            values[" ".join([sample.name, *labels])] = sample.value
    return values


def wait_until(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
