"""What the server answers."""

from flask import Blueprint, abort, current_app, render_template, request

from fer_utils.recognition import Recognizer, open_image

routes = Blueprint("routes", __name__)


def _recognizer() -> Recognizer:
    return current_app.extensions["recognizer"]


@routes.get("/")
def page() -> str:
    """The page that shows a photo with the expressions on its faces."""
    recognizer = _recognizer()
    return render_template(
        "page.html",
        name=recognizer.about["name"],
        drawn=recognizer.drawn,
        accuracy=recognizer.about.get("public_accuracy"),
        max_bytes=current_app.config["MAX_CONTENT_LENGTH"],
    )


@routes.post("/predict")
def predict() -> dict:
    """The faces of one photo: size of the upright photo, and box, score and probabilities of each face."""
    uploads = request.files.getlist("image")
    if len(uploads) != 1:
        abort(400, f"Expected one file in the multipart field `image`, found {len(uploads)}.")
    data = uploads[0].read()
    if not data:
        abort(400, "The file in the field `image` is empty.")
    photo = open_image(data)
    faces = _recognizer().recognize(photo)
    return {"width": photo.width, "height": photo.height, "faces": [face.as_dict() for face in faces]}


@routes.get("/healthz")
def healthz() -> dict:
    """That the server lives."""
    return {"status": "ok"}
