"""`/api/stream`: the pool's changes as server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sse_starlette import EventSourceResponse

from custody_dashboard.web.api_error import busy
from custody_dashboard.web.parameters import Parameters

if TYPE_CHECKING:
    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context
    from custody_dashboard.web.people import Person


class StreamEndpoint:
    """The one endless answer."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def stream(self, request: Request) -> EventSourceResponse:
        """Send the state, then what changes, and a beat every second.

        It ends when its person's session does. An event `session` says that `/api/session` has another answer.
        """
        Parameters(request.query_params, ())
        person = self._context.person(request)
        hub, owner = self._context.watch.hub, stream_owner(person)
        why_full = hub.why_full(owner)
        if why_full is not None:
            raise busy(why_full)
        frames = hub.frames(request.headers.get("last-event-id"), self._context.rights(request), owner)
        # The beats are the signs of life, so the library's own pings are not needed. A connection that takes nothing is
        # ended by `LimitedHttp`.
        return EventSourceResponse(frames, ping=0)


def stream_owner(person: Person) -> str | None:
    """Return whose streams are counted together; None where all people are one."""
    return person.name if person.by_token else None
