"""Access to the application: host names, origins, the token, and the security headers."""

import hmac
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from flask import Response, g, request
from werkzeug.datastructures import Headers

from fer_utils.errors import StudyError
from fer_utils.serving.problems import problem

_WRONG_TOKENS = 10  # wrong tokens from one address, after which it must wait
_WAIT = 60.0  # seconds that it waits
_ADDRESSES = 10_000  # addresses that are remembered

_logger = logging.getLogger(__name__)

Check = Callable[[], Response | None]
"""Function that Flask calls before a request. A response instead of None refuses the request."""


def expect_token(token: str) -> None:
    """Check that a header can carry the token.

    Raises:
        StudyError: the token is empty, or it is no b68token of RFC 6750.
    """
    if re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
        return
    # An empty token usually comes from a variable that was not set.
    found = "other characters" if token else "nothing"
    raise StudyError(
        f"token: expected letters, digits and -._~+/, found {found}. "
        "Create one with `openssl rand -hex 24`."
    )


def host_check(trusted: Iterable[str]) -> Check:
    """Refuse requests whose Host header, without the port, is not one of the `trusted` names."""
    names = {name.lower() for name in trusted}

    def check() -> Response | None:
        host = re.sub(r":\d*$", "", request.headers.get("Host", "")).lower()
        if host in names:
            return None
        expected = ", ".join(sorted(names))
        return problem(400, f"Host: expected a name of this server ({expected}), found {host!r}.")

    return check


def expect_origins(origins: Iterable[str]) -> None:
    """Check that each is an origin as browsers send it, or "*".

    Raises:
        StudyError: one of them is something else, such as a name without https://.
    """
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", origin):
            raise StudyError(
                f"origin: expected a scheme and a host such as https://lab.example, or *, found "
                f"{origin!r}. Leave out paths, and write small letters."
            )


def is_foreign(site: str | None) -> bool:
    """Whether a request with this header Sec-Fetch-Site comes from a page of another site."""
    # "none" is the visitor, such as a bookmark. "same-site" is another port or subdomain.
    return site is not None and site.lower() not in ("same-origin", "none")


FOREIGN = "This request comes from a page of another site, and this server does not allow it."
"""Reason of the refusal, for the client."""


def origin_check(allowed: frozenset[str]) -> Check:
    """Refuse requests with a body from pages of other sites, apart from the `allowed` origins.

    Any page can post a form to a server on its visitor's machine, although it cannot read the
    response. Programs send neither Origin nor Sec-Fetch-Site.
    """

    def check() -> Response | None:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return None
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if origin is not None and allowed & {origin, "*"}:
            return None
        foreign = is_foreign(site)
        if site is None and origin is not None:  # a browser that sends no Sec-Fetch-Site
            foreign = urlsplit(origin).netloc.lower() != request.host.lower()
        return problem(403, FOREIGN) if foreign else None

    return check


def cors_headers(allowed: frozenset[str], headers: Headers) -> dict[str, str]:
    """Return the headers by which a browser gives a response to a page of an `allowed` origin.

    Args:
        allowed: origins, or "*" for all.
        headers: headers of the request.
    """
    if not allowed:
        return {}
    found = {"Vary": "Origin"}
    origin = headers.get("Origin", "")
    if allowed & {origin, "*"}:
        found["Access-Control-Allow-Origin"] = "*" if "*" in allowed else origin
        found["Access-Control-Expose-Headers"] = "Retry-After, X-Request-ID"
        if "Access-Control-Request-Method" in headers:
            found["Access-Control-Allow-Methods"] = "GET, POST"
            found["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            found["Access-Control-Max-Age"] = "600"
    return found


class WrongTokens:
    """Counts wrong tokens by address, so that nobody can try many of them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, float]] = {}  # number, and time of the last one
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Return the seconds that the address must wait before its next token is looked at."""
        number, last = self._found.get(_network(address), (0, 0.0))
        return max(0.0, last + _WAIT - time.monotonic()) if number >= _WRONG_TOKENS else 0.0

    def count(self, address: str) -> None:
        """Count a wrong token."""
        key, now = _network(address), time.monotonic()
        with self._lock:
            number, last = self._found.pop(key, (0, now))
            self._found[key] = (number + 1 if now - last < _WAIT else 1, now)
            if len(self._found) > _ADDRESSES:
                del self._found[next(iter(self._found))]  # the one whose last try is oldest


def _network(address: str) -> str:
    """Return the address, or the network of an IPv6 address, of which one client has all."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(int(found) >> 64) if isinstance(found, IPv6Address) else address


def token_check(token: str, protected: set[str]) -> Check:
    """Refuse requests without the token to the `protected` endpoints and to all paths below /api/.

    The prefix covers paths that do not exist, so a client without the token cannot explore the API.
    Wrong tokens are logged. After several, an address must wait.
    """
    expected, wrong = token.encode(), WrongTokens()

    def check() -> Response | None:
        if request.endpoint not in protected and not request.path.startswith("/api/"):
            return None
        if request.method == "OPTIONS":  # a browser asks without the token what a page may send
            return None
        address = request.remote_addr or ""
        if wait := wrong.wait(address):
            response = problem(429, "Too many wrong tokens came from this address. Wait.")
            response.headers["Retry-After"] = str(int(wait) + 1)
            return response
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), expected):
            return None
        if sent:
            wrong.count(address)
            _logger.warning("wrong token from %s, request %s", address, g.request_id)
        response = problem(
            401, "Expected the header `Authorization: Bearer TOKEN` with this server's token."
        )
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    return check


def content_policy(*, wasm: bool) -> str:
    """Return the Content-Security-Policy of the page, without the sources that may frame it.

    Args:
        wasm: whether the page may compile WebAssembly, to answer on the visitor's device.
    """
    policy = (
        "default-src 'none'",
        "script-src 'self'" + (" 'wasm-unsafe-eval'" if wasm else ""),
        "style-src 'self'",
        "img-src 'self' blob:",  # the chosen photo, shown from the browser's memory
        "media-src 'self' blob:",  # the chosen video
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(policy)


def security_headers(frame_ancestors: Iterable[str], *, wasm: bool = False) -> dict[str, str]:
    """Return the headers that forbid a browser everything that the page does not need.

    Args:
        frame_ancestors: sources that may frame the page, as Content-Security-Policy writes them.
        wasm: as in `content_policy`.
    """
    framed_by = " ".join(frame_ancestors) or "'none'"
    permissions = ("display-capture", "geolocation", "microphone", "payment", "usb")
    return {
        "Content-Security-Policy": f"{content_policy(wasm=wasm)}; frame-ancestors {framed_by}",
        # For browsers without frame-ancestors. All others ignore this header.
        "X-Frame-Options": "DENY" if framed_by == "'none'" else "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": ", ".join(["camera=(self)", *(f"{name}=()" for name in permissions)]),
        # No page of another site may show the camera, not even as a picture.
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
