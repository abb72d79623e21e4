"""The OpenAPI document of the server: what `/openapi.json` answers and `/docs` shows."""

from collections.abc import Iterable
from typing import Any

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.images import FORMATS, MAX_PIXELS
from fer_utils.serving.feed import BOUNDARY

PROBLEM = "application/problem+json"

_REASONS = {
    "malformed": "The request is malformed, or addressed to another name than the server's.",
    "400": "The request is malformed, holds too many images, or what was sent is no image that is read.",
    "401": "The token is missing or wrong.",
    "413": "The upload has too many bytes, or an image has too many pixels.",
    "415": "The body is of another kind than those listed.",
    "500": "The server failed; its log says why.",
    "503": "The server has all the work it takes, or is stopping. Retry-After says when to try again.",
}


def describe(*, version: str, max_bytes: int, max_photos: int, secured: bool, live: bool) -> dict:
    """The document, OpenAPI 3.1.

    Args:
        version: the package's.
        max_bytes: most bytes of a request.
        max_photos: most images in a request.
        secured: whether a bearer token is asked for.
        live: whether there is a camera or a video to be watched.
    """
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Facial expressions",
            "version": version,
            "summary": "Which of seven expressions the faces in a photo show.",
            "description": "The model names what a face looks like to the people who labelled FER-2013, not what "
            "somebody feels, and it is often wrong. Not for decisions about people. Uploads are never stored. Errors "
            "are problem details (RFC 9457).",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [
            {"name": "recognition", "description": "Faces and their expressions."},
            {"name": "operation", "description": "For those who run the server."},
            {"name": "pages", "description": "For people."},
        ],
        "paths": {
            "/api/v1/predict": {"post": _predict(max_bytes, max_photos)},
            **({"/video_feed": {"get": _video_feed()}} if live else {}),
            "/healthz": {
                "get": _get(
                    "operation",
                    "healthz",
                    "Whether the server lives.",
                    _json("It does.", _schema("Status")),
                )
            },
            "/readyz": {
                "get": _get(
                    "operation",
                    "readyz",
                    "Whether the server takes requests: its model is loaded and it is not stopping.",
                    _json("It does.", _schema("Status")),
                    "503",
                )
            },
            "/metrics": {
                "get": _get(
                    "operation",
                    "metrics",
                    "Counts and durations for Prometheus; nothing about a photo or a face.",
                    _text("Prometheus' text format.", "text/plain"),
                )
            },
            "/openapi.json": {
                "get": _get(
                    "operation",
                    "openapi",
                    "This document.",
                    _json("OpenAPI 3.1.", {"type": "object"}),
                )
            },
            "/": {
                "get": _get(
                    "pages", "page", "The page that tries it out.", _text("The page.", "text/html")
                )
            },
            "/docs": {
                "get": _get(
                    "pages", "docs", "This document as a page.", _text("The page.", "text/html")
                )
            },
        },
        "components": {
            "schemas": _schemas(max_photos),
            "responses": {
                status: {
                    "description": reason,
                    **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
                    "content": {PROBLEM: {"schema": _schema("Problem")}},
                }
                for status, reason in _REASONS.items()
            },
        },
    }
    if secured:
        document["components"]["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The token that the server was started with.",
            }
        }
        for path, operations in document["paths"].items():
            if path.startswith("/api/") or path in ("/video_feed", "/metrics"):
                for operation in operations.values():
                    operation["security"] = [{"token": []}]
                    operation["responses"] = dict(
                        sorted({**operation["responses"], "401": _problem("401")}.items())
                    )
    return document


