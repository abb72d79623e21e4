"""Access: the token, the accepted host names, and the security headers."""

import pytest
from serving_cases import ASTRONAUT, NO_FACE, PREDICT, check_problem, metrics, post

from fer_utils.errors import StudyError
from fer_utils.serving import create_app

GOOD = {"Authorization": "Bearer s3cret-token"}


@pytest.fixture
def guarded(recognizer):
    return create_app(recognizer, token="s3cret-token").test_client()


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer s3cret-toke",
        "Basic s3cret-token",
        "s3cret-token",
        "Bearer ü",
    ],
)
def test_requests_without_the_token_are_a_401(guarded, sent):
    headers = {} if sent is None else {"Authorization": sent}
    for response in (
        post(guarded, ASTRONAUT, headers=headers),
        guarded.get("/metrics", headers=headers),
        guarded.get("/video_feed", headers=headers),
        guarded.get("/api/v1/nothing", headers=headers),
        guarded.get("/video_feed?token=s3cret-token", headers=headers),
    ):
        check_problem(response, 401, "Bearer")
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_requests_with_the_token_are_accepted(guarded):
    assert len(post(guarded, ASTRONAUT, headers=GOOD).json["faces"]) == 1
    assert (
        post(guarded, NO_FACE, headers={"Authorization": "bearer s3cret-token"}).status_code == 200
    )
    assert metrics(guarded, headers=GOOD)["fer_study_faces_total"] == 1
    check_problem(guarded.get("/video_feed", headers=GOOD), 404, "--camera")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/static/docs.css"]
)
def test_page_health_and_docs_are_open(guarded, path):
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("token", ["", "two words", "umlaut-ü", "line\nend"])
def test_a_token_that_no_header_can_carry_is_refused(recognizer, token):
    with pytest.raises(StudyError, match="token: expected") as raised:
        create_app(recognizer, token=token)
    assert not token or token not in str(raised.value)


def test_only_the_names_of_the_server_are_accepted(recognizer):
    client = create_app(recognizer, trusted_hosts=("localhost", "[::1]")).test_client()
    for good in ("localhost", "LOCALHOST:5000", "[::1]:80"):
        assert client.get("/healthz", headers={"Host": good}).status_code == 200
    for bad in ("evil.example", "evil.example:5000", "localhost.evil.example", ""):
        check_problem(client.get("/healthz", headers={"Host": bad}), 400, "localhost")


# --- headers ---


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/healthz", PREDICT, "/metrics", "/nothing", "/static/page.js"]
)
def test_every_response_has_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == policy["media-src"] == "'self' blob:"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert policy["frame-ancestors"] == "'self' http://localhost:* http://127.0.0.1:*"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=(self)" in headers["Permissions-Policy"]
    assert "Server" not in headers


@pytest.mark.parametrize(
    ("ancestors", "policy", "option"),
    [((), "'none'", "DENY"), (("https://lab.example",), "https://lab.example", "SAMEORIGIN")],
)
def test_the_sources_that_may_frame_the_page_are_an_option(recognizer, ancestors, policy, option):
    headers = create_app(recognizer, frame_ancestors=ancestors).test_client().get("/").headers
    assert headers["Content-Security-Policy"].endswith(f"frame-ancestors {policy}")
    assert headers["X-Frame-Options"] == option
