"""Whether the pool can be sure to hear its agents. While it cannot, nobody's silence is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class Hearing:
    """What is known of the way between the pool and its agents: the broker, and how long it has not answered."""

    def __init__(self, outage_s: float) -> None:
        self.disconnected = False
        """Whether agents cannot reach the pool just now."""
        self.rearming = 0
        """Floors that are about to be set, after spells in which nobody was heard."""
        self.outage: Callable[[float], None] = lambda _blind_s: None
        """Called with the seconds of a spell in which nobody was heard, once it is over."""
        self._outage_s = outage_s
        self._asked_at: datetime | None = None

    @property
    def waits(self) -> bool:
        """Whether the broker was asked for something that it has not answered yet."""
        return self._asked_at is not None

    def unanswered_s(self, now: datetime) -> float:
        """Return for how many seconds the broker has owed an answer; 0 if it owes none."""
        return 0.0 if self._asked_at is None else seconds_between(self._asked_at, now)

    def deaf(self, now: datetime) -> bool:
        """Return whether the pool has lost the broker, waits for it too long, or has yet to set a floor."""
        if self.disconnected or self.rearming:
            return True
        return self.unanswered_s(now) > self._outage_s / 2

    def asked(self, now: datetime) -> None:
        """Note that the broker is asked for something."""
        if self._asked_at is None:
            self._asked_at = now

    def answered(self, now: datetime) -> None:
        """Note that the broker answers; if that took long, nobody was heard for as long."""
        since, self._asked_at = self._asked_at, None
        blind_s = seconds_between(since, now) if since is not None else 0.0
        if blind_s > self._outage_s:
            self.outage(blind_s)
