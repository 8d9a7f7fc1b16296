"""One copy of the pool for all browsers: kept from the log, and told to the hub as it changes.

While the log cannot be read the copy stays as it was, and every beat says that it is not live.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from custody_dashboard.watch.hub import Hub
from custody_dashboard.watch.rights import may_operate
from custody_dashboard.watch.service_poll import ServicePoll, ServiceView
from custody_dashboard.web.api_error import unavailable
from custody_dashboard.web.json_reply import to_json
from domain.timestamps import format_timestamp, parse_timestamp
from handlers.follower.follower import Follower
from handlers.follower.live_feed import LiveFeed
from infra.codec import CloudEventsCodec
from infra.nats.contract_client import CustodyClient

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from datetime import datetime

    from custody_dashboard.watch.pool_link import Link
    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Clock
    from infra.settings.settings import Settings
    from projections.live.live_view import LiveView, Reading

TICK_S = 0.2
"""Changes are gathered for so long."""
IDLE_TICKS = 5
"""Without an event, every so-many-th tick looks for what time alone changes."""
BEAT_TICKS = 5
"""So many ticks from one beat to the next: a second."""
RIGHTS_EVERY_S = 60.0
"""How often it is asked what the dashboard's own credentials may do."""


class PoolWatch:
    """The pool as it is now."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.codec = CloudEventsCodec(settings.pool)
        self.hub = Hub(self._state)
        self.service = ServiceView()
        self.link: Link | None = None
        """The connection to the log; None while there is none."""
        self.why_unlinked = "the dashboard has just been started"
        self.may_operate: bool | None = None
        """Whether the broker lets the dashboard's credentials send commands; None: not known yet."""
        self._feed: LiveFeed | None = None
        self._dirty = False
        self._generation = -1
        """The view's generation that browsers have."""

    async def watch(self, link: Link) -> None:
        """Follow a link's log until cancelled. Raises LogUnavailableError if it cannot be read at first."""
        settings = self.settings
        feed = LiveFeed(Follower(settings.pool, link.log, self.codec, self.clock, settings.rules(), link.snapshots))
        feed.health = self.service.health
        await feed.follower.open()
        feed.follower.listeners.append(self)
        self._feed, self.link, self._generation = feed, link, -1
        self._tick(feed)
        poll = ServicePoll(self.service, link.connection, settings.pool, self.clock, lambda: len(self.hub) > 0)
        try:
            await _together(feed.follower.run(), feed.run(), poll.run(), self._ask_rights(link))
        finally:
            self.link = None

    def unlinked(self, why: str) -> None:
        """Note that the log cannot be read now, and why."""
        self.why_unlinked = why
        self.service.forget()

    async def run(self) -> None:
        """Tell the hub what changes, until cancelled."""
        ticks = 0
        while True:
            await self.clock.sleep(TICK_S)
            ticks += 1
            if self._feed is not None and (self._dirty or ticks % IDLE_TICKS == 0):
                self._tick(self._feed)
            if ticks % BEAT_TICKS == 0:
                self.hub.beat(self.beat())

    def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:  # noqa: ARG002 - the protocol's signature
        """Note that the follower folded something."""
        self._dirty = True

    def on_reset(self, memory: Memory) -> None:  # noqa: ARG002 - the protocol's signature
        """Note that the follower's memory is another one."""
        self._dirty = True

    def _tick(self, feed: LiveFeed) -> None:
        """Tell the hub what has changed since the last tick."""
        self._dirty = False
        feed.health = self.service.health
        if self.service.changed:
            self.service.changed = False
            feed.view.heard(_heard(self.service.agents))
        change = feed.tick() | ({} if self.link is not None else {"mode": self.mode})
        if feed.view.generation != self._generation:
            self._generation = feed.view.generation
            self.hub.restart()
        elif len(change) > _ALWAYS_THERE:
            self.hub.publish(feed.follower.position, change)

    @property
    def mode(self) -> str:
        """`starting`, `live`, `behind` or `disconnected`: the page shows nothing but `live` as true now."""
        if self.link is not None and self._feed is not None:
            return self._feed.follower.state.value
        return "starting" if self._feed is None else "disconnected"

    def beat(self) -> dict[str, Any]:
        """Return the sign of life: how true what browsers show is now."""
        follower = None if self._feed is None else self._feed.follower
        mode = self.mode
        return {
            "mode": mode,
            "position": 0 if follower is None else follower.position,
            "behind_events": 0 if follower is None else follower.behind_events,
            "served_by": self.service.served_by if mode == "live" else None,
            "now": format_timestamp(self.clock.now()),
            "why": self._why_not_live(),
        }

    def _why_not_live(self) -> str | None:
        if self.link is None:
            return self.why_unlinked
        return None if self._feed is None else self._feed.follower.trouble or None

    @property
    def follower(self) -> Follower:
        """The copy of the pool. Raises ApiError if there is none yet."""
        return self._opened().follower

    @property
    def view(self) -> LiveView:
        """What is folded for people. Raises ApiError if there is nothing yet."""
        return self._opened().view

    def reading(self) -> Reading:
        """Return what the present is read from. Raises ApiError if nothing is known yet."""
        return self._opened().reading()._replace(mode=self.mode)

    def _opened(self) -> LiveFeed:
        if self._feed is None:
            raise unavailable(f"the pool's log is not read yet: {self.why_unlinked}")
        return self._feed

    def linked(self) -> Link:
        """Return the connection to the log. Raises ApiError while there is none."""
        if self.link is None or not self.link.connection.is_connected:
            raise unavailable(f"the broker is not reached now: {self._why_not_live() or 'it does not answer'}")
        return self.link

    async def send(self, subject_tail: str, body: Mapping[str, Any], *, actor: str | None) -> dict[str, Any]:
        """Send a command or a query to the pool's service. Raises ApiError, CustodyError."""
        client = CustodyClient(self.linked().connection.client, self.settings.pool)
        return await client.request(subject_tail, body, actor=actor, timeout=self.settings.reply_timeout_s + 2.0)

    def _state(self) -> tuple[int, bytes]:
        if self._feed is None:
            now = format_timestamp(self.clock.now())
            return 0, to_json({"position": 0, "now": now, "mode": self.mode, "why": self.why_unlinked})
        document = self._feed.document() | {"mode": self.mode}
        return self._feed.follower.position, to_json(document)

    async def _ask_rights(self, link: Link) -> None:
        while True:
            if link.connection.is_connected:
                self.may_operate = await may_operate(link.connection, self.settings.pool)
            await self.clock.sleep(RIGHTS_EVERY_S)


_ALWAYS_THERE = 2
"""A change has its position and its time, whatever else."""


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Run works that have no end until one fails, or until cancelled; raise what it raised."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _heard(agents: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, datetime]]:
    """Return when agents were heard, by the service's answers."""
    found = []
    for agent_id, agent in agents.items():
        at = agent.get("heard_at")
        try:
            if isinstance(at, str):
                found.append((agent_id, parse_timestamp(at)))
        except ValueError:
            continue
    return found
