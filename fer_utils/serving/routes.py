"""The routes of the server."""

from flask import Response, abort, current_app, render_template, request

from fer_utils.recognition.images import (
    ImageTooLarge,
    UnreadableImage,
    memory_needed,
    open_image,
)
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.feed import BOUNDARY
from fer_utils.serving.memory import Memory
from fer_utils.serving.openapi import DocumentedBlueprint
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

# The photos of one request come one after another, so they may need more memory than is there at
# once. This bounds the work: small files may hold large pictures.
_REQUEST_SHARE = 4

routes = DocumentedBlueprint("routes", __name__)


def _services() -> Services:
    return services_of(current_app)


# --- recognition ---


@routes.operation(
    "POST",
    "/api/v1/predict",
    tag="recognition",
    success=json_response(
        "The size and the faces of one photo, or a list of these for several photos.",
        {"oneOf": [schema_ref("Photo"), schema_ref("Photos")]},
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
        results = []
        total = 0
        for number, photo in enumerate(photos, 1):
            try:
                needed = _expected_memory(photo, services.memory, total)
                total += needed
                result = services.workers.do(
                    _recognize, services.recognizer, services.memory, needed, photo
                )
            except UnreadableImage as error:
                if len(photos) == 1:
                    raise
                raise type(error)(f"Image {number} of {len(photos)}: {error}") from None
            services.metrics.photos.inc()
            services.metrics.faces.inc(len(result["faces"]))
            results.append(result)
    return results[0] if len(results) == 1 else {"images": results}


def _uploaded_photos() -> list[bytes]:
    """Return the files in the body of this request; none of them is empty."""
    kind = request.mimetype
    if kind == "multipart/form-data":
        uploads, most = request.files.getlist("image"), _services().max_photos
        if not uploads:
            abort(400, "Expected at least one file in the multipart field `image`, found none.")
        if len(uploads) > most:
            found = f"found {len(uploads)}"
            abort(400, f"Expected at most {most} files in the multipart field `image`, {found}.")
        photos = [upload.read() for upload in uploads]
    elif kind.startswith("image/") or kind == "application/octet-stream":
        photos = [request.get_data(cache=False)]
    else:
        abort(
            415,
            "Expected multipart/form-data with the field `image`, or an image as the body "
            f"(image/* or application/octet-stream), found {kind or 'no content type'}.",
        )
    if not all(photos):
        abort(400, "Expected an image, found an empty one.")
    return photos


def _expected_memory(photo: bytes, memory: Memory, total: int) -> int:
    """Return the bytes of memory for a photo, beside the `total` of others of this request."""
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
        # A function of its own, because its end frees the photo while the memory is still held.
        return _size_and_faces(recognizer, data)


def _size_and_faces(recognizer: Recognizer, data: bytes) -> dict:
    photo = open_image(data)
    faces = [face.as_dict() for face in recognizer.recognize(photo)]
    return {"width": photo.width, "height": photo.height, "faces": faces}


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
    success=json_response("The server accepts requests.", schema_ref("Status")),
    errors=("503",),
)
def readyz() -> dict:
    """Check that the server accepts requests: its model is loaded and it is not stopping."""
    if _services().stopping.is_set():
        raise Unavailable("The server is stopping.", retry_after=5)
    return {"status": "ready"}


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
        accuracy=services.recognizer.card.get("public_accuracy"),
        max_bytes=current_app.config["MAX_CONTENT_LENGTH"],
        token_required=services.token_required,
        live=services.feed is not None,
    )


@routes.operation("GET", "/docs", tag="pages", success=text_response("The page.", "text/html"))
def docs() -> str:
    """Show this document as a page."""
    return render_template("docs.html", api=_services().document, url=request.url_root.rstrip("/"))
