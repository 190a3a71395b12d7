"""Who may use the server: checks of Host, Origin and token, and the headers of every response."""

from __future__ import annotations

import ipaddress
import secrets
import socket

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepfake_seq.config import ServeConfig

OPEN_PATHS = frozenset({"/", "/healthz", "/openapi.json", "/static/page.css", "/static/page.js"})
"""Paths that need no token: they contain nothing about clips, runs or users."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data: blob:; media-src blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}

SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""Policy of files that are saved: if a browser shows one anyway, nothing in it is loaded or run."""


class AccessControl:
    """ASGI middleware that refuses requests which the page or a client would not send.

    - Host: a web page whose name resolves to this machine (DNS rebinding) is refused, because its
      Host is neither `localhost`, nor an IP address, nor an allowed name.
    - Origin: scripts and forms of other pages are refused.
    - Token: if there is one, all paths except `OPEN_PATHS` need `Authorization: Bearer TOKEN`.

    Args:
        app: The application.
        config: Token and allowed names.
    """

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self._app = app
        self._token = config.token.encode()
        self._names = {"localhost", *config.allowed_hosts}
        if not config.is_local:
            self._names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    sent.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(headers, scope["path"])
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers, path: str) -> JSONResponse | None:
        host = headers.get("host", "")
        if not self._is_known(host):
            return refuse(421, "this server does not answer for the name in the header Host")
        origin = headers.get("origin")
        same_origin = origin is None or origin.partition("://")[2] == host
        if not same_origin or headers.get("sec-fetch-site") == "cross-site":
            if path == "/" and origin is None:
                return None  # a link on another page leads here
            return refuse(403, "requests from other web pages are refused")
        if self._token and path not in OPEN_PATHS:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            sent = token.strip().encode()
            if scheme.lower() != "bearer" or not secrets.compare_digest(sent, self._token):
                return refuse(
                    401, "a valid token is needed", {"WWW-Authenticate": 'Bearer realm="deepseq"'}
                )
        return None

    def _is_known(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response for a request that is refused."""
    return JSONResponse({"error": message}, status, headers)
