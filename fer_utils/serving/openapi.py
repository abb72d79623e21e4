"""Routes that declare their OpenAPI operation, and the document made from these declarations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint

from fer_utils.serving.schemas import component_responses, component_schemas, error_ref

_TAGS = {
    "recognition": "Faces and their expressions.",
    "operation": "For operators of the server.",
    "pages": "For people.",
    "device": "For browsers that find and classify faces by themselves.",
}


@dataclass(frozen=True)
class Operation:
    """The contract of one route.

    Attributes:
        method: "GET" or "POST".
        path: the route's path.
        name: Flask's endpoint, and OpenAPI's operationId.
        summary: one sentence.
        tag: group of the operation in the document.
        success: the response with status 200.
        errors: names of `component_responses`, apart from "malformed" and "500", which all
            operations have. "400" takes the place of "malformed".
        token: whether the token protects this route, on a server that has one.
        receives: returns description and request body, given the largest numbers of bytes and of
            photos in one request; None for a route without a body.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    success: dict
    errors: tuple[str, ...] = ()
    token: bool = False
    receives: Callable[[int, int], dict] | None = None

    def as_openapi(self, max_bytes: int, max_photos: int, secured: bool) -> dict:
        """Return the operation as the document contains it."""
        operation: dict[str, Any] = {
            "tags": [self.tag],
            "operationId": self.name,
            "summary": self.summary,
        }
        if self.receives:
            operation |= self.receives(max_bytes, max_photos)
        responses = {"200": self.success, "400": error_ref("malformed"), "500": error_ref("500")}
        for status in self.errors:
            responses[status] = error_ref(status)
        if secured and self.token:
            responses |= {"401": error_ref("401"), "429": error_ref("429")}
        operation["responses"] = dict(sorted(responses.items()))
        if secured and self.token:
            operation["security"] = [{"token": []}]
        return operation


class DocumentedBlueprint(Blueprint):
    """A blueprint whose routes are registered together with their `Operation`.

    Attributes:
        operations: the operations in the order of the routes.
    """

    def __init__(self, name: str, import_name: str) -> None:
        super().__init__(name, import_name)
        self.operations: list[Operation] = []

    def operation(self, method: str, path: str, name: str | None = None, **declared):
        """Register a view for a path. The first line of its docstring becomes the summary.

        Args:
            method: "GET" or "POST".
            path: the route's path.
            name: endpoint and operationId; the view's name when None.
            **declared: the other fields of `Operation`.
        """

        def register(view: Callable) -> Callable:
            endpoint = name or view.__name__
            summary = (view.__doc__ or "").partition("\n")[0]
            self.add_url_rule(path, endpoint, view, methods=[method])
            self.operations.append(Operation(method, path, endpoint, summary, **declared))
            return view

        return register

    def protected_endpoints(self) -> set[str]:
        """Return the endpoints that need the token, as `flask.request.endpoint` names them."""
        return {f"{self.name}.{each.name}" for each in self.operations if each.token}


def describe(
    operations: Iterable[Operation], *, version: str, max_bytes: int, max_photos: int, secured: bool
) -> dict:
    """Return the OpenAPI 3.1 document of these operations.

    Args:
        operations: the routes that the server offers.
        version: version of the package.
        max_bytes: largest number of bytes in one request.
        max_photos: largest number of photos in one request.
        secured: whether the server has a token.
    """
    paths: dict[str, dict] = {}
    used = set()
    for each in operations:
        used.add(each.tag)
        described = each.as_openapi(max_bytes, max_photos, secured)
        paths.setdefault(each.path, {})[each.method.lower()] = described
    components = {"schemas": component_schemas(max_photos), "responses": component_responses()}
    if secured:
        scheme = {
            "type": "http",
            "scheme": "bearer",
            "description": "The token with which the server was started.",
        }
        components["securitySchemes"] = {"token": scheme}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Facial expressions",
            "version": version,
            "summary": "Classifies the facial expressions in photos into seven classes.",
            "description": "The model predicts how people who labelled FER-2013 would label a "
            "face. It does not measure what a person feels, and it is often wrong. Do not use it "
            "for decisions about people. Uploads are never stored. Errors are problem details "
            "(RFC 9457).",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": tag, "description": _TAGS[tag]} for tag in _TAGS if tag in used],
        "paths": paths,
        "components": components,
    }
