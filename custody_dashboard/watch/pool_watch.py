"""One copy of the pool for all browsers: kept from the log, and told to the hub as it changes.

While the log cannot be read the copy stays as it was, and every beat says that it is not live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from custody_dashboard.watch.hub import Hub
from custody_dashboard.web.json_reply import to_json
from domain.timestamps import format_timestamp
from infra.cli.watching.watched_pool import WatchedPool

if TYPE_CHECKING:
    from handlers.ports import Clock
    from infra.settings.settings import Settings

TICK_S = 0.2
"""Changes are gathered for so long."""
IDLE_TICKS = 5
"""Without an event, every so-many-th tick looks for what time alone changes."""
BEAT_TICKS = 5
"""So many ticks from one beat to the next: a second."""


class PoolWatch(WatchedPool):
    """The pool as it is now, for browsers."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.hub = Hub(self._state)
        self._generation = -1
        """The view's generation that browsers have."""

    def linked_anew(self) -> None:
        """Tell browsers of the new copy at once."""
        self._generation = -1
        self._tell()

    def is_looked_at(self) -> bool:
        """Return whether a browser looks."""
        return len(self.hub) > 0

    async def run(self) -> None:
        """Tell the hub what changes, until cancelled."""
        ticks = 0
        while True:
            await self.clock.sleep(TICK_S)
            ticks += 1
            if self.feed is not None and (self.changed or ticks % IDLE_TICKS == 0):
                self._tell()
            if ticks % BEAT_TICKS == 0:
                self.hub.beat(self.beat())

    def beat(self) -> dict[str, Any]:
        """Return the sign of life: how true what browsers show is now."""
        follower = None if self.feed is None else self.feed.follower
        mode = self.mode
        return {
            "mode": mode,
            "position": 0 if follower is None else follower.position,
            "behind_events": 0 if follower is None else follower.behind_events,
            "served_by": self.service.served_by if mode == "live" else None,
            "now": format_timestamp(self.clock.now() if follower is None else follower.now),
            "why": self.why_not_live,
        }

    def _tell(self) -> None:
        """Tell the hub what has changed since the last tick."""
        change = self.tick()
        if self.view.generation != self._generation:
            self._generation = self.view.generation
            self.hub.restart()
        elif len(change) > _ALWAYS_THERE:
            self.hub.publish(self.follower.position, change)

    def _state(self) -> tuple[int, bytes]:
        if self.feed is None:
            now = format_timestamp(self.clock.now())
            return 0, to_json({"position": 0, "now": now, "mode": self.mode, "why": self.why_unlinked})
        document = self.feed.document() | {"mode": self.mode}
        return self.feed.follower.position, to_json(document)


_ALWAYS_THERE = 2
"""A change has its position and its time, whatever else."""
