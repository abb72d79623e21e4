"""Access: the token, the accepted host names, and the security headers."""

import urllib.request

import pytest
from serving_cases import ASTRONAUT, NO_FACE, PREDICT, check_problem, metrics, only_image, post

from fer_utils.errors import StudyError
from fer_utils.serving import create_app, running
from fer_utils.serving.access import WrongTokens

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
    assert len(only_image(post(guarded, ASTRONAUT, headers=GOOD))["faces"]) == 1
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


# --- wrong tokens ---


def test_an_address_that_tries_many_tokens_must_wait(guarded, caplog):
    for number in range(10):
        wrong = {"Authorization": f"Bearer guess-{number}"}
        check_problem(guarded.get("/metrics", headers=wrong), 401, "Bearer")
    for headers in (wrong, GOOD):  # whether its next token is right, it does not learn
        response = guarded.get("/metrics", headers=headers)
        check_problem(response, 429, "wrong tokens")
        assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert guarded.get("/healthz").status_code == 200
    elsewhere = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.7"}}
    assert guarded.get("/metrics", headers=GOOD, **elsewhere).status_code == 200
    logged = [record for record in caplog.records if "wrong token" in record.getMessage()]
    assert len(logged) == 10
    assert "127.0.0.1" in logged[0].getMessage()
    assert "guess" not in caplog.text


def test_requests_without_any_token_do_not_count_as_tries(guarded):
    for _ in range(30):
        check_problem(guarded.get("/metrics"), 401, "Bearer")
    assert guarded.get("/metrics", headers=GOOD).status_code == 200


def test_tries_are_forgotten_and_counted_by_network(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("fer_utils.serving.access.time.monotonic", lambda: now[0])
    wrong = WrongTokens()
    for number in range(10):
        wrong.count(f"2001:db8::{number}")
    assert wrong.wait("2001:db8::ffff") > 0
    assert wrong.wait("2001:db8:0:1::1") == wrong.wait("not an address") == 0
    now[0] += 61
    assert wrong.wait("2001:db8::1") == 0
    wrong.count("2001:db8::1")
    assert wrong.wait("2001:db8::1") == 0


# --- pages of other sites ---

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8888"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:8888"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_of_another_site_is_refused_unread(client, headers, monkeypatch):
    monkeypatch.setattr("fer_utils.serving.routes._uploaded_photos", None)
    check_problem(post(client, NO_FACE, headers=headers), 403, "another site")
    assert client.get("/", headers=headers).status_code == 200  # a link may lead to the page


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.name.of.a.proxy"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_the_own_page_and_programs_are_not_refused(client, headers):
    assert post(client, NO_FACE, headers=headers).status_code == 200


@pytest.mark.parametrize("allowed, shown", [("https://lab.example", None), ("*", "*")])
def test_an_origin_can_be_allowed(recognizer, allowed, shown):
    client = create_app(recognizer, token="s3cret-token", cors_origins=[allowed]).test_client()
    origin = {"Origin": "https://lab.example", "Sec-Fetch-Site": "cross-site"}
    asked = client.options(PREDICT, headers={**origin, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 200
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    for response, status in (
        (asked, 200),
        (post(client, NO_FACE, headers=origin | GOOD), 200),
        (post(client, NO_FACE, headers=origin), 401),
    ):
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == (shown or origin["Origin"])
        assert response.headers["Vary"] == "Origin"


def test_other_origins_stay_refused(recognizer):
    client = create_app(recognizer, cors_origins=["https://lab.example"]).test_client()
    for headers in FOREIGN:
        response = post(client, NO_FACE, headers=headers)
        check_problem(response, 403, "another site")
        assert "Access-Control-Allow-Origin" not in response.headers


def test_without_the_option_no_origin_is_allowed(client):
    response = client.get("/healthz", headers={"Origin": "https://lab.example"})
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("origin", ["lab.example", "https://lab.example/path", "", "null"])
def test_an_origin_that_no_browser_sends_is_refused(recognizer, origin):
    with pytest.raises(StudyError, match="origin: expected"):
        create_app(recognizer, cors_origins=[origin])


# --- proxies ---

FORWARDED = {
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "faces.example:8443",
    "X-Forwarded-Prefix": "/faces",
}


def test_behind_a_proxy_the_docs_name_the_public_address(recognizer):
    client = create_app(recognizer, proxies=1).test_client()
    page = client.get("/docs", headers=FORWARDED).get_data(as_text=True)
    assert "https://faces.example:8443/faces/api/v1/predict" in page


@pytest.mark.parametrize("proxies", [0, 1])
def test_the_running_server_reads_a_proxys_headers_only_if_there_is_one(recognizer, proxies):
    with running(recognizer, proxies=proxies, trusted_hosts=None) as url:
        request = urllib.request.Request(f"{url}/docs", headers=FORWARDED)
        page = urllib.request.urlopen(request, timeout=30).read().decode()
    public = "https://faces.example:8443/faces/api/v1/predict"
    assert (public in page) == bool(proxies)
    assert (f"{url}/api/v1/predict" in page) != bool(proxies)


def test_without_a_proxy_its_headers_are_ignored(client):
    page = client.get("/docs", headers=FORWARDED).get_data(as_text=True)
    assert "http://localhost/api/v1/predict" in page


def test_behind_a_proxy_tries_are_counted_by_client(recognizer):
    client = create_app(recognizer, token="s3cret-token", proxies=1).test_client()
    for _ in range(11):
        wrong = client.get("/metrics", headers=FORWARDED | {"Authorization": "Bearer no"})
    check_problem(wrong, 429, "wrong tokens")
    other = {"X-Forwarded-For": "192.0.2.8"}
    assert client.get("/metrics", headers=FORWARDED | other | GOOD).status_code == 200


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
