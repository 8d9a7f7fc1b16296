"""Sending one endpoint's messages: in order while all is well, at a limited rate, with retries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from domain.timestamps import after
from handlers.notifier.outbox import OutboxUnavailableError
from handlers.notifier.retry_rules import (
    REFUSED_ATTEMPTS,
    Outcome,
    Verdict,
    endpoint_pause_s,
    message_pause_s,
)
from handlers.ports import steadily_after

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from handlers.notifier.message import Message
    from handlers.notifier.outbox import Outbox, Queued
    from handlers.ports import Clock

POLL_S = 5.0
"""How often the queue is looked at without a reason: another process may have put dead letters back."""
_DISK_PAUSE_S = 2.0


class Post(Protocol):
    """Posts a message once."""

    async def __call__(self, message: Message) -> Outcome:
        """Return what came of it; never raises."""
        ...


class Limits(NamedTuple):
    """What one endpoint is asked to bear, and for how long."""

    parallel: int = 1
    """Posts at a time; with more than one, messages may overtake each other."""
    rate_per_s: float = 10.0
    """Posts begun in a second, at most."""
    max_age_s: float = 86_400.0
    """A message on what happened longer ago is given up."""


class EndpointSender:
    """Sends the messages that are queued for one endpoint. What it does holds up no other endpoint."""

    def __init__(
        self,
        name: str,
        post: Post,
        outbox: Outbox,
        limits: Limits,
        clock: Clock,
        random: Random,
        notify: Callable[[str], None],
    ) -> None:
        self._name = name
        self._post = post
        self._outbox = outbox
        self._limits = limits
        self._clock = clock
        self._random = random
        self._notify = notify
        self._in_flight: set[int] = set()
        self._failures = 0
        """Consecutive."""
        self._open_at = clock.steady()
        """Until then the endpoint is left alone after a failure."""
        self._next_slot = clock.steady()
        """When the rate allows the next post."""
        self._wake = asyncio.Event()
        self._stopping = False
        self.sent = 0
        """Messages delivered by this run."""

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    def stop(self) -> None:
        """Make `run` return once the posts under way have their answers."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Send what is queued, until `stop`."""
        await asyncio.gather(*(self._work() for _ in range(self._limits.parallel)))

    async def _work(self) -> None:
        while not self._stopping:
            try:
                await self._step()
            except OutboxUnavailableError as error:
                self._notify(f"endpoint {self._name}: {error}; trying again")
                await self._sleep(_DISK_PAUSE_S)

    async def _step(self) -> None:
        """Send the next message, or wait for a reason to look again."""
        now = self._clock.now()
        too_old = after(now, -self._limits.max_age_s)
        reason = f"not delivered within {self._limits.max_age_s / 3600:g} h"
        if buried := self._outbox.bury_older(self._name, too_old, reason, now):
            self._notify(f"endpoint {self._name}: gave up {buried} messages: {reason}; see --dead-letters")
        wait_s = self._closed_for_s()
        queued = self._outbox.take(self._name, now, self._in_flight) if not wait_s else None
        if queued is None:
            due = self._outbox.next_due(self._name, self._in_flight)
            wait_s = max(wait_s, POLL_S if due is None else (due - now).total_seconds())
            await self._sleep(min(wait_s, POLL_S))
            return
        self._in_flight.add(queued.number)
        self._next_slot = steadily_after(max(self._next_slot, self._clock.steady()), 1.0 / self._limits.rate_per_s)
        try:
            outcome = await self._post(queued.message)
            await self._settle(queued, outcome)
        finally:
            self._in_flight.discard(queued.number)

    def _closed_for_s(self) -> float:
        """Return for how long nothing may be posted, after a failure or by the rate."""
        return max((max(self._open_at, self._next_slot) - self._clock.steady()).total_seconds(), 0.0)

    async def _settle(self, queued: Queued, outcome: Outcome) -> None:
        """Record what came of an attempt, until the queue takes it: a message that was delivered is not sent again."""
        self._note(outcome)
        while True:
            try:
                self._record(queued, outcome)
            except OutboxUnavailableError:
                await self._clock.sleep(_DISK_PAUSE_S)
            else:
                return

    def _note(self, outcome: Outcome) -> None:
        """Leave the endpoint alone after a failure, and say when an outage begins and ends."""
        if outcome.verdict is Verdict.FAILED:
            if not self._failures:
                self._notify(f"endpoint {self._name}: {outcome.reason}; trying again")
            self._failures += 1
            pause_s = endpoint_pause_s(self._failures, self._random, outcome.retry_after_s)
            self._open_at = max(self._open_at, steadily_after(self._clock.steady(), pause_s))
        else:
            if self._failures:
                self._notify(f"endpoint {self._name}: it works again")
            self._failures = 0

    def _record(self, queued: Queued, outcome: Outcome) -> None:
        now, attempts = self._clock.now(), queued.attempts + 1
        match outcome.verdict:
            case Verdict.DELIVERED:
                self._outbox.delivered(queued, now)
                self.sent += 1
            case Verdict.GONE:
                self._outbox.disable(self._name, outcome.reason, now)
                self._notify(f"endpoint {self._name}: disabled: {outcome.reason}; --enable uses it again")
            case Verdict.REFUSED if attempts >= REFUSED_ATTEMPTS:
                self._outbox.bury(queued, outcome.reason, now)
                self._notify(f"endpoint {self._name}: gave up a message: {outcome.reason}; see --dead-letters")
            case _:
                pause_s = message_pause_s(attempts, self._random, outcome.retry_after_s)
                self._outbox.postpone(queued, after(now, pause_s), outcome.reason)

    async def _sleep(self, seconds: float) -> None:
        """Sleep by the clock; `wake` ends it."""
        self._wake.clear()
        if self._stopping:
            return
        tasks = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._wake.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
