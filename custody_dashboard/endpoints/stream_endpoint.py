"""`/api/stream`: the pool's changes as server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sse_starlette import EventSourceResponse

from custody_dashboard.watch.hub import MAX_BROWSERS
from custody_dashboard.web.api_error import busy
from custody_dashboard.web.parameters import Parameters

if TYPE_CHECKING:
    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context


class StreamEndpoint:
    """The one endless answer."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def stream(self, request: Request) -> EventSourceResponse:
        """Send the state, then what changes, and a beat every second."""
        Parameters(request.query_params, ())
        self._context.person(request)
        hub = self._context.watch.hub
        if len(hub) >= MAX_BROWSERS:
            raise busy(f"{MAX_BROWSERS} browsers are watching already; close one")
        # The beats are the signs of life, so the library's own pings are not needed.
        return EventSourceResponse(hub.frames(request.headers.get("last-event-id")), ping=0)
