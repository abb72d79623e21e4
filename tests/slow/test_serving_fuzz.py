"""The server and unusual input: requests drawn from its own document, and damaged images."""

import functools
import io
import os
import re
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from serving_cases import PREDICT, encoded, metrics
from skimage import data

from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving import create_app, running

pytestmark = pytest.mark.slow

PORTRAIT = Image.fromarray(data.astronaut()[:256, 96:352]).resize((160, 160))
GREY = np.asarray(PORTRAIT.convert("L"))

# --- schemathesis ---

# OpenAPI cannot express "a file with an image", so all bytes would be valid, and the server refuses
# most of them. The hook therefore draws from a few images. The rest of this file sends other bytes.
HOOKS = """
import base64
import pathlib
import schemathesis
from hypothesis import strategies as st

images = [path.read_bytes() for path in sorted(pathlib.Path("images").iterdir())]
schemathesis.openapi.format("binary", st.sampled_from(images))
texts = [base64.b64encode(image).decode() for image in images]
schemathesis.openapi.format("byte", st.sampled_from(texts))
"""


@pytest.mark.parametrize("token", [None, "a-token"])
def test_responses_agree_with_the_document(model_folder, tmp_path, token):
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "images").mkdir()
    images = (encoded(PORTRAIT, "JPEG"), encoded(Image.new("1", (1, 1))), encoded(PORTRAIT, "GIF"))
    for number, image in enumerate(images):
        (tmp_path / "images" / str(number)).write_bytes(image)
    # The plug-in for pytest does not run under pytest 9.1 and later, so this is the command.
    command = [
        sys.executable,
        "-c",
        "from schemathesis.cli import schemathesis; schemathesis()",
        "run",
    ]
    command += ["--checks", "all", "--max-examples", "40", "--seed", "2013", "--no-color"]
    command += ["--request-timeout", "60"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)}
    with running(Recognizer(model_folder), token=token) as url:
        done = subprocess.run(
            [*command, f"{url}/openapi.json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    # All operations apart from the document itself, which the command has read.
    assert re.search(r"Tested: 6\b", done.stdout), done.stdout
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 50


# --- damaged images ---


def png(width, height, depth=8, colour=2, rows=b"\0" * 100):
    """Return a PNG whose header has this size."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def bmp(width, height, bits=24):
    body = b"\0" * 64
    return (
        b"BM"
        + struct.pack(
            "<IHHIIiiHHIIiiII", 54 + 64, 0, 0, 54, 40, width, height, 1, bits, 0, 0, 1, 1, 0, 0
        )
        + body
    )


def gif(width, height):
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b",\0\0\0\0"
        + struct.pack("<HHB", width, height, 0)
    )


def jpeg_of_size(width, height):
    """Return the portrait's JPEG with another size in its header."""
    file = bytearray(encoded(PORTRAIT, "JPEG"))
    start = file.index(b"\xff\xc0") + 5
    file[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(file)


def lying_exif(orientation, kind=3, count=1):
    """Return a JPEG whose EXIF orientation has this value, data type and count."""
    field = struct.pack("<HHIHH", 0x0112, kind, count, orientation & 0xFFFF, 0)
    tiff = (
        b"II*\0"
        + struct.pack("<I", 8)
        + struct.pack("<H", 1)
        + field
        + struct.pack("<I", 0xFFFFFFFF)
    )
    return encoded(PORTRAIT, "JPEG", exif=b"Exif\0\0" + tiff)


@functools.cache
def seeds():
    """Return valid images of all kinds, and invalid files."""
    animated = {"save_all": True, "append_images": [PORTRAIT.rotate(30), PORTRAIT.rotate(60)]}
    alpha = PORTRAIT.copy()
    alpha.putalpha(128)
    whole = [
        encoded(PORTRAIT, "JPEG"),
        encoded(PORTRAIT, "JPEG", progressive=True, quality=40),
        encoded(PORTRAIT.convert("CMYK"), "JPEG"),
        encoded(PORTRAIT.convert("L"), "JPEG"),
        encoded(PORTRAIT),
        encoded(alpha),
        encoded(alpha.convert("LA")),
        encoded(PORTRAIT.convert("P"), transparency=3),
        encoded(Image.fromarray(GREY.astype(np.uint16) * 257)),
        encoded(Image.fromarray(GREY.astype(np.int32) * 1000), "TIFF"),
        encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
        encoded(PORTRAIT.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        encoded(PORTRAIT, "TIFF", compression="jpeg"),
        encoded(PORTRAIT.convert("1"), "TIFF", compression="group4"),
        encoded(PORTRAIT.convert("P"), "GIF", **animated),
        encoded(PORTRAIT, "WEBP", **animated),
        encoded(alpha, "WEBP", lossless=True),
        encoded(PORTRAIT, **animated),  # APNG
        encoded(PORTRAIT, "BMP"),
        encoded(PORTRAIT.convert("P"), "BMP"),
        *(lying_exif(orientation) for orientation in range(10)),
    ]
    wrong = [
        b"",
        b"\0",
        b"\0" * 5000,
        *(
            png(*size)
            for size in (
                (0, 0),
                (0, 9),
                (9, 0),
                (2**31 - 1, 2**31 - 1),
                (2**31, 1),
                (60_000, 60_000),
                (16000, 16000),
            )
        ),
        *(png(8, 8, depth, colour) for depth in (0, 1, 3, 16, 255) for colour in (0, 1, 2, 3, 7)),
        *(
            bmp(*size)
            for size in ((0, 0), (-5, 5), (5, -5), (2**31 - 1, 2**31 - 1), (40_000, -40_000))
        ),
        *(bmp(8, 8, bits) for bits in (0, 1, 7, 32, 999)),
        *(gif(*size) for size in ((0, 0), (65_535, 65_535), (1, 0))),
        *(jpeg_of_size(*size) for size in ((0, 0), (65_535, 65_535), (1, 65_535), (7000, 7000))),
        *(
            lying_exif(65_535, kind, count)
            for kind in (0, 2, 3, 5, 13, 999)
            for count in (0, 1, 2**32 - 1)
        ),
        encoded(PORTRAIT, "ICO"),
        encoded(PORTRAIT, "PDF"),
        encoded(PORTRAIT, "TGA"),
        encoded(PORTRAIT, "PPM"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"GIF89a" + b"\xff" * 300,
        b"RIFF\xff\xff\xff\xffWEBPVP8X" + b"\xff" * 60,
    ]
    return whole, wrong


def mutated(random):
    """Return a damaged image."""
    whole, wrong = seeds()
    file = bytearray(
        whole[random.integers(len(whole))]
        if random.random() < 0.85
        else wrong[random.integers(len(wrong))]
    )
    for _ in range(random.integers(1, 4)):
        if not file:
            break
        at = int(random.integers(len(file)))
        head = int(random.integers(min(len(file), 64)))  # in the header, which has the sizes
        match random.integers(7):
            case 0:
                del file[at:]
            case 1:
                for each in random.integers(len(file), size=random.integers(1, 20)):
                    file[each] = random.integers(256)
            case 2:
                file[head] = random.choice([0, 1, 127, 128, 255])
            case 3:
                file[head : head + 4] = random.choice(
                    [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"]
                )
            case 4:
                del file[at : at + int(random.integers(1, 200))]
            case 5:
                file[at:at] = bytes(
                    random.integers(256, size=random.integers(1, 200), dtype=np.uint8)
                )
            case 6:
                file += whole[random.integers(len(whole))][: int(random.integers(1, 2000))]
    return bytes(file)


KINDS = (
    "image/jpeg",
    "image/png",
    "image/x-none",
    "application/octet-stream",
    "multipart/form-data",
)


def post(client, file, kind):
    if kind == "multipart/form-data":
        return client.post(PREDICT, data={"image": (io.BytesIO(file), "photo.jpg")})
    return client.post(PREDICT, data=file, content_type=kind)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")
def test_damaged_images_neither_fail_nor_hang_nor_stay_in_memory(model_folder):
    client = create_app(Recognizer(model_folder)).test_client()
    random = np.random.default_rng(2013)
    whole, wrong = seeds()
    statuses = []

    def memory():
        return metrics(client)["process_resident_memory_bytes"]

    with ThreadPoolExecutor(1) as pool:

        def send(file, number):
            kind = KINDS[number % len(KINDS)]
            # The limit detects a request that hangs, not a slow one.
            answer = pool.submit(post, client, file, kind).result(timeout=60)
            assert answer.status_code in (200, 400, 413), (number, answer.data)
            assert answer.content_type == (
                "application/json" if answer.status_code == 200 else "application/problem+json"
            )
            statuses.append(answer.status_code)

        for number, file in enumerate(whole):
            send(file, number)
        assert statuses == [200] * len(whole)
        for number, file in enumerate(wrong):
            send(file, number)
        for number in range(600):
            send(mutated(random), number)
        before = memory()
        for number in range(2000):
            send(mutated(random), number)
        after = memory()
    assert min(statuses.count(status) for status in (200, 400, 413)) >= 20
    assert after < 1.05 * before
