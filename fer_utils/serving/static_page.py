"""The page as a folder for a static host, which answers on the visitor's device alone."""

from pathlib import Path

import jinja2

from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.access import content_policy
from fer_utils.serving.on_device import RUNTIME_FILES, expect_on_device
from fer_utils.serving.routes import detector_name
from fer_utils.storage import Contents, atomic_folder

_HERE = Path(__file__).parent
_STATIC = sorted(
    path.relative_to(_HERE).as_posix()
    for path in (_HERE / "static").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)
_NOTICE = """\
This folder is a page that finds faces in pictures and classifies their expressions, all in the
browser. A static host serves it as it is. It was made by `fer-study export --web`.

  index.html, model.html, static/   the page, its model card and its examples (MIT)
  on-device/model.onnx              the classifier (MIT)
  on-device/yunet.onnx              YuNet, the face detector (Apache-2.0, libfacedetection.train)
  on-device/onnxruntime-web/        ONNX Runtime (MIT, Microsoft)
"""

PAGE = Contents(
    "the page for a static host",
    "on-device/model.onnx",
    (
        "index.html",
        "model.html",
        "README.txt",
        "on-device/yunet.onnx",
        *(f"on-device/onnxruntime-web/{name}" for name in RUNTIME_FILES),
        *_STATIC,
    ),
)


def export_page(recognizer: Recognizer, folder: Path, runtime: Path | None = None) -> int:
    """Write the page to a folder. Replaces such a page there, and nothing else.

    Args:
        recognizer: has the model and the detector, which must be YuNet.
        folder: the folder to write.
        runtime: folder of onnxruntime-web; the one of `make on-device` when None.

    Returns:
        Its size in bytes.

    Raises:
        StudyError: `folder` has other contents, or onnxruntime-web or YuNet is missing.
    """
    PAGE.expect_place(folder)
    on_device = expect_on_device(recognizer, runtime)
    files = {name: (_HERE / name).read_bytes() for name in _STATIC}
    files["on-device/model.onnx"] = on_device.model
    files["on-device/yunet.onnx"] = on_device.yunet
    for name in RUNTIME_FILES:
        files[f"on-device/onnxruntime-web/{name}"] = (on_device.runtime / name).read_bytes()
    files["README.txt"] = _NOTICE.encode()
    card = recognizer.card
    shared = {"drawn": recognizer.drawn, "detector": detector_name(recognizer), "place": "device"}
    files["index.html"] = _render(
        "page.html",
        name=card["name"],
        accuracy=card["public_accuracy"],
        threshold=card["threshold"],
        max_bytes=0,
        token_required=False,
        live=False,
        on_device=on_device,
        policy=content_policy(wasm=True),
        **shared,
    )
    files["model.html"] = _render("model.html", card=card, **shared)
    with atomic_folder(folder, PAGE) as target:
        for name, content in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)
    return sum(len(content) for content in files.values())


def _render(template: str, **values) -> bytes:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True
    )
    return environment.get_template(template).render(**values).encode()
