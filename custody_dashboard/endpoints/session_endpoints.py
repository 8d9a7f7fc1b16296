"""Who asks, and what they may do: `/api/session`, `/api/login`, `/api/logout`."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from custody_dashboard.endpoints.stream_endpoint import stream_owner
from custody_dashboard.web.api_error import ApiError, bad_request, unavailable
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.parameters import Parameters
from custody_dashboard.web.people import SESSION_S, TokenFileError
from custody_dashboard.web.request_body import json_body
from domain.timestamps import format_timestamp
from handlers.memory.positions import time_at
from handlers.ports import LogUnavailableError
from infra.cli.watching.watched_pool import UnwatchedError

if TYPE_CHECKING:
    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context

SOFTWARE = f"custody {version('custody')}"
MAX_TOKEN_CHARS = 512


class SessionEndpoints:
    """The endpoints about the person."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def session(self, request: Request) -> JsonReply:
        """Tell who asks, what they may do, and which pool this is."""
        Parameters(request.query_params, ())
        context, watch = self._context, self._context.watch
        person = context.person(request)
        why_not = context.why_not_act(person)
        answer = JsonReply(
            {
                "pool": watch.settings.pool,
                "person": person.name,
                "by_token": person.by_token,
                "can_act": why_not is None,
                "why_not": why_not,
                "csrf": person.csrf,
                "why_no_stream": watch.hub.why_full(stream_owner(person)),
                "version": SOFTWARE,
                "mode": watch.mode,
                **await self._span(),
            }
        )
        cookie = context.renewed(request, person)
        if cookie is not None:
            self._set_cookie(request, answer, cookie)
        return answer

    async def login(self, request: Request) -> JsonReply:
        """Begin a session for who has a token."""
        token = (await json_body(request)).get("token")
        if not isinstance(token, str) or not token or len(token) > MAX_TOKEN_CHARS:
            raise bad_request('the body should be {"token": "…"}')
        try:
            cookie = self._context.people.login(token)
        except TokenFileError as error:
            raise unavailable(str(error)) from None
        if cookie is None:
            raise ApiError(403, "unknown_token", "this token is not in the dashboard's token file")
        answer = JsonReply({"ok": True})
        self._set_cookie(request, answer, cookie)
        return answer

    def _set_cookie(self, request: Request, answer: JsonReply, cookie: str) -> None:
        answer.set_cookie(
            self._context.cookie,
            cookie,
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    async def logout(self, request: Request) -> JsonReply:
        """End the session of this browser, and its streams."""
        try:
            self._context.people.logout(request.cookies.get(self._context.cookie))
        except TokenFileError as error:
            raise unavailable(str(error)) from None
        answer = JsonReply({"ok": True})
        answer.delete_cookie(
            self._context.cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return answer

    async def _span(self) -> dict[str, object]:
        """Return where the log begins and ends; nulls while that is not known."""
        watch = self._context.watch
        unknown: dict[str, object] = {"position": 0, "first_position": None, "first_at": None, "last_at": None}
        try:
            watch.linked()
            follower = watch.follower
            first = await follower.log.first_position()
            began = await time_at(follower.log, follower.codec, min(first, follower.position), above=first - 1)
        except (UnwatchedError, LogUnavailableError):
            return unknown
        return {
            "position": follower.position,
            "first_position": first,
            "first_at": None if began is None else format_timestamp(began),
            "last_at": format_timestamp(follower.memory.state.last_time) if follower.position else None,
        }
