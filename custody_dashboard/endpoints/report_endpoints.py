"""The morning report, and post-mortems as pages."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import HTMLResponse

from custody_dashboard.past.named_moments import moment_asked, moment_of
from custody_dashboard.past.past_states import Moment
from custody_dashboard.web.api_error import ApiError, bad_request, not_found
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.parameters import Parameters
from custody_dashboard.web.turns import Turns
from domain.events import Entity
from domain.subjects import subject_token
from domain.timestamps import EPOCH, after, format_timestamp
from handlers.follower.morning_fold import MorningFold
from handlers.follower.past import position_of
from handlers.memory.positions import time_at
from handlers.ports import evt_prefix
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import BrokerLog
from infra.cli.session.postmortem_page import make_page
from infra.cli.session.session import Session
from infra.cli.terminal.output import Output
from projections.live.morning import LONGEST_MINUTES, report

if TYPE_CHECKING:
    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context
    from handlers.follower.follower import Follower
    from projections.live.morning import Line

DEFAULT_SINCE_S = 12 * 3600.0
"""The morning report without `since`: the last twelve hours, from a full hour on, so that it is one report for an hour
and is not begun anew at each request."""
MAX_MORNING_EVENTS = 5_000_000
"""The latest events that a report is made of: about a minute of one core, in slices."""
STEP_S = 1.5
"""For how long one request folds; until the report is whole, each is answered with how far it is."""
KEPT_MORNINGS = 8
POSTMORTEM_EVENTS = 2_000
AGENT_SPAN_S = 86_400.0
"""An agent's post-mortem, where no range is named, is of so long before and after its newest event."""
AGENT_SPAN_EVENTS = 40_000
"""And of no more events before it, nor after it: all of them are folded, at some 50 µs each."""
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


class _Stretch(NamedTuple):
    """What a report is of."""

    since: Moment
    until: Moment
    past: bool
    """Whether it ends at a moment that was asked for; otherwise it ends now."""


class ReportEndpoints:
    """The endpoints that read a stretch of the log; one at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turns = Turns(MAX_WAITING, "reports")
        self._mornings: OrderedDict[tuple[int, int | None], MorningFold] = OrderedDict()

    async def morning(self, request: Request) -> JsonReply:
        """Answer with what happened since a moment, up to now or to another moment, in ten lines.

        While the events are being read, the answer is 503 `reading` and says how far that is: ask again.
        """
        self._context.person(request)
        watch = self._context.watch
        watch.linked()
        follower = watch.follower
        stretch = await self._stretch(request, follower)
        fold = await self._fold(stretch, follower)
        left_out = fold.begin - stretch.since.position
        first: datetime | None = stretch.since.now
        if left_out > 0 or first == EPOCH:
            first = await time_at(follower.log, follower.codec, fold.begin + 1)
        lines, until = await self._lines(fold, stretch, follower)
        return JsonReply(
            {
                **report(lines, stretch.since.now),
                "from": format_timestamp(first or stretch.since.now),
                "until": format_timestamp(until),
                "past": stretch.past,
                "position": fold.through,
                "events": fold.through - fold.begin,
                "events_left_out": left_out,
            }
        )

    async def _stretch(self, request: Request, follower: Follower) -> _Stretch:
        """Return what a request asks for: `since` a moment, and up to the moment that it names, otherwise up to now."""
        given = Parameters(request.query_params, ("since", "position", "at"))
        asked = await moment_asked(follower, given)
        until = asked or Moment(follower.position, follower.now)
        since = await moment_of(follower, given.raw("since") or _full_hour_before(until.now, DEFAULT_SINCE_S), "since")
        if since.position > until.position or since.now > until.now:
            raise bad_request("since is after the moment up to which the report goes")
        return _Stretch(since, until, asked is not None)

    async def _fold(self, stretch: _Stretch, follower: Follower) -> MorningFold:
        """Return the whole fold of a stretch; the latest few are kept, and only folded further.

        Raises ApiError while there is more to read.
        """
        since, until, past = stretch
        key = (since.position, until.position if past else None)
        async with self._turns.turn():
            fold = self._mornings.pop(key, None)
            if fold is None or fold.memory is not follower.memory:
                begin = max(since.position, until.position - MAX_MORNING_EVENTS)
                oldest = after(until.now, -60.0 * LONGEST_MINUTES)
                if since.now < oldest:
                    begin = max(begin, await position_of(follower, oldest))
                fold = MorningFold(follower, begin)
            self._mornings[key] = fold
            while len(self._mornings) > KEPT_MORNINGS:
                self._mornings.popitem(last=False)
            if not await fold.advance(until.position, STEP_S):
                read, number = fold.through - fold.begin, until.position - fold.begin
                part = 100 * read // number
                raise ApiError(503, "reading", f"Reading the log: {read:,} of {number:,} events, {part} %")
        return fold

    async def _lines(self, fold: MorningFold, stretch: _Stretch, follower: Follower) -> tuple[list[Line], datetime]:
        """Return the lines as of the end of the stretch, and that moment."""
        if not stretch.past:
            return fold.morning.lines(follower.memory.state, follower.now), follower.now
        found = await self._context.past.at(stretch.until)
        return fold.morning.lines(found.memory.state, stretch.until.now), stretch.until.now

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
        if agent is not None and task is None and begin is None and end is None:
            first, last = await _around(agent, follower, first, last)
        log = BrokerLog(watch.settings.pool, link.log, link.api, first=first, last=last)
        session = Session(watch.settings, Output(as_json=True, now=datetime.now(UTC)), 0.0)
        async with self._turns.turn():
            try:
                made = await make_page(session, log, task, agent, (first, last), POSTMORTEM_EVENTS)
            except CommandError as error:
                raise not_found(str(error)) from None
        return HTMLResponse(made.html, headers=PAGE_HEADERS)


async def _around(agent: str, follower: Follower, first: int, last: int) -> tuple[int, int]:
    """Return the range of a day, at most, before and after the newest event about an agent, within a range.

    Of a task the range is its own life; an agent may have been there for months.
    """
    newest = await follower.log.last_by_subject(
        f"{evt_prefix(follower.pool_id)}{Entity.AGENT.value}.{subject_token(agent)}.>"
    )
    at = None if newest is None else await time_at(follower.log, follower.codec, newest.position)
    if newest is None or at is None:
        return first, last
    begin = await position_of(follower, after(at, -AGENT_SPAN_S)) + 1
    end = await position_of(follower, after(at, AGENT_SPAN_S))
    first = max(first, begin, newest.position - AGENT_SPAN_EVENTS)
    return first, min(last, end, newest.position + AGENT_SPAN_EVENTS)


def _full_hour_before(moment: datetime, seconds: float) -> str:
    return format_timestamp(after(moment, -seconds).replace(minute=0, second=0, microsecond=0))
