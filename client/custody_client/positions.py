"""Dropping answers that are older than one that was seen: a replica that lags, or one that no longer leads."""

from __future__ import annotations

from custody_client.clock import steady_s

HELD_S = 10.0
"""For how long a position is insisted on. A log that was restored from a copy has lower ones for good."""


class Positions:
    """The highest position that an answer had."""

    def __init__(self) -> None:
        self._highest = 0
        self._seen_at = 0.0

    def is_new(self, position: int) -> bool:
        """Return whether an answer at this position is to be taken, and remember it if so."""
        now = steady_s()
        if position < self._highest and now - self._seen_at < HELD_S:
            return False
        self._highest, self._seen_at = position, now
        return True
