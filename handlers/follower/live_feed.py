"""A live view kept by a follower: it begins with the present, and has the last day's history a moment later."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

from domain.timestamps import after
from handlers.follower.follower import FollowerState
from handlers.follower.past import position_of, records_between
from handlers.ports import LogUnavailableError
from projections.live.history import History
from projections.live.live_view import LiveView, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from domain.recorded import Recorded
    from handlers.follower.follower import Follower
    from handlers.memory.memory import Memory
    from projections.live.service_health import ServiceHealth

_LOG = logging.getLogger(__name__)
HISTORY_S = 86_400.0
"""How far back history is folded."""
MAX_HISTORY_EVENTS = 200_000
"""No more events are folded for it: some ten seconds of one core, beside everything else."""


class LiveFeed:
    """Keeps a `LiveView` in step with a follower; a `Listener` of it."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.view = LiveView()
        self.health: ServiceHealth | None = None
        """What the owner's polls of the service found; None: it is not polled."""
        self.has_history = False
        """Whether the last day's history is in the view."""
        self._resets = asyncio.Event()
        follower.listeners.append(self)

    async def run(self) -> None:
        """Fold the history whenever the follower began anew; for ever."""
        while True:
            await self._resets.wait()
            self._resets.clear()
            try:
                await self._fold_history()
            except LogUnavailableError as error:
                _LOG.info("the history cannot be folded: %s", error)
                await self.follower.clock.sleep(1.0)
                self._resets.set()

    def on_reset(self, memory: Memory) -> None:
        """Begin anew with the present."""
        self.view.reset(memory.state)
        self.has_history = False
        self._resets.set()

    def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:
        """Follow."""
        self.view.observe(records, memory.state)

    def reading(self) -> Reading:
        """Return what a tick is made from now."""
        follower = self.follower
        state = FollowerState(follower.state)
        return Reading(
            follower.memory.state,
            follower.now,
            follower.memory.last_heard.heard_at,
            state.value,
            follower.behind_events,
            self.health,
        )

    def tick(self) -> dict[str, Any]:
        """Return what has changed since the last tick."""
        return self.view.tick(self.reading())

    def document(self) -> dict[str, Any]:
        """Return all of it, as of the last tick."""
        return self.view.document(self.reading())

    async def _fold_history(self) -> None:
        follower, memory = self.follower, self.follower.memory
        end = follower.position
        since = after(follower.now, -HISTORY_S)
        start = await position_of(follower, since)
        least = end - MAX_HISTORY_EVENTS
        history, position = (History(known_since=since), start) if start >= least else (History(), least)
        while position < follower.position and not self._resets.is_set():
            until = follower.position
            stretch = records_between(follower.log, follower.codec, after=position, until=until)
            async with aclosing(stretch) as slices:
                async for records in slices:
                    history.observe(records)
            position = until
        if memory is follower.memory and not self._resets.is_set():
            self.view.replace_history(memory.state, history)
            self.has_history = True
