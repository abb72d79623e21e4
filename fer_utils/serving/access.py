"""Access to the application: accepted host names, the token, and the security headers."""

import hmac
import re
from collections.abc import Callable, Iterable

from flask import Response, request

from fer_utils.errors import StudyError
from fer_utils.serving.problems import problem

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


def token_check(token: str, protected: set[str]) -> Check:
    """Refuse requests without the token to the `protected` endpoints and to all paths below /api/.

    The prefix covers paths that do not exist, so a client without the token cannot explore the API.
    """
    expected = token.encode()

    def check() -> Response | None:
        if request.endpoint not in protected and not request.path.startswith("/api/"):
            return None
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), expected):
            return None
        response = problem(
            401, "Expected the header `Authorization: Bearer TOKEN` with this server's token."
        )
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    return check


def security_headers(frame_ancestors: Iterable[str]) -> dict[str, str]:
    """Return the headers that forbid a browser everything that the page does not need.

    Args:
        frame_ancestors: sources that may frame the page, as Content-Security-Policy writes them.
    """
    framed_by = " ".join(frame_ancestors) or "'none'"
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # the chosen photo, shown from the browser's memory
        "media-src 'self' blob:",  # the chosen video
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        f"frame-ancestors {framed_by}",
    )
    permissions = ("display-capture", "geolocation", "microphone", "payment", "usb")
    return {
        "Content-Security-Policy": "; ".join(policy),
        # For browsers without frame-ancestors. All others ignore this header.
        "X-Frame-Options": "DENY" if framed_by == "'none'" else "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": ", ".join(["camera=(self)", *(f"{name}=()" for name in permissions)]),
        # No page of another site may show the camera, not even as a picture.
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
