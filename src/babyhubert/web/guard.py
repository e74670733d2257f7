"""Guard in front of a local page: only the person who was given the address gets anything.

A server on 127.0.0.1 is within reach of every page that a browser has open, and of every program on the machine. So
each request must name this server as its host (a foreign name that resolves to 127.0.0.1 does not), must not come from
a page of another origin, and must carry a random token: once in the address, afterwards in a cookie.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NONCE = "babyhubert.nonce"
"""Key of the request's scope: the nonce that its page may give to style elements and scripts."""

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_BY_DEFAULT = ((b"cache-control", b"no-store"),)
_ENTRY = (
    b'<!doctype html><html lang="en"><link rel="icon" href="data:,">'
    b'<meta http-equiv="refresh" content="0;url=%s"><title>Opening</title></html>'
)


class Guard:
    """ASGI middleware that refuses every request but those of the person who was given the address.

    It also gives every response a content security policy without foreign sources (a response that brings its own
    keeps it) and forbids storing it in the browser's cache.

    Args:
        app: The application behind it.
        port: Port of the server, which is part of its name as a host.
        token: Secret in the address.
    """

    def __init__(self, app: App, port: int, token: str) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self._cookie = f"babyhubert-{port}"  # cookies are shared by all ports of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        reason = self._foreign(scope)
        if reason is not None:
            await _refuse(send, reason)
        elif self._is_entry(scope):
            await self._enter(scope, send)
        elif not self._has_cookie(scope) or _header(scope, b"sec-fetch-site") not in (None, b"same-origin", b"none"):
            await _refuse(send, "Open the address that the command printed in the terminal.")
        else:
            await self._app(scope, receive, _with_headers(scope, send))

    def _foreign(self, scope: Scope) -> str | None:
        """Reason to refuse a request for its host or origin."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "This server answers to 127.0.0.1 alone."
        origin = _header(scope, b"origin")
        if origin is None:
            safe = scope["method"] in _SAFE_METHODS
            return None if safe else "A request that changes something must come from this server's own page."
        return None if origin == b"http://" + hosts[0] else "This request comes from another page."

    def _is_entry(self, scope: Scope) -> bool:
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        return scope["method"] == "GET" and len(given) == 1 and self._is_token(given[0])

    def _has_cookie(self, scope: Scope) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        try:
            for name, value in scope["headers"]:
                if name == b"cookie":
                    cookies.load(value.decode("latin-1"))
        except CookieError:
            return False
        return self._cookie in cookies and self._is_token(cookies[self._cookie].value)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _enter(self, scope: Scope, send: Send) -> None:
        """Hand over the cookie and lead to the page by a page of this origin, so that a strict cookie is sent."""
        path = scope["path"] if scope["path"].isascii() and scope["path"].replace("/", "").isalnum() else "/"
        path = "/" + path.lstrip("/")
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        body = _ENTRY % path.encode()
        await _answer(_with_headers(scope, send), 200, b"text/html", body, [(b"set-cookie", cookie.encode())])


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)


async def _refuse(send: Send, reason: str) -> None:
    await _answer(send, 403, b"text/plain", f"{reason}\n".encode(), list(_ALWAYS))


async def _answer(send: Send, status: int, kind: bytes, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    content = [(b"content-type", kind + b"; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*content, *headers]})
    await send({"type": "http.response.body", "body": body})


def _with_headers(scope: Scope, send: Send) -> Send:
    """A ``send`` that adds the headers of every response of this server."""
    nonce = secrets.token_urlsafe(16)
    scope[NONCE] = nonce
    defaults = (*_BY_DEFAULT, (b"content-security-policy", _POLICY.format(nonce=nonce).encode()))

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message["headers"] = [*given, *_ALWAYS, *((name, value) for name, value in defaults if name not in names)]
        await send(message)

    return add
