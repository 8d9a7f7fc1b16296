"""Back in time: `/api/at`, `/api/diff`, `/api/timeline`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custody_dashboard.past.named_moments import moment_asked, moment_of
from custody_dashboard.past.timeline import timeline_document
from custody_dashboard.web.api_error import bad_request
from custody_dashboard.web.json_reply import EncodedReply, JsonReply
from custody_dashboard.web.parameters import Parameters

if TYPE_CHECKING:
    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context


class PastEndpoints:
    """The endpoints about the past."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def at(self, request: Request) -> EncodedReply:
        """Answer with the document of a moment, as the stream's `state` is."""
        self._context.person(request)
        given = Parameters(request.query_params, ("position", "at"))
        moment = await moment_asked(self._context.watch.follower, given)
        if moment is None:
            raise bad_request("name position, at or both")
        return EncodedReply((await self._context.past.at(moment)).document())

    async def diff(self, request: Request) -> JsonReply:
        """Answer with what changed between two moments."""
        self._context.person(request)
        given = Parameters(request.query_params, ("from", "to"))
        earlier, later = given.raw("from"), given.raw("to")
        if earlier is None or later is None:
            raise bad_request("name both moments, from and to: each a position or a time")
        follower = self._context.watch.follower
        first, second = await moment_of(follower, earlier, "from"), await moment_of(follower, later, "to")
        return JsonReply(await self._context.past.diff(first, second))

    async def timeline(self, request: Request) -> JsonReply:
        """Answer with how busy the pool was over its whole log."""
        self._context.person(request)
        Parameters(request.query_params, ())
        timeline, follower = self._context.timeline, self._context.watch.follower
        samples = await timeline.samples(await follower.log.first_position(), follower.position)
        return JsonReply(timeline_document(samples))
