"""The JSON schemas, error responses and request body of the API, as OpenAPI 3.1 writes them."""

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.images import FORMATS, MAX_PIXELS
from fer_utils.serving.problems import PROBLEM_TYPE

_REASONS = {
    "malformed": "The request is malformed, or its Host header is not a name of this server.",
    "400": "The request is malformed, has too many images, or contains no file that is an image.",
    "401": "The token is missing or wrong.",
    "403": "The request comes from a page of another site that this server does not allow.",
    "413": "The upload has too many bytes, or an image has too many pixels.",
    "415": "The content type of the body is not one of those listed.",
    "429": "Too many wrong tokens came from this address. Retry-After is the time to wait.",
    "500": "The server failed. The cause is in its log.",
    "503": "The server is busy or stopping. Retry-After is the time to wait.",
}

_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}

_HEADERS = {
    "401": {
        "WWW-Authenticate": {
            "description": "Bearer.",
            "required": True,
            "schema": {"type": "string"},
        }
    },
    "429": _RETRY_AFTER,
    "503": _RETRY_AFTER,
}

_BINARY = {"type": "string", "format": "binary"}


def schema_ref(name: str) -> dict:
    """Return a reference to one of `component_schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def error_ref(name: str) -> dict:
    """Return a reference to one of `component_responses`."""
    return {"$ref": f"#/components/responses/{name}"}


def json_response(description: str, body: dict) -> dict:
    """Return a response in JSON whose schema is `body`."""
    return {"description": description, "content": {"application/json": {"schema": body}}}


def text_response(description: str, content_type: str) -> dict:
    """Return a response in text of this content type."""
    return {"description": description, "content": {content_type: {"schema": {"type": "string"}}}}


def binary_response(description: str, content_type: str) -> dict:
    """Return a response in bytes of this content type."""
    return {"description": description, "content": {content_type: {"schema": _BINARY}}}


def photo_upload(max_bytes: int, max_photos: int) -> dict:
    """Return the description and the request body of an operation that receives photos.

    Args:
        max_bytes: largest number of bytes in one request.
        max_photos: largest number of photos in one request.
    """
    photos = {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": max_photos}
    form = {"type": "object", "required": ["image"], "properties": {"image": photos}}
    text = {"type": "string", "format": "byte", "contentEncoding": "base64"}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": max_photos}
    fields = {"image": {"oneOf": [text, texts]}}
    body = {"type": "object", "required": ["image"], "properties": fields}
    content: dict[str, dict] = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": body},
    }
    for name in FORMATS:
        content[f"image/{name.lower()}"] = {"schema": _BINARY}
    content["application/octet-stream"] = {"schema": _BINARY}
    return {
        "description": "Send one photo as the body, or one or several photos in the field “image” "
        "of a form, or of a JSON object in base64, with or without data:image/jpeg;base64, before "
        f"it. Accepted formats are {', '.join(FORMATS)}. The format is read from the file, "
        f"not from the content type. A request may have {max_bytes:,} bytes and {max_photos} "
        f"photos, and a photo {MAX_PIXELS // 10**6} million pixels. Photos are rotated according "
        "to their EXIF data. Boxes are in pixels of the upright photo.",
        "requestBody": {"required": True, "content": content},
    }


def component_responses() -> dict:
    """Return the errors that operations refer to, by name."""
    responses: dict[str, dict] = {}
    for name, reason in _REASONS.items():
        responses[name] = {"description": reason}
        if name in _HEADERS:
            responses[name]["headers"] = _HEADERS[name]
        responses[name]["content"] = {PROBLEM_TYPE: {"schema": schema_ref("Problem")}}
    return responses


def component_schemas(max_photos: int) -> dict:
    """Return the objects in JSON that operations refer to, by name."""
    count = {"type": "integer", "minimum": 0}
    size = {"type": "integer", "minimum": 1}
    detector = {"type": "string", "description": "Name of the face detector: haar or yunet."}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "Box": _object(
            "A rectangle in pixels of the upright photo, wholly inside it. "
            "x and y are its upper left corner.",
            {"x": count, "y": count, "width": size, "height": size},
        ),
        "Face": _object(
            "A face and its expression.",
            {
                "box": schema_ref("Box"),
                "score": {
                    "type": "number",
                    "description": "The detector's confidence. Its unit depends on the detector.",
                },
                "emotion": {
                    "type": "string",
                    "enum": list(EMOTIONS),
                    "description": "The most probable emotion.",
                },
                "probabilities": _object(
                    "The model's probability of each emotion. They sum to 1.",
                    dict.fromkeys(EMOTIONS, share),
                ),
                "uncertain": {
                    "type": "boolean",
                    "description": "The largest probability is below the model's threshold, "
                    "so the emotion is a guess.",
                },
            },
        ),
        "Photo": _object(
            "The size of the upright photo in pixels, the detector that found its faces, and the "
            "faces from left to right.",
            {
                "width": size,
                "height": size,
                "detector": detector,
                "faces": {"type": "array", "items": schema_ref("Face")},
            },
        ),
        "PhotoError": _object(
            "A photo that could not be read.",
            {"error": schema_ref("Problem")},
        ),
        "Photos": _object(
            "One or several photos, in the order of the request.",
            {
                "images": {
                    "type": "array",
                    "items": {"oneOf": [schema_ref("Photo"), schema_ref("PhotoError")]},
                    "minItems": 1,
                    "maxItems": max_photos,
                }
            },
        ),
        "Ready": _object(
            "The server's state, and the detector that finds the faces.",
            {"status": {"type": "string"}, "detector": detector},
        ),
        "Status": _object("The server's state.", {"status": {"type": "string"}}),
        "Problem": _object(
            "An error (RFC 9457).",
            {
                "type": {
                    "type": "string",
                    "description": "Always about:blank. The status is the kind of the error.",
                },
                "title": {"type": "string"},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {
                    "type": "string",
                    "description": "What was expected and what was found.",
                },
            },
        ),
    }


def _object(description: str, properties: dict) -> dict:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }
