"""Follows a pool's log: restores a snapshot, catches up, and folds what is appended, for as long as it runs.

It goes on by itself after the broker, the service or its consumer went. A log that lost its tail, or was replaced, is
folded anew from its beginning.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import after, seconds_between
from handlers.answering.log_health import log_health
from handlers.answering.pool_answers import Answered, PoolAnswers
from handlers.follower.followed_reads import FollowedReads
from handlers.memory.catch_up import catch_up
from handlers.memory.lookup import Lookup
from handlers.memory.memory import Memory
from handlers.memory.snapshots import restore_nearest
from handlers.ports import LogTruncatedError, LogUnavailableError
from projections.queries.questions import HealthQuery

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.rules import Rules
    from handlers.follower.listener import Listener
    from handlers.memory.snapshots import Snapshots
    from handlers.ports import Clock, Codec, Steady, StoredMessage
    from handlers.projector.read_model import FollowableLog
    from projections.queries.questions import Query

_LOG = logging.getLogger(__name__)
POLL_S = 0.5
"""How often the log's end is asked for."""
LOST_CONTACT_S = 2.0
"""Without an answer of the broker for so long, it is disconnected: what it shows may be out of date."""
BEHIND_S = 1.0
"""An end of the log that was known for so long and is not reached yet: it is behind."""
RETRY_S = 0.5
AT_ONCE = 250
"""Messages folded in one turn of the event loop: a few milliseconds."""


class FollowerState(StrEnum):
    """Whether what a follower has is what the pool is."""

    STARTING = "starting"
    LIVE = "live"
    BEHIND = "behind"
    DISCONNECTED = "disconnected"


class _Contact(NamedTuple):
    """When the broker was heard."""

    steady: Steady
    wall: datetime


