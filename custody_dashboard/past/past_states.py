"""The pool as it was at a position: rebuilt from the nearest snapshot, one at a time, and the latest few kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from custody_dashboard.web.api_error import bad_request
from custody_dashboard.web.json_reply import to_json
from custody_dashboard.web.turns import Turns
from domain.timestamps import after
from handlers.follower.past import memory_at, position_of
from projections.live.history import History
from projections.live.live_view import LiveView, Reading
from projections.reports.diff import DiffBuilder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.recorded import Recorded
    from handlers.follower.follower import Follower
    from handlers.memory.memory import Memory

KEPT_STATES = 3
MAX_KEPT_TASKS = 100_000
"""Live tasks in all kept states together; at least one state is kept."""
MAX_WAITING = 8
"""Requests that wait for a state; one more is refused."""
HISTORY_S = 3600.0
HISTORY_EVENTS = 20_000
"""Of the events before a moment, so many make its lanes, rates and latest events."""
STEP_EVENTS = 20_000
"""A kept state that is at most so far before the wanted one is moved there."""
MAX_DIFF_EVENTS = 500_000
MAX_CHANGES = 500
"""Tasks, and agents, that a difference names."""
_SLICE = 200


class Moment(NamedTuple):
    """A point of the log: the last position by then, and the time."""

    position: int
    now: datetime


class PastState:
    """The pool at one position."""

    def __init__(self, memory: Memory, view: LiveView, now: datetime) -> None:
        self.memory = memory
        self.view = view
        self.now = now
        self._document: bytes | None = None
        view.tick(self.reading())

    @property
    def position(self) -> int:
        """The position."""
        return self.memory.state.position

    def reading(self) -> Reading:
        """Return what documents of that moment are made from."""
        return Reading(self.memory.state, self.now, self.memory.last_heard.heard_at, mode="past")

    def document(self) -> bytes:
        """Return the document of that moment as JSON."""
        if self._document is None:
            self._document = to_json({**self.view.document(self.reading()), "past": True})
        return self._document

    def move(self, now: datetime) -> None:
        """Show the memory as it is at a moment; it may have been folded further."""
        if now < self.now:
            # What changes by time alone is only looked for forwards.
            self.view.reset(self.memory.state, self.view.history)
        self.now, self._document = now, None
        self.view.tick(self.reading())


class PastStates:
    """The past of one log."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._kept: OrderedDict[int, PastState] = OrderedDict()
        self._turns = Turns(MAX_WAITING, "looks into the past")

    async def at(self, moment: Moment) -> PastState:
        """Return the pool at a moment of the log. Raises ApiError, LogUnavailableError."""
        async with self._turns.turn():
            return await self._at(moment.position, moment.now)

    async def diff(self, earlier: Moment, later: Moment) -> dict[str, Any]:
        """Return what changed between two moments. Raises ApiError, LogUnavailableError."""
        if (later.position, later.now) < (earlier.position, earlier.now):
            raise bad_request("from is after to: name the earlier moment first")
        if later.position - earlier.position > MAX_DIFF_EVENTS:
            raise bad_request(f"more than {MAX_DIFF_EVENTS} events are between them: choose moments closer together")
        async with self._turns.turn():
            return await self._diff(earlier, later)

    async def _at(self, position: int, now: datetime) -> PastState:
        found = self._kept.pop(position, None)
        if found is None:
            found = await self._moved(position, now) or await self._rebuilt(position, now)
        if found.now != now:
            found.move(now)
        self._kept[position] = found
        while len(self._kept) > 1 and (len(self._kept) > KEPT_STATES or self._kept_tasks() > MAX_KEPT_TASKS):
            self._kept.popitem(last=False)
        return found

    def _kept_tasks(self) -> int:
        return sum(len(each.memory.state.tasks) for each in self._kept.values())

    async def _moved(self, position: int, now: datetime) -> PastState | None:
        """Return the nearest kept state before a position, folded on to it; None if none is near."""
        nearest = max((each for each in self._kept if each < position), default=None)
        if nearest is None or position - nearest > STEP_EVENTS:
            return None
        # Not kept meanwhile: a fold that is broken off leaves it between two positions.
        found = self._kept.pop(nearest)
        view, state = found.view, found.memory.state
        await self._fold(found.memory, position, lambda recorded: view.observe([recorded], state))
        found.move(now)
        return found

    async def _rebuilt(self, position: int, now: datetime) -> PastState:
        since = after(now, -HISTORY_S) if position else now
        begin = await position_of(self._follower, since) if position else 0
        least = position - HISTORY_EVENTS
        history, begin = (History(known_since=since), begin) if begin >= least else (History(), least)
        memory = await memory_at(self._follower, begin)
        await self._fold(memory, position, lambda recorded: history.observe([recorded]))
        view = LiveView()
        view.reset(memory.state, history)
        # The first look at a large pool takes as long as the reset.
        await asyncio.sleep(0)
        return PastState(memory, view, now)

    async def _fold(self, memory: Memory, until: int, seen: Callable[[Recorded], None]) -> None:
        """Fold on to a position, a slice in a turn of the event loop."""
        if until <= memory.state.position:
            return
        async for chunk in self._follower.log.read(after=memory.state.position, until=until):
            for start in range(0, len(chunk), _SLICE):
                memory.fold(chunk[start : start + _SLICE], seen)
                await asyncio.sleep(0)

    async def _diff(self, earlier: Moment, later: Moment) -> dict[str, Any]:
        memory = await memory_at(self._follower, earlier.position)
        builder = DiffBuilder(memory.state, memory.statistics.totals(), earlier.now)
        await self._fold(memory, later.position, builder.observe)
        document = builder.result(memory.statistics.totals(), later.now).as_json()
        for kind in ("tasks", "agents"):
            document[f"more_{kind}"] = max(len(document[kind]) - MAX_CHANGES, 0)
            document[kind] = document[kind][:MAX_CHANGES]
        return document