_HEADERS = {
    "401": {
        "WWW-Authenticate": {
            "description": "Bearer.",
            "required": True,
            "schema": {"type": "string"},
        }
    },
    "503": {
        "Retry-After": {
            "description": "Seconds to wait.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}


def _get(tag: str, name: str, summary: str, answer: dict, *problems: str) -> dict:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "responses": {"200": answer, "400": _problem("malformed")} | _problems(("500", *problems)),
    }


def _predict(max_bytes: int, max_photos: int) -> dict:
    image = {"type": "string", "format": "binary"}
    kinds = [f"image/{name.lower()}" for name in FORMATS]
    return {
        "tags": ["recognition"],
        "operationId": "predict",
        "summary": "The faces in one photo or in several.",
        "description": f"Send the photo as the body, or one or several in the field “image” of a form. Read are "
        f"{', '.join(FORMATS)}, whatever the body calls itself; at most {max_bytes:,} bytes in all, {max_photos} "
        f"photos, and {MAX_PIXELS // 10**6} million pixels in each. A photo is turned upright as its EXIF data say, "
        "and boxes are in pixels of the upright photo.",
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {
                            "image": {
                                "type": "array",
                                "items": image,
                                "minItems": 1,
                                "maxItems": max_photos,
                            }
                        },
                    }
                },
                **{kind: {"schema": image} for kind in (*kinds, "application/octet-stream")},
            },
        },
        "responses": {
            "200": _json(
                "For one photo its size and faces; for several a list of these, in their order.",
                {"oneOf": [_schema("Photo"), _schema("Photos")]},
            ),
            **_problems(("400", "413", "415", "500", "503")),
        },
    }


def _video_feed() -> dict:
    return _get(
        "recognition",
        "videoFeed",
        "What the server's camera or video shows, annotated.",
        {
            "description": f"JPEG frames without end, each a part after the boundary “{BOUNDARY}”, with its "
            "Content-Length.",
            "content": {
                "multipart/x-mixed-replace": {"schema": {"type": "string", "format": "binary"}}
            },
        },
        "503",
    )


def _schemas(max_photos: int) -> dict:
    count = {"type": "integer", "minimum": 0}
    size = {"type": "integer", "minimum": 1}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "Box": _object(
            "Where a face is, in pixels of the upright photo, wholly inside it; x and y are its left upper corner.",
            {"x": count, "y": count, "width": size, "height": size},
        ),
        "Face": _object(
            "A face and its expression.",
            {
                "box": _schema("Box"),
                "score": {
                    "type": "number",
                    "description": "How sure the detector is, in its own unit.",
                },
                "emotion": {
                    "type": "string",
                    "enum": list(EMOTIONS),
                    "description": "The most probable.",
                },
                "probabilities": _object(
                    "How the model shares its belief; they sum to 1.",
                    dict.fromkeys(EMOTIONS, share),
                ),
                "uncertain": {
                    "type": "boolean",
                    "description": "No emotion is probable enough: take the one named for a guess.",
                },
            },
        ),
        "Photo": _object(
            "An upright photo, in pixels, and its faces from left to right.",
            {"width": size, "height": size, "faces": {"type": "array", "items": _schema("Face")}},
        ),
        "Photos": _object(
            "Several photos, in the order they came.",
            {
                "images": {
                    "type": "array",
                    "items": _schema("Photo"),
                    "minItems": 2,
                    "maxItems": max_photos,
                }
            },
        ),
        "Status": _object("A word on how the server is.", {"status": {"type": "string"}}),
        "Problem": _object(
            "What went wrong (RFC 9457).",
            {
                "type": {
                    "type": "string",
                    "description": "about:blank: the status says all there is to say.",
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


def _schema(name: str) -> dict:
    return {"$ref": f"#/components/schemas/{name}"}


def _problem(reason: str) -> dict:
    return {"$ref": f"#/components/responses/{reason}"}


def _problems(statuses: Iterable[str]) -> dict:
    return {status: _problem(status) for status in sorted(statuses)}


def _json(description: str, schema: dict) -> dict:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _text(description: str, kind: str) -> dict:
    return {"description": description, "content": {kind: {"schema": {"type": "string"}}}}
