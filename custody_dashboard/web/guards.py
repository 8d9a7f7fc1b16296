"""Checks that every request passes before an endpoint sees it, and headers that every answer gets.

Written against ASGI itself: Starlette's own base class for such things would hold a stream's parts back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from custody_dashboard.web.api_error import ApiError
from custody_dashboard.web.json_reply import JsonReply

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger(__name__)
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SAME_ORIGIN_FETCHES = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site` for requests of the page itself, and of a person who types the address."""
API = "/api/"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every answer. An endpoint's own content security policy stays."""
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


class Guards:
    """Refuses requests for other hosts and of other origins, and sets the headers of safety.

    `hosts`: the names under which the page is known; None: any. A page of a stranger whose name was made to lead here
    (DNS rebinding) sends that name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(each.lower() for each in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sender = _HeaderSender(send)
        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
            await self._app(scope, receive, sender)
        except ApiError as error:
            await JsonReply(error.as_json(), error.status)(scope, receive, sender)
        except Exception:
            _LOG.exception("%s %r", scope["method"], scope["path"])
            if sender.begun:
                raise
            failure = ApiError(500, "internal", "this request failed inside the dashboard; its log says how")
            await JsonReply(failure.as_json(), failure.status)(scope, receive, sender)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._hosts is not None and host_name(host) not in self._hosts:
            raise ApiError(
                421,
                "wrong_host",
                f"this dashboard is not known as {host[:80]!r}; open it under another name, or start it with"
                " --allow-host",
            )
        site = headers.get("sec-fetch-site")
        foreign = site is not None and site not in SAME_ORIGIN_FETCHES
        if method in _SAFE_METHODS:
            # A link from elsewhere may be followed; what another page loads in passing only costs.
            foreign = foreign and path.startswith(API) and headers.get("sec-fetch-mode") != "navigate"
        else:
            origin = headers.get("origin")
            foreign = foreign or (origin is not None and not _same_origin(origin, host))
        if foreign:
            raise ApiError(403, "foreign_origin", "only the dashboard's own page may ask; this came from another one")


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without its port and the brackets of an address; empty for none."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if not set(host) & set("/?#@\\") else ""
    except ValueError:
        return ""


def _same_origin(origin: str, host: str) -> bool:
    """Return whether an origin is the host that was asked, whatever the scheme: a proxy may end TLS."""
    try:
        parts, asked = urlsplit(origin), urlsplit(f"//{host}")
        standard = {"http": 80, "https": 443}.get(parts.scheme)
        ports = parts.port or standard, asked.port or standard
    except ValueError:
        return False
    return standard is not None and parts.hostname == asked.hostname and ports[0] == ports[1]


class _HeaderSender:
    """Sends an answer's messages on, with the headers of safety in the first one."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", API_POLICY)
        await self._send(message)
