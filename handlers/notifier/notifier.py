"""One run of the notifier: follows the log, queues what endpoints want, and has it sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from handlers.notifier.endpoint_sender import EndpointSender, Limits, Post
from handlers.notifier.event_selection import EventSelection, Wanted
from handlers.notifier.message import LOG_REPLACED, Message, message_id
from handlers.notifier.needs_watch import NeedsWatch
from handlers.notifier.outbox import ANY_END, OutboxUnavailableError
from handlers.projector.projector import Projector
from handlers.projector.read_model import OutdatedError, ReadModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from handlers.notifier.outbox import Outbox
    from handlers.notifier.subscription import Subscription
    from handlers.ports import Clock
    from handlers.projector.read_model import Source, Watermark
    from projections.live.service_health import ServiceHealth
    from projections.state.pool_state import PoolState

NEEDS_EVERY_S = 2.0
"""How often the needs are compared with those that were told."""
MAX_EVENTS = 5_000
"""The most events whose messages are queued in one transaction."""
LAST_POSTS_S = 5.0
"""How long the end waits for posts under way; those without an answer are sent again at the next start."""


class Endpoint(NamedTuple):
    """One endpoint: what it wants, how it is reached, what it may be asked to bear."""

    subscription: Subscription
    post: Post
    limits: Limits
    address_digest: str
    """Digest of the address, by which a new one is noticed."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.subscription.endpoint


class Notifier:
    """Keeps the queue in step with the log, and the endpoints in step with the queue."""

    def __init__(
        self,
        pool: str,
        source: Source,
        outbox: Outbox,
        endpoints: Sequence[Endpoint],
        health: Callable[[], ServiceHealth | None],
        clock: Clock,
        random: Random,
        notify: Callable[[str], None],
    ) -> None:
        """Prepare; `run` does the work.

        `health` returns what is known of the pool's service now. `notify` gets one line for the user on every change
        of circumstances.
        """
        self._pool = pool
        self._source = source
        self._outbox = outbox
        self._endpoints = endpoints
        self._watch = NeedsWatch(pool, [each.subscription for each in endpoints], outbox, health)
        self._clock = clock
        self._notify = notify
        self._senders = [
            EndpointSender(each.name, each.post, outbox, each.limits, clock, random, notify) for each in endpoints
        ]
        self._projector: Projector[Sequence[Message]] | None = None
        self._stopped = False
        self.caught_up = asyncio.Event()
        """Set when the log's end is reached for the first time."""

    @property
    def sent(self) -> int:
        """Messages delivered by this run."""
        return sum(each.sent for each in self._senders)

    @property
    def position(self) -> int:
        """The position of the log up to which messages are queued."""
        return 0 if self._projector is None else self._projector.watermark.position

    def stop(self) -> None:
        """Make `run` return once the write and the posts under way are done."""
        self._stopped = True
        if self._projector is not None:
            self._projector.stop()

    def request_log_check(self) -> None:
        """Check before the next write that the log is still the same one, for example after a reconnect."""
        if self._projector is not None:
            self._projector.request_log_check()

    async def run(self) -> None:
        """Follow the log and send, until `stop`.

        Raises:
            ReadModelError: the queue on disk cannot be kept.
            LogUnavailableError: the broker does not answer at the start.
        """
        end = await self._source.log.last_position()
        self._outbox.register({each.name: each.address_digest for each in self._endpoints}, end)
        self._outbox.on_caught_up(self.caught_up.set)
        for sender in self._senders:
            self._outbox.on_queued(sender.wake)
        sending = [asyncio.ensure_future(each.run()) for each in self._senders]
        work: list[asyncio.Future[None]] = [asyncio.ensure_future(self._follow()), *sending]
        if self._watch.wanted:
            work.append(asyncio.ensure_future(self._watch_needs()))
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            if not self._stopped:
                for each in work:
                    if each.done():
                        each.result()
            await self._finish_posts(sending)
            await work[0]
        finally:
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _finish_posts(self, sending: Sequence[asyncio.Future[None]]) -> None:
        """Wait a moment for the answers to posts under way."""
        for sender in self._senders:
            sender.stop()
        limit = asyncio.ensure_future(self._clock.sleep(LAST_POSTS_S))
        limit.add_done_callback(lambda _: [each.cancel() for each in sending])
        await asyncio.gather(*sending, return_exceptions=True)
        limit.cancel()
        await asyncio.gather(limit, return_exceptions=True)

    async def _follow(self) -> None:
        """Keep the queue in step with the log. If the log is another one, say so, and begin at its end."""
        while not self._stopped:
            before = await self._watermark()
            projector = Projector(
                self._source,
                self._outbox,
                self._selection,
                self._clock,
                self._notify,
                max_events=MAX_EVENTS,
                # Nothing is queued yet: what happened before the first start is not told.
                replace_all=not before.position,
                begin_at=None if before.position else self._first_end(),
            )
            self._projector = projector
            try:
                await projector.run(follow=True)
            except OutdatedError as error:
                await self._begin_anew(before if before.position else projector.watermark, str(error))
            else:
                return

    def _first_end(self) -> int | None:
        """Return the log's end as it was when the first endpoint was registered; None: another log has come since.

        A first start that was killed before it wrote a watermark begins there, too.
        """
        first = min((self._outbox.since(each.name) for each in self._endpoints), default=ANY_END)
        return None if first == ANY_END else first

    async def _watermark(self) -> Watermark:
        while True:
            try:
                return await self._outbox.watermark()
            except ReadModelUnavailableError as error:
                self._notify(f"{error}; trying again")
                await self._clock.sleep(NEEDS_EVERY_S)

    def _selection(self, state: PoolState) -> EventSelection:
        self._watch.begin(state)
        wanted = [
            Wanted(each.subscription, self._outbox.since(each.name))
            for each in self._endpoints
            if each.subscription.events
        ]
        return EventSelection(state, wanted, self._watch.observe if self._watch.wanted else None)

    async def _begin_anew(self, before: Watermark, why: str) -> None:
        text = f"the log of pool {self._pool} is another one than before: {why}; what is in it is not told"
        self._notify(text)
        data = {"pool": self._pool, "position": before.position, "kind": "log_replaced", "text": text}
        messages = [self._replaced(each.name, before, data) for each in self._endpoints]
        while True:
            try:
                self._outbox.begin_anew(messages)
            except OutboxUnavailableError as error:
                self._notify(f"{error}; trying again")
                await self._clock.sleep(NEEDS_EVERY_S)
            else:
                return

    def _replaced(self, endpoint: str, before: Watermark, data: dict[str, Any]) -> Message:
        told = message_id(self._pool, before.position, endpoint, f"{LOG_REPLACED} {before.hash}")
        return Message(endpoint, told, 0, LOG_REPLACED, self._clock.now(), data)

    async def _watch_needs(self) -> None:
        while True:
            projector = self._projector
            if projector is not None and projector.following:
                try:
                    self._watch.look(self._clock.now(), stale=projector.failing)
                except OutboxUnavailableError as error:
                    self._notify(f"{error}; trying again")
            await self._clock.sleep(NEEDS_EVERY_S)