class Follower:
    """The state and views of one pool, from its log alone."""

    def __init__(
        self,
        pool_id: str,
        log: FollowableLog,
        codec: Codec,
        clock: Clock,
        rules: Rules,
        snapshots: Snapshots | None = None,
        listeners: Sequence[Listener] = (),
        *,
        at_once: int = AT_ONCE,
    ) -> None:
        """`snapshots`: where a start may begin; None: it folds the log. `clock`: for the age of what is known.

        `at_once`: how many messages are folded at most before the listeners are told.
        """
        self._at_once = at_once
        self.pool_id = pool_id
        self.log = log
        self.codec = codec
        self.clock = clock
        self.rules = rules
        self.snapshots = snapshots
        self.memory = Memory(pool_id, rules, codec, outcomes=0)
        """Another one after the log was replaced."""
        self._answers = self._new_answers()
        self.listeners: list[Listener] = list(listeners)
        self.log_end = 0
        """The log's last position, as far as it is known here."""
        self._opened = False
        self._contact: _Contact | None = None
        """When the broker was heard last; None: it never was."""
        self._ended_at: datetime | None = None
        """The time at which following ended; None: it has not begun, or goes on."""
        self._reach: tuple[int, Steady] | None = None
        """An end of the log that is not reached yet, and since when it is known."""
        self.trouble = ""
        """Why it is disconnected, in words; empty if it is not."""

    async def answer(self, query: Query) -> Answered:
        """Return the answer to a query, true at its position, from here or from the log.

        Of `query.health` only what the log tells. Raises LogUnavailableError.
        """
        if isinstance(query, HealthQuery):
            health = {"leader": self.memory.state.pool.leader, **log_health(self.memory, self.log_end)}
            return Answered(self.position, health)
        return await self._answers.answer(query)

    @property
    def position(self) -> int:
        """The position of the last folded event; 0 for an empty log."""
        return self.memory.state.position

    @property
    def now(self) -> datetime:
        """The pool's time: the wall clock's, and never before the last event's.

        While it is disconnected it stands still: a silence or a wait that went on growing would be a claim about what
        is not known.
        """
        now = self.clock.now()
        if self._ended_at is not None:
            now = self._ended_at
        elif self._contact is not None:
            now = min(now, after(self._contact.wall, LOST_CONTACT_S))
        return max(now, self.memory.state.last_time)

    @property
    def behind_events(self) -> int:
        """How many events the log is known to have beyond the position."""
        return max(self.log_end - self.position, 0)

    @property
    def last_contact_s(self) -> float | None:
        """For how many seconds the broker has not been heard; None: it never was."""
        return None if self._contact is None else seconds_between(self._contact.steady, self.clock.steady())

    @property
    def state(self) -> FollowerState:
        """Whether what is here is what the pool is now."""
        if not self._opened:
            return FollowerState.STARTING
        silent_s = self.last_contact_s
        if silent_s is None or silent_s > LOST_CONTACT_S or self._ended_at is not None:
            return FollowerState.DISCONNECTED
        reach = self._reach
        late = reach is not None and reach[0] > self.position
        if late and reach is not None and seconds_between(reach[1], self.clock.steady()) > BEHIND_S:
            return FollowerState.BEHIND
        return FollowerState.LIVE

    async def open(self, until: int | None = None) -> None:
        """Restore a snapshot, catch up with the log's end, and have the listeners begin there.

        `until`: only up to this position; `run` then folds the rest, and the listeners see it.

        Raises:
            LogUnavailableError: the log cannot be read. LogTruncatedError: it ends before `until`.
        """
        memory = Memory(self.pool_id, self.rules, self.codec, outcomes=0)
        end = await self.log.last_position()
        self._note_end(end)
        goal = end if until is None else until
        if self.snapshots is not None:
            await restore_nearest(memory, self.snapshots.store, self.log, build=self.snapshots.build, until=goal)
        await catch_up(memory, self.log, until=goal)
        self._note_contact()
        self.memory = memory
        self._answers = self._new_answers()
        self._opened = True
        for listener in self.listeners:
            listener.on_reset(memory)

    async def run(self) -> None:
        """Open, if that was not done, and follow for ever; returns only by being cancelled."""
        self._ended_at = None
        polling = asyncio.ensure_future(self._poll())
        try:
            while True:
                try:
                    if not self._opened:
                        await self.open()
                    await self._follow()
                except LogTruncatedError as error:
                    _LOG.warning("the log is folded anew: %s", error)
                    self._opened = False
                    self.log_end, self._reach = 0, None
                except LogUnavailableError as error:
                    self.trouble = str(error)
                    _LOG.info("the log cannot be followed: %s", error)
                await self.clock.sleep(RETRY_S)
        finally:
            self._ended_at = self.now
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    def _new_answers(self) -> PoolAnswers:
        """Return what answers about this log: look-ups are kept for good, so not beyond the log that they are of."""
        lookup = Lookup(self.pool_id, self.log, self.codec, lambda: self.position)
        return PoolAnswers(FollowedReads(self.memory, lambda: self.now), self.log, lookup, self.clock, dict)

    async def _follow(self) -> None:
        async with aclosing(self.log.follow_chunks(after=self.position)) as chunks:
            async for chunk in chunks:
                self._note_contact()
                for start in range(0, len(chunk), self._at_once):
                    self._fold(chunk[start : start + self._at_once])
                    # A turn of the event loop in between, so that readers are answered meanwhile.
                    await asyncio.sleep(0)

    def _fold(self, messages: Sequence[StoredMessage]) -> None:
        self.memory.fold(messages, taken=self._tell)
        self.log_end = max(self.log_end, self.position)

    def _tell(self, records: Sequence[Recorded]) -> None:
        if records:
            for listener in self.listeners:
                listener.on_events(records, self.memory)

    async def _poll(self) -> None:
        """Ask for the log's end, so that it is known whether what is here is all of it."""
        while True:
            try:
                self._note_end(await self.log.last_position())
            except LogUnavailableError as error:
                self.trouble = str(error)
            await self.clock.sleep(POLL_S)

    def _note_contact(self) -> None:
        self._contact = _Contact(self.clock.steady(), self.clock.now())
        self.trouble = ""

    def _note_end(self, end: int) -> None:
        self._note_contact()
        self.log_end = max(self.log_end, end)
        if end <= self.position:
            self._reach = None
        elif self._reach is None or self._reach[0] <= self.position:
            self._reach = (end, self.clock.steady())
