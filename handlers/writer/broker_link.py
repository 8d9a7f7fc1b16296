"""The link between the pool and its agents: the broker. While it may be broken, no agent's silence is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import seconds_between
from handlers.writer.watchdog import LONGEST_PAUSE_S, STALL_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.ports import Steady


class BrokerLink:
    """Whether agents can be heard, and since when the broker owes an answer."""

    def __init__(self, outage_s: float, on_outage: Callable[[float], None]) -> None:
        """`on_outage` is called with the seconds of a spell in which no agent was heard, once it is over."""
        self._outage_s = outage_s
        self._on_outage = on_outage
        self._disconnected = False
        self._rearming = 0
        self._asked_at: Steady | None = None
        self._looked_at: Steady | None = None
        """When the watchdog last looked."""

    @property
    def owes_answer(self) -> bool:
        """Whether the broker was asked for something that it has not answered yet."""
        return self._asked_at is not None

    def unanswered_s(self, now: Steady) -> float:
        """Return for how many seconds the broker has owed an answer; 0 if it owes none."""
        return 0.0 if self._asked_at is None else seconds_between(self._asked_at, now)

    def cannot_judge(self, now: Steady) -> bool:
        """Return whether an agent's silence may be the link's: disconnected, unanswered for long, or not re-armed.

        Also if the process stood still and the watchdog has yet to notice: other timers may wake before its own.
        """
        if self._disconnected or self._rearming:
            return True
        if self._looked_at is not None and seconds_between(self._looked_at, now) > LONGEST_PAUSE_S + STALL_S:
            return True
        return self.unanswered_s(now) > self._outage_s / 2

    def disconnected(self) -> None:
        """Note that agents cannot reach the pool."""
        self._disconnected = True

    def connected(self) -> None:
        """Note that agents can reach the pool again."""
        self._disconnected = False

    def looked(self, now: Steady) -> None:
        """Note that the watchdog looks."""
        self._looked_at = now

    def begin_rearming(self) -> None:
        """Judge no silence from now on: the floor after an outage is about to be written."""
        self._rearming += 1

    def end_rearming(self) -> None:
        """Judge again, once every floor that was begun has ended."""
        self._rearming -= 1

    def asked(self, now: Steady) -> None:
        """Note that the broker is asked for something."""
        if self._asked_at is None:
            self._asked_at = now

    def answered(self, now: Steady) -> None:
        """Note that the broker answers. If that took long, no agent was heard for as long."""
        since, self._asked_at = self._asked_at, None
        blind_s = seconds_between(since, now) if since is not None else 0.0
        if blind_s > self._outage_s:
            self._on_outage(blind_s)
