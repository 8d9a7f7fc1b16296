"""One lease as a bar of a lane."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from domain.timestamps import after, format_timestamp, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

MAX_TICKS = 60
"""Ticks of one bar, the latest."""
TICK_GAP_S = 1.0
"""Reports that follow closer than this give one tick."""


class Segment:
    """One lease."""

    __slots__ = ("agent_id", "begin", "end", "expires_at", "grace_s", "stuck", "task_id", "ticks", "token", "until")

    def __init__(self, task_id: str, token: int, agent_id: str, begin: datetime) -> None:
        self.task_id = task_id
        self.token = token
        self.agent_id = agent_id
        self.begin = begin
        self.until: datetime | None = None
        self.end: str | None = None
        self.expires_at = begin
        self.grace_s = 0.0
        self.stuck = False
        """Whether its clock is stopped."""
        self.ticks: deque[float] = deque(maxlen=MAX_TICKS)
        """Seconds after `begin`."""

    def heard(self, at: datetime) -> None:
        """Note that the holder was heard."""
        self.heard_after(seconds_between(self.begin, at))

    def heard_after(self, seconds: float) -> None:
        """Note that the holder was heard so many seconds after the grant."""
        offset_s = round(seconds, 1)
        if not self.ticks or offset_s - self.ticks[-1] >= TICK_GAP_S:
            self.ticks.append(offset_s)

    def document(self) -> dict[str, Any]:
        """Return it as JSON values.

        `{token, task_id, from, until, end, expires_at, grace_until, stuck, ticks}`: times as text; `until` and `end`
        null while it is held; `end` one of completed, failed, released, expired, stolen, revoked, cancelled, blocked;
        `ticks` in seconds after `from`.
        """
        return {
            "token": self.token,
            "task_id": self.task_id,
            "from": format_timestamp(self.begin),
            "until": None if self.until is None else format_timestamp(self.until),
            "end": self.end,
            "expires_at": format_timestamp(self.expires_at),
            "grace_until": format_timestamp(after(self.expires_at, self.grace_s)),
            "stuck": self.stuck,
            "ticks": list(self.ticks),
        }
