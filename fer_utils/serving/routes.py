"""What the server answers."""

from flask import Blueprint, Response, abort, current_app, render_template, request

from fer_utils.recognition.images import UnreadableImage, open_image
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.feed import BOUNDARY
from fer_utils.serving.work import Unavailable

routes = Blueprint("routes", __name__)


@routes.get("/")
def page() -> str:
    """The page that shows photos and the camera's picture with the expressions on the faces."""
    recognizer = current_app.extensions["recognizer"]
    return render_template(
        "page.html",
        name=recognizer.card["name"],
        drawn=recognizer.drawn,
        accuracy=recognizer.card.get("public_accuracy"),
        max_bytes=current_app.config["MAX_CONTENT_LENGTH"],
        token_required=current_app.config["TOKEN_REQUIRED"],
        live=current_app.extensions["feed"] is not None,
    )


@routes.post("/api/v1/predict")
def predict() -> dict:
    """The faces of one photo or of several: size of the upright photo, and each face as `RecognizedFace.as_dict`."""
    workers, metrics = current_app.extensions["workers"], current_app.extensions["metrics"]
    # A place is taken before the body is looked at, so that what is refused costs nothing.
    with workers.admitted():
        photos = _photos()
        answers = []
        for number, photo in enumerate(photos, 1):
            try:
                answers.append(workers.do(_recognize, current_app.extensions["recognizer"], photo))
            except UnreadableImage as error:
                if len(photos) == 1:
                    raise
                raise type(error)(f"Image {number} of {len(photos)}: {error}") from None
            metrics.photos.inc()
            metrics.faces.inc(len(answers[-1]["faces"]))
    return answers[0] if len(answers) == 1 else {"images": answers}


def _photos() -> list[bytes]:
    """The images of this request, as files' bytes, none of them empty."""
    kind = request.mimetype
    if kind == "multipart/form-data":
        uploads, most = request.files.getlist("image"), current_app.config["MAX_PHOTOS"]
        if not uploads:
            abort(400, "Expected at least one file in the multipart field `image`, found none.")
        if len(uploads) > most:
            abort(
                400,
                f"Expected at most {most} files in the multipart field `image`, found {len(uploads)}.",
            )
        photos = [upload.read() for upload in uploads]
    elif kind.startswith("image/") or kind == "application/octet-stream":
        photos = [request.get_data(cache=False)]
    else:
        abort(
            415,
            "Expected multipart/form-data with the field `image`, or an image as the body, image/* or "
            f"application/octet-stream; found {kind or 'no content type'}.",
        )
    if not all(photos):
        abort(400, "Expected an image, found an empty one.")
    return photos


def _recognize(recognizer: Recognizer, data: bytes) -> dict:
    photo = open_image(data)
    faces = recognizer.recognize(photo)
    return {
        "width": photo.width,
        "height": photo.height,
        "faces": [face.as_dict() for face in faces],
    }


@routes.get("/video_feed")
def video_feed() -> Response:
    """The camera or the video as a stream of JPEG frames."""
    feed = current_app.extensions["feed"]
    if feed is None:
        abort(
            404,
            "This server shows no camera and no video: it was started without --camera and --video.",
        )
    kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    if request.method == "HEAD":  # asks what it would get, and watches nothing
        return Response(content_type=kind)
    return Response(feed.watch(), content_type=kind, direct_passthrough=True)


@routes.get("/healthz")
def healthz() -> dict:
    """That the server lives."""
    return {"status": "ok"}


@routes.get("/readyz")
def readyz() -> dict:
    """That it takes requests. The model is loaded before the first is answered."""
    if current_app.extensions["stopping"]:
        raise Unavailable("The server is stopping.", retry_after=5)
    return {"status": "ready"}


@routes.get("/metrics")
def metrics() -> Response:
    """Counts and durations for Prometheus."""
    return current_app.extensions["metrics"].page()


@routes.get("/openapi.json")
def openapi() -> dict:
    """The description of all this, for programs."""
    return current_app.extensions["openapi"]


@routes.get("/docs")
def docs() -> str:
    """The same for people."""
    return render_template(
        "docs.html", api=current_app.extensions["openapi"], url=request.host_url.rstrip("/")
    )
