"""The morning report, and post-mortems as pages."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import HTMLResponse

from custody_dashboard.past.named_moments import moment_of
from custody_dashboard.web.api_error import bad_request, not_found
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.parameters import Parameters
from custody_dashboard.web.turns import Turns
from domain.timestamps import after, format_timestamp
from handlers.follower.past import records_between
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import BrokerLog
from infra.cli.session.postmortem_page import make_page
from infra.cli.session.session import Session
from infra.cli.terminal.output import Output
from projections.live.morning import Morning, report

if TYPE_CHECKING:
    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context
    from handlers.follower.follower import Follower
    from handlers.memory.memory import Memory

DEFAULT_SINCE_S = 12 * 3600.0
"""The morning report without `since`: the last twelve hours."""
MAX_MORNING_EVENTS = 300_000
"""The latest events that a report is made of."""
KEPT_MORNINGS = 4
POSTMORTEM_EVENTS = 2_000
MAX_WAITING = 8
PAGE_HEADERS = {
    # The page names its own script and style by digest, in a policy of its own; from here it may not do more.
    "Content-Security-Policy": (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "Cache-Control": "no-store",
}


class _Kept(NamedTuple):
    morning: Morning
    memory: Memory
    """The follower's; another one is of another log."""
    begin: int
    through: int


class ReportEndpoints:
    """The endpoints that read a stretch of the log; one at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turns = Turns(MAX_WAITING, "reports")
        self._mornings: OrderedDict[int, _Kept] = OrderedDict()

    async def morning(self, request: Request) -> JsonReply:
        """Answer with what happened since a moment, in ten lines."""
        self._context.person(request)
        given = Parameters(request.query_params, ("since",))
        watch = self._context.watch
        watch.linked()
        follower = watch.follower
        text = given.raw("since") or format_timestamp(after(follower.now, -DEFAULT_SINCE_S))
        moment = await moment_of(follower, text, "since")
        async with self._turns.turn():
            kept = await self._since(moment.position, follower)
            document = report(kept.morning.lines(follower.memory.state, follower.now), moment.now)
        return JsonReply(
            {
                **document,
                "until": format_timestamp(follower.now),
                "position": kept.through,
                "events": kept.through - kept.begin,
                "events_left_out": kept.begin - moment.position,
            }
        )

    async def _since(self, position: int, follower: Follower) -> _Kept:
        """Return the fold of the events since a position; the latest few are kept, and only folded further."""
        kept = self._mornings.pop(position, None)
        if kept is None or kept.memory is not follower.memory:
            begin = max(position, follower.position - MAX_MORNING_EVENTS)
            kept = _Kept(Morning(), follower.memory, begin, begin)
        until = follower.position
        if until > kept.through:
            stretch = records_between(follower.log, follower.codec, after=kept.through, until=until)
            async with aclosing(stretch) as slices:
                async for records in slices:
                    kept.morning.observe(records)
            kept = kept._replace(through=until)
        # Not kept meanwhile: a fold that is broken off is between two positions.
        self._mornings[position] = kept
        while len(self._mornings) > KEPT_MORNINGS:
            self._mornings.popitem(last=False)
        return kept

    async def postmortem(self, request: Request) -> HTMLResponse:
        """Answer with the page that `custody postmortem` writes."""
        self._context.person(request)
        given = Parameters(request.query_params, ("task", "agent", "from", "to"))
        task, agent = given.task_id("task"), given.agent_id("agent")
        if task is None and agent is None and not ("from" in given or "to" in given):
            raise bad_request("name a task, an agent, or a range with from and to")
        watch = self._context.watch
        link, follower = watch.linked(), watch.follower
        first = await follower.log.first_position()
        begin, end = given.raw("from"), given.raw("to")
        if begin is not None:
            first = max(first, (await moment_of(follower, begin, "from")).position)
        last = follower.position if end is None else (await moment_of(follower, end, "to")).position
        log = BrokerLog(watch.settings.pool, link.log, link.api, first=first, last=last)
        session = Session(watch.settings, Output(as_json=True, now=datetime.now(UTC)), 0.0)
        async with self._turns.turn():
            try:
                made = await make_page(session, log, task, agent, (first, last), POSTMORTEM_EVENTS)
            except CommandError as error:
                raise not_found(str(error)) from None
        return HTMLResponse(made.html, headers=PAGE_HEADERS)
