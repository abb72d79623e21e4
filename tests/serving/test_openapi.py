"""The OpenAPI document: valid, complete, and true of the responses."""

import json
import re

import jsonschema
import pytest
from markupsafe import escape
from serving_cases import ASTRONAUT, NO_FACE, PREDICT, post, write_video

from fer_utils.serving import create_app
from fer_utils.serving.openapi import DocumentedBlueprint


@pytest.mark.parametrize("options", [{}, {"token": "abc"}])
def test_the_document_is_valid_openapi(recognizer, options):
    import schemathesis

    document = create_app(recognizer, **options).test_client().get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()


def test_the_document_is_complete(recognizer, tmp_path):
    app = create_app(recognizer, token="abc", video=write_video(tmp_path / "clip.avi"))
    document = app.test_client().get("/openapi.json", base_url="http://localhost").json
    described = {
        (path, method.upper())
        for path, operations in document["paths"].items()
        for method in operations
    }
    offered = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert described == offered
    secured = {
        path
        for path, operations in document["paths"].items()
        for each in operations.values()
        if "security" in each
    }
    assert secured == {PREDICT, "/video_feed", "/metrics"}
    limits = document["paths"][PREDICT]["post"]["requestBody"]["content"]["multipart/form-data"][
        "schema"
    ]
    assert limits["properties"]["image"]["maxItems"] == 16


def test_responses_match_their_schemas(client):
    document = client.get("/openapi.json").json
    photos, problem = (
        jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})
        for name in ("Photos", "Problem")
    )
    for sent in ([ASTRONAUT], [ASTRONAUT, NO_FACE], [ASTRONAUT, b"junk"]):
        photos.validate(post(client, *sent).json)
    problem.validate(json.loads(post(client, b"junk").data))
    with pytest.raises(jsonschema.ValidationError):
        photos.validate({"images": [{"width": 3}]})


def test_the_docs_show_the_document(client):
    page = client.get("/docs").get_data(as_text=True)
    document = client.get("/openapi.json").json
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert path in page
            assert str(escape(operation["summary"])) in page
    for name, schema in document["components"]["schemas"].items():
        assert f'id="{name}"' in page
        assert all(f"<code>{field}</code>" in page for field in schema["properties"])
    assert "static/docs.css" in page
    assert client.get("/static/docs.css").status_code == 200
    assert not re.search(r"<script|<style|style=|https?://(?!localhost)", page)
    assert "Authorization: Bearer" not in page


def test_the_docs_describe_the_token(recognizer):
    page = create_app(recognizer, token="abc").test_client().get("/docs").get_data(as_text=True)
    assert "Authorization: Bearer" in page


def test_a_declaration_sets_route_document_and_protection():
    routes = DocumentedBlueprint("routes", __name__)

    @routes.operation("GET", "/open", tag="pages", success={"description": "Open."})
    def open_route():
        """Do one thing.

        And explain it.
        """

    @routes.operation("GET", "/closed", tag="pages", success={}, errors=("503",), token=True)
    def closed_route():
        """Do another thing."""

    first, second = routes.operations
    assert routes.protected_endpoints() == {"routes.closed_route"}
    described = first.as_openapi(100, 2, secured=True)
    assert described["summary"] == "Do one thing."
    assert list(described["responses"]) == ["200", "400", "500"]
    assert "security" not in described
    assert list(second.as_openapi(100, 2, secured=True)["responses"]) == [
        *("200", "400", "401", "429", "500", "503")
    ]
    assert "401" not in second.as_openapi(100, 2, secured=False)["responses"]
