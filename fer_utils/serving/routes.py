"""The routes of the server."""

import base64
import binascii
import json

from flask import Response, abort, current_app, render_template, request, send_from_directory

from fer_utils.recognition.images import ImageTooLarge, UnreadableImage, memory_needed
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.feed import BOUNDARY
from fer_utils.serving.memory import Memory
from fer_utils.serving.on_device import RUNTIME_FILES
from fer_utils.serving.openapi import DocumentedBlueprint
from fer_utils.serving.problems import problem_fields, unreadable_status
from fer_utils.serving.schemas import (
    binary_response,
    json_response,
    photo_upload,
    schema_ref,
    text_response,
)
from fer_utils.serving.services import Services, services_of
from fer_utils.serving.work import Unavailable

FEED_PATH = "/video_feed"

_DETECTORS = {"haar": "OpenCV's Haar cascade", "yunet": "YuNet"}

# The photos of one request come one after another, so they may need more memory than is there at
# once. This bounds the work: small files may hold large pictures.
_REQUEST_SHARE = 4

routes = DocumentedBlueprint("routes", __name__)

device_routes = DocumentedBlueprint("on_device", __name__)
"""The files with which a browser answers by itself, on a server that offers them."""


def _services() -> Services:
    return services_of(current_app)


# --- recognition ---


@routes.operation(
    "POST",
    "/api/v1/predict",
    tag="recognition",
    success=json_response(
        "For each photo its size and its faces, or the reason why it could not be read. If none "
        "could be read, the response is the error of the first.",
        schema_ref("Photos"),
    ),
    errors=("400", "403", "413", "415", "503"),
    token=True,
    receives=photo_upload,
)
def predict() -> dict:
    """Find and classify the faces in one or several photos."""
    services = _services()
    # The place is taken before the body is read, so a refused request costs nothing.
    with services.workers.admitted():
        photos = _uploaded_photos()
        images: list[dict] = []
        errors: list[UnreadableImage] = []
        total = 0
        for photo in photos:
            try:
                needed = _expected_memory(photo, services.memory, total)
                total += needed
                image = services.workers.do(
                    _recognize, services.recognizer, services.memory, needed, photo
                )
                services.metrics.photos.inc()
                services.metrics.faces.inc(len(image["faces"]))
            except UnreadableImage as error:
                image = {"error": problem_fields(unreadable_status(error), str(error))}
                errors.append(error)
            images.append(image)
    if len(errors) == len(images):
        raise errors[0]
    return {"images": images}


def _uploaded_photos() -> list[bytes]:
    """Return the files in the body of this request; some may be empty."""
    kind = request.mimetype
    if kind == "multipart/form-data":
        field = "the multipart field `image`"
        photos = [upload.read() for upload in request.files.getlist("image")]
    elif kind == "application/json":
        field = "the JSON field `image`"
        photos = _photos_of_json(request.get_data(cache=False))
    elif kind.startswith("image/") or kind == "application/octet-stream":
        return [request.get_data(cache=False)]
    else:
        abort(
            415,
            "Expected multipart/form-data or application/json with the field `image`, or an image "
            "as the body (image/* or application/octet-stream), found "
            f"{kind or 'no content type'}.",
        )
    most = _services().max_photos
    if not photos:
        abort(400, f"Expected at least one file in {field}, found none.")
    if len(photos) > most:
        abort(400, f"Expected at most {most} files in {field}, found {len(photos)}.")
    return photos


def _photos_of_json(body: bytes) -> list[bytes]:
    """Return the photos of a body `{"image": TEXT}`, or of one with a list of texts."""
    try:
        found = json.loads(body)["image"]
    except (ValueError, KeyError, TypeError, RecursionError):
        abort(400, "Expected a JSON object with the field `image`, found something else.")
    texts = found if isinstance(found, list) else [found]
    if not all(isinstance(text, str) for text in texts):
        abort(400, "Expected a text or a list of texts in the JSON field `image`.")
    return [_decoded(text) for text in texts]


def _decoded(text: str) -> bytes:
    head, comma, rest = text.partition(",")
    if comma and not (head.startswith("data:") and head.endswith(";base64")):
        abort(400, "Expected data:image/jpeg;base64, before the base64 text, found another start.")
    try:
        return base64.b64decode(rest if comma else text, validate=True)
    except (binascii.Error, ValueError):
        abort(400, "Expected base64 in the JSON field `image`, found other signs.")


def _expected_memory(photo: bytes, memory: Memory, total: int) -> int:
    """Return the bytes of memory for a photo, beside the `total` of others of this request."""
    if not photo:
        raise UnreadableImage("the image: expected an image, found an empty file.")
    needed = memory_needed(photo)
    if needed > memory.most:
        raise ImageTooLarge(
            f"the image: expected one that needs at most {memory.most // 10**6:,} MB of memory, "
            f"found one that needs {needed // 10**6:,} MB. Scale it down first."
        )
    if total + needed > _REQUEST_SHARE * memory.most:
        raise ImageTooLarge(
            f"the image: expected photos that together need at most "
            f"{_REQUEST_SHARE * memory.most // 10**6:,} MB of memory, found more. "
            "Send them in several requests."
        )
    return needed


