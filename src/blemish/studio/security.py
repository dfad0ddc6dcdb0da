"""Guard of the studio: who may ask, from where, and how much.

The server listens on this machine only, but every page in a browser, and every user of the machine,
can reach a local port. So each request must carry the token of this start, name a host that is this
server (against DNS rebinding) and come from the studio's own page (against other pages).
"""

import hmac
import secrets
import socket
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blemish.decode import BYTE_LIMIT

MOST_BYTES = 4 * 2**20  # of a request that is no file
MOST_MASK_BYTES = 32 * 2**20  # of a mask's file, which is read into memory
MOST_AT_ONCE = 32  # requests that are being answered
UPLOADS = ("/api/photographs", "/mask-file")  # ends of the paths that take a file
SAFE = ("GET", "HEAD")
POLICY = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class TooLargeError(Exception):
    """Body of a request that is longer than allowed."""


class Guard:
    """ASGI middleware that refuses what does not come from the studio's own page.

    Args:
        app: The studio.
        token: Secret of this start.
        names: Host names of this server, without a port.
    """

    def __init__(self, app: ASGIApp, *, token: str, names: Iterable[str]) -> None:
        self.app, self.token, self.names = app, token, frozenset(names)
        self.active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await _close(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is None and self.active >= MOST_AT_ONCE:
            refused = (503, "too many requests at once")
        if refused is not None:
            await self._refuse(*refused)(scope, receive, self._sealed(scope, send))
            return
        self.active += 1
        try:
            await self._answer(scope, receive, self._sealed(scope, send))
        finally:
            self.active -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and stop reading where a body is longer than allowed."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, _bounded(receive, most_bytes(scope)), noted)
        except TooLargeError:
            if not begun:
                await self._refuse(413, "too large a body")(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason; None for a request that may be answered."""
        headers = Headers(scope=scope)
        if not self._names_us(headers.getlist("host"), scope):
            return 421, "another host"
        if not self._knows_token(scope, headers):
            return 403, "no valid token"
        if not self._comes_from_us(scope, headers):
            return 403, "another origin"
        return _refusal_of_body(scope, headers)

    def _names_us(self, hosts: list[str], scope: Scope) -> bool:
        address, port = scope.get("server") or ("", None)
        known = {*self.names, f"[{address}]" if ":" in address else address}
        return len(hosts) == 1 and hosts[0].lower() in {f"{name}:{port}" for name in known}

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        query = QueryParams(scope["query_string"]).get("token")
        given = (query, headers.get("x-blemish-token"), _cookie(headers, cookie_name(scope)))
        return any(one and hmac.compare_digest(one.encode(), self.token.encode()) for one in given)

    def _comes_from_us(self, scope: Scope, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if origin is not None and origin.lower() != f"http://{headers['host'].lower()}":
            return False
        opened = scope["path"] == "/" and scope["method"] in SAFE  # a link in a terminal or a mail
        return opened or site in ("same-origin", "none")

    def _refuse(self, status: int, reason: str) -> JSONResponse:
        return JSONResponse({"refused": reason}, status)

    def _sealed(self, scope: Scope, send: Send) -> Send:
        """Adds the headers that bind the browser; a report brings a stricter policy of its own."""

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in POLICY.items():
                    headers.setdefault(name, value)
            await send(message)

        return sealed


def make_token() -> str:
    """A secret of 192 bits, safe in a URL."""
    return secrets.token_urlsafe(24)


def cookie_name(scope: Scope) -> str:
    """Name of the token's cookie; cookies of one host are shared by all its ports."""
    _, port = scope.get("server") or ("", 0)
    return f"blemish-studio-{port}"


def host_names(host: str) -> tuple[str, ...]:
    """Names under which a server at this address is reached."""
    local = ("127.0.0.1", "localhost")
    return local if host in local else (*local, host.lower(), socket.gethostname().lower())


def most_bytes(scope: Scope) -> int:
    """Longest body of a request to this path."""
    if scope["method"] != "POST" or not scope["path"].endswith(UPLOADS):
        return MOST_BYTES
    return BYTE_LIMIT if scope["path"] == UPLOADS[0] else MOST_MASK_BYTES


def _refusal_of_body(scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18:
        return 400, "a malformed length"
    if int(length) > most_bytes(scope):
        return 413, "too large a body"
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    sends = scope["method"] not in SAFE
    wanted = "application/octet-stream" if scope["path"].endswith(UPLOADS) else "application/json"
    return (415, f"a body that is not {wanted}") if sends and kind != wanted else None


def _bounded(receive: Receive, most: int) -> Receive:
    """Raises once more than so many bytes have arrived; a chunked body states no length."""
    total = 0

    async def bounded() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise TooLargeError
        return message

    return bounded


async def _close(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket; the studio has none."""
    await send({"type": "websocket.close", "code": 1008})


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if found is None else found.value
