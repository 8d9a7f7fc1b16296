"""A pool that a program watches: one copy, kept from the log, and what only the service and the broker know.

While the log cannot be read the copy stays as it was, and its mode says that it is not live.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domain.timestamps import parse_timestamp
from handlers.follower.close_ups import CloseUps
from handlers.follower.follower import Follower
from handlers.follower.live_feed import LiveFeed
from infra.cli.watching.rights import may_operate
from infra.cli.watching.service_poll import ServicePoll, ServiceView
from infra.codec import CloudEventsCodec
from infra.nats.contract_client import CustodyClient

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Clock
    from infra.cli.watching.pool_link import Link
    from infra.settings.settings import Settings
    from projections.live.live_view import LiveView, Reading

RIGHTS_EVERY_S = 60.0
"""How often it is asked what the program's own credentials may do."""
REPLY_SLACK_S = 2.0
"""A reply is waited for by so much longer than the service waits for the log."""


class UnwatchedError(Exception):
    """The pool cannot be asked now: its log is not read yet, or the broker is not reached."""


class WatchedPool:
    """The pool as it is now; what `PoolLink` keeps linked."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.codec = CloudEventsCodec(settings.pool)
        self.service = ServiceView()
        self.link: Link | None = None
        """The connection to the log; None while there is none."""
        self.why_unlinked = "it has just been started"
        self.may_operate: bool | None = None
        """Whether the broker lets the program's credentials send commands; None: not known yet."""
        self.feed: LiveFeed | None = None
        """None until the log was read once."""
        self._close_ups: tuple[Memory, CloseUps] | None = None
        """With the memory of the log that they are of."""
        self.changed = False
        """Whether something was folded since the last `tick`."""

    async def watch(self, link: Link, *, ask_rights: bool = True) -> None:
        """Follow a link's log until cancelled. Raises LogUnavailableError if it cannot be read at first.

        `ask_rights`: find out, too, whether commands may be sent.
        """
        settings = self.settings
        feed = LiveFeed(Follower(settings.pool, link.log, self.codec, self.clock, settings.rules(), link.snapshots))
        feed.health = self.service.health
        await feed.follower.open()
        feed.follower.listeners.append(self)
        self.feed, self.link, self.changed = feed, link, True
        self.linked_anew()
        poll = ServicePoll(self.service, link.connection, settings.pool, self.clock, self.is_looked_at)
        try:
            rights = (self._ask_rights(link),) if ask_rights else ()
            await _together(feed.follower.run(), feed.run(), poll.run(), *rights)
        finally:
            self.link = None

    def unlinked(self, why: str) -> None:
        """Note that the log cannot be read now, and why."""
        self.why_unlinked = why
        self.service.forget()

    def linked_anew(self) -> None:
        """Take note of another copy of the pool: called before it follows the log."""

    def is_looked_at(self) -> bool:
        """Return whether a person looks: without one, the service is not asked for its agents."""
        return True

    def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:  # noqa: ARG002 - the protocol's signature
        """Note that the follower folded something."""
        self.changed = True

    def on_reset(self, memory: Memory) -> None:  # noqa: ARG002 - the protocol's signature
        """Note that the follower's memory is another one."""
        self.changed = True

    def tick(self) -> dict[str, Any]:
        """Return what has changed since the last tick, by `LiveView.tick`. Raises UnwatchedError."""
        feed = self._opened()
        self.changed = False
        feed.health = self.service.health
        if self.service.changed:
            self.service.changed = False
            feed.view.heard(_heard(self.service.agents))
        return feed.tick() | ({} if self.link is not None else {"mode": self.mode})

    @property
    def mode(self) -> str:
        """`starting`, `live`, `behind` or `disconnected`: nothing but `live` is shown as true now."""
        if self.link is not None and self.feed is not None:
            return self.feed.follower.state.value
        return "starting" if self.feed is None else "disconnected"

    @property
    def why_not_live(self) -> str | None:
        """Why it is not live, in words, if that is known."""
        if self.link is None:
            return self.why_unlinked
        return None if self.feed is None else self.feed.follower.trouble or None

    @property
    def follower(self) -> Follower:
        """The copy of the pool. Raises UnwatchedError if there is none yet."""
        return self._opened().follower

    @property
    def view(self) -> LiveView:
        """What is folded for people. Raises UnwatchedError if there is nothing yet."""
        return self._opened().view

    @property
    def close_ups(self) -> CloseUps:
        """Single tasks and agents with their histories. Raises UnwatchedError."""
        self.linked()
        memory = self.follower.memory
        if self._close_ups is None or self._close_ups[0] is not memory:
            self._close_ups = memory, CloseUps(self.follower)
        return self._close_ups[1]

    def reading(self) -> Reading:
        """Return what the present is read from. Raises UnwatchedError if nothing is known yet."""
        return self._opened().reading()._replace(mode=self.mode)

    def linked(self) -> Link:
        """Return the connection to the log. Raises UnwatchedError while there is none."""
        if self.link is None or not self.link.connection.is_connected:
            raise UnwatchedError(f"the broker is not reached now: {self.why_not_live or 'it does not answer'}")
        return self.link

    async def send(self, subject_tail: str, body: Mapping[str, Any], *, actor: str | None) -> dict[str, Any]:
        """Send a command or a query to the pool's service. Raises UnwatchedError, CustodyError."""
        client = CustodyClient(self.linked().connection.client, self.settings.pool)
        timeout_s = self.settings.reply_timeout_s + REPLY_SLACK_S
        return await client.request(subject_tail, body, actor=actor, timeout=timeout_s)

    def _opened(self) -> LiveFeed:
        if self.feed is None:
            raise UnwatchedError(f"the pool's log is not read yet: {self.why_unlinked}")
        return self.feed

    async def _ask_rights(self, link: Link) -> None:
        while True:
            if link.connection.is_connected:
                self.may_operate = await may_operate(link.connection, self.settings.pool)
            await self.clock.sleep(RIGHTS_EVERY_S)


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