def _recognize(recognizer: Recognizer, memory: Memory, needed: int, data: bytes) -> dict:
    with memory.holding(needed):
        # `answer` frees the photo when it returns, while the memory is still held.
        return recognizer.answer(data)


@routes.operation(
    "GET",
    FEED_PATH,
    "videoFeed",
    tag="recognition",
    success=binary_response(
        "JPEG frames without end. Each is one part of the multipart body and has a "
        f"Content-Length. The boundary is “{BOUNDARY}”.",
        "multipart/x-mixed-replace",
    ),
    errors=("503",),
    token=True,
)
def video_feed() -> Response:
    """Show the server's camera or video with annotated faces."""
    feed = _services().feed
    if feed is None:
        abort(
            404,
            "This server has no camera and no video. Start it with --camera or --video.",
        )
    kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    if request.method == "HEAD":  # needs the headers only, so it does not count as a viewer
        return Response(content_type=kind)
    return Response(feed.watch(), content_type=kind, direct_passthrough=True)


# --- operation ---


@routes.operation(
    "GET",
    "/healthz",
    tag="operation",
    success=json_response("The server runs.", schema_ref("Status")),
)
def healthz() -> dict:
    """Check that the server runs."""
    return {"status": "ok"}


@routes.operation(
    "GET",
    "/readyz",
    tag="operation",
    success=json_response("The server accepts requests.", schema_ref("Ready")),
    errors=("503",),
)
def readyz() -> dict:
    """Check that the server accepts requests: its model is loaded and it is not stopping."""
    services = _services()
    if services.stopping.is_set():
        raise Unavailable("The server is stopping.", retry_after=5)
    return {"status": "ready", "detector": services.recognizer.detector.name}


@routes.operation(
    "GET",
    "/metrics",
    tag="operation",
    success=text_response("Prometheus' text format.", "text/plain"),
    token=True,
)
def metrics() -> Response:
    """Return counts and durations for Prometheus, with nothing about a photo or a face."""
    return _services().metrics.page()


@routes.operation(
    "GET",
    "/openapi.json",
    tag="operation",
    success=json_response("OpenAPI 3.1.", {"type": "object"}),
)
def openapi() -> dict:
    """Return this document."""
    return _services().document


# --- pages ---


@routes.operation("GET", "/", tag="pages", success=text_response("The page.", "text/html"))
def page() -> str:
    """Show the page on which photos, a webcam or a video can be tried."""
    services = _services()
    return render_template(
        "page.html",
        name=services.recognizer.card["name"],
        drawn=services.recognizer.drawn,
        detector=detector_name(services.recognizer),
        accuracy=services.recognizer.card.get("public_accuracy"),
        threshold=services.recognizer.card["threshold"],
        max_bytes=current_app.config["MAX_CONTENT_LENGTH"],
        token_required=services.token_required,
        live=services.feed is not None,
        place="server",
        on_device=services.on_device,
    )


def detector_name(recognizer: Recognizer) -> str:
    """Return the name of the recogniser's detector for the pages."""
    name = recognizer.detector.name
    return _DETECTORS.get(name, name)


@routes.operation("GET", "/model", tag="pages", success=text_response("The page.", "text/html"))
def model() -> str:
    """Show the model card: what the model was trained on, how often it is right, and its limits."""
    recognizer = _services().recognizer
    return render_template(
        "model.html",
        card=recognizer.card,
        drawn=recognizer.drawn,
        detector=detector_name(recognizer),
        place="server",
    )


@routes.operation("GET", "/docs", tag="pages", success=text_response("The page.", "text/html"))
def docs() -> str:
    """Show this document as a page."""
    return render_template("docs.html", api=_services().document, url=request.url_root.rstrip("/"))


# --- on the visitor's device ---


@device_routes.operation(
    "GET",
    "/on-device/model.onnx",
    "modelFile",
    tag="device",
    success=binary_response("An ONNX file.", "application/octet-stream"),
    token=True,
)
def model_file() -> Response:
    """Return the model, with which a browser classifies faces by itself."""
    return _onnx("model")


@device_routes.operation(
    "GET",
    "/on-device/yunet.onnx",
    "detectorFile",
    tag="device",
    success=binary_response("An ONNX file.", "application/octet-stream"),
    token=True,
)
def detector_file() -> Response:
    """Return YuNet, with which a browser finds faces by itself."""
    return _onnx("yunet")


def _onnx(name: str) -> Response:
    response = Response(getattr(_services().on_device, name), mimetype="application/octet-stream")
    response.add_etag()
    response.cache_control.no_cache = True  # a browser keeps it, and asks whether it has changed
    response.make_conditional(request)
    return response


@device_routes.route("/on-device/onnxruntime-web/<name>", endpoint="static")
def runtime_file(name: str) -> Response:
    """Return a file of onnxruntime-web. These are static files, as those of the page."""
    on_device = _services().on_device
    if on_device is None or name not in RUNTIME_FILES:
        abort(404)
    return send_from_directory(on_device.runtime.resolve(), name)
