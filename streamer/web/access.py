"""Who may ask the server for what: the token, the names it answers to, and other sites.

A server that only this machine can reach asks for no token, but still refuses what a page
of another site sends through the user's browser: requests to a name that is not the
server's (DNS rebinding), with another site's Origin, or without the token against
cross-site request forgery that its own pages carry.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from flask import Flask, Response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFProtect, validate_csrf
from wtforms import ValidationError

from streamer.errors import OutputError
from streamer.web.errors import Forbidden, Unauthorized
from streamer.web.private import write_private

TOKEN_BYTES = 24
"""Randomness of the token; it cannot be guessed."""

TOKEN_FILE, SECRET_FILE = "token.sha256", "secret"
"""Where the server remembers the token's digest, and the key that signs its cookies."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

OPEN_ENDPOINTS = ("login", "static", "monitoring.health")
"""What is answered without the token."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; "
    "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
"""Sent with every answer."""


@dataclass(frozen=True)
class Access:
    """What the server asks of a request.

    Attributes:
        digest: SHA-256 of the token, in hexadecimal; "" where none is needed.
        names: Names that the server answers to; empty for any.
        secret: Key that signs cookies.
        secure: Whether it is reached by HTTPS only.
    """

    digest: str
    names: frozenset[str]
    secret: str
    secure: bool = False

    def is_token(self, token: str) -> bool:
        """Return whether a token is the server's."""
        return bool(self.digest) and hmac.compare_digest(digest_of(token), self.digest)


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def open_access(
    folder: Path,
    host: str,
    names: tuple[str, ...],
    *,
    renew: bool = False,
    secure: bool = False,
    remember: bool = True,
) -> tuple[Access, str]:
    """Return what to ask of requests, and the token if it was made now.

    Only the token's digest is remembered, so it can be shown this once.

    Args:
        folder: Where the digest and the signing key are remembered.
        host: What the server listens on.
        names: Other names that browsers may call it by.
        renew: Whether to make a new token in place of the one before.
        secure: Whether it is reached by HTTPS only.
        remember: Whether what is made now may be written; what was is used in any case.

    Raises:
        OutputError: If they cannot be remembered.
    """
    try:
        secret = _remembered(folder / SECRET_FILE, secrets.token_hex(32), remember)
        if is_loopback(host) and not names:
            known = frozenset({"localhost", "127.0.0.1", "::1", host.strip("[]").lower()})
            return Access("", known, secret, secure), ""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        if renew and remember:
            (folder / TOKEN_FILE).unlink(missing_ok=True)
        digest = digest_of(token)
        if remember or not renew:
            digest = _remembered(folder / TOKEN_FILE, digest, remember)
    except OSError as error:
        raise OutputError(
            f"{folder}: the server's token cannot be kept: {error.strerror or error}; "
            "make room, or give another folder with --data"
        ) from error
    return Access(digest, frozenset(), secret, secure), token if digest == digest_of(token) else ""


def _remembered(path: Path, new: str, remember: bool) -> str:
    """Return what a file holds, or else ``new``, written there for its owner only."""
    if path.exists() and (found := path.read_text(encoding="ascii", errors="replace").strip()):
        return found
    if remember:
        write_private(path, f"{new}\n".encode())
    return new


def guard(app: Flask, access: Access) -> None:
    """Let an application answer only what ``access`` lets through, with safe headers."""
    app.secret_key = access.secret
    app.config.update(
        SESSION_COOKIE_NAME="captioner",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=access.secure,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
    )
    CSRFProtect(app)
    app.before_request(lambda: _check_request(access))
    app.after_request(_add_headers)
    app.add_url_rule("/login", "login", lambda: _login(access), methods=["GET", "POST"])


def _check_request(access: Access) -> ResponseReturnValue | None:
    _check_name(access)
    _check_site()
    token = request.args.get("token", "")
    if access.digest and token and request.method == "GET" and access.is_token(token):
        _let_in(access)
        return redirect(quote(request.path))
    if request.endpoint in OPEN_ENDPOINTS or _is_let_in(access):
        _check_forgery(access)
        return None
    if request.path.startswith("/api/") or "html" not in request.headers.get("Accept", ""):
        raise Unauthorized(
            "this server needs its token: send Authorization: Bearer TOKEN, or log in at /login"
        )
    return redirect(url_for("login"))


def _check_name(access: Access) -> None:
    name = (urlsplit(f"//{request.host}").hostname or "").lower()
    if access.names and name not in access.names:
        raise Forbidden(
            f"this server is not called {name!r}; use http://localhost, or let it answer to the "
            "name with --set web.names"
        )


def _check_site() -> None:
    """Refuse what another site's page sends, but for a link that is followed.

    Raises:
        Forbidden: If it comes from there.
    """
    headers = request.headers
    upgrade = headers.get("Upgrade", "").lower() == "websocket"
    site = headers.get("Sec-Fetch-Site", "same-origin")
    if request.method in SAFE_METHODS and not upgrade:
        followed = headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if site in ("same-origin", "none") or (followed and not _is_embedded()):
            return
    origin = headers.get("Origin", "")
    other = origin and _authority(origin) != request.host.lower()
    if other or site not in ("same-origin", "none"):
        raise Forbidden(
            f"a page of another site ({origin or 'unknown'}) may not do this; "
            "open the server's own page"
        )


def _is_embedded() -> bool:
    return request.headers.get("Sec-Fetch-Dest", "document") != "document"


def _authority(origin: str) -> str | None:
    """Return the host and port of an origin; None if it has none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _check_forgery(access: Access) -> None:
    """Ask the browser for the token that the server's own pages carry.

    Raises:
        Forbidden: If it is missing or wrong.
    """
    if request.method in SAFE_METHODS or not _from_browser() or _has_bearer(access):
        return
    form = request.endpoint == "login"
    token = request.form.get("csrf_token") if form else request.headers.get("X-CSRFToken")
    try:
        validate_csrf(token)
    except ValidationError as error:
        raise Forbidden(f"{error} Load the page again, and try once more") from error


def _from_browser() -> bool:
    """Whether the request may have been sent by a page, and not by a program."""
    names = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Cookie", "Referer")
    return any(name in request.headers for name in names) or request.endpoint == "login"


def _has_bearer(access: Access) -> bool:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and access.is_token(token.strip())


def _is_let_in(access: Access) -> bool:
    return (
        not access.digest
        or _has_bearer(access)
        or hmac.compare_digest(str(session.get("access", "")), access.digest)
    )


def _let_in(access: Access) -> None:
    session.permanent = True
    session["access"] = access.digest


def _login(access: Access) -> ResponseReturnValue:
    if request.method == "POST" and access.is_token(request.form.get("token", "").strip()):
        _let_in(access)
        return redirect(url_for("pages.live"))
    if _is_let_in(access):
        return redirect(url_for("pages.live"))
    wrong = request.method == "POST"
    error = "That is not this server's token." if wrong else ""
    return render_template("login.html", error=error), 401 if wrong else 200


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
