"""What is counted of one minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.live.distribution import Distribution

if TYPE_CHECKING:
    from datetime import datetime

COUNTS = (
    "events", "submitted", "granted", "reports", "completed", "failed", "cancelled", "expired", "false_recoveries",
    "requeued", "quarantined", "stuck", "stalled", "blocked", "steals", "stolen",
)  # fmt: skip
"""What is counted. `false_recoveries`: leases that expired and whose former holder was heard later; counted when it
was. `steals`: operations that moved something; `stolen`: the tasks that they moved."""
DURATIONS = ("wait", "hold", "notice")
"""`wait`: from when a task could be granted to its grant. `hold`: from a grant to the end of the lease. `notice`: for
how long the holders of expired leases had been silent when the lease was ended."""


class Minute:
    """What happened in one minute."""

    __slots__ = ("counts", "durations", "number", "oldest_since", "queued_net")

    def __init__(self, number: int) -> None:
        self.number = number
        """Minutes since 1970."""
        self.counts: dict[str, int] = {}
        self.durations: dict[str, Distribution] = {}
        self.queued_net = 0
        """By how many more tasks were queued at its end than at its begin."""
        self.oldest_since: datetime | None = None
        """Since when the task waits that waits longest at its end; None: no task does."""

    def add(self, name: str, number: int = 1) -> None:
        """Count something of `COUNTS`."""
        self.counts[name] = self.counts.get(name, 0) + number

    def took(self, name: str, seconds: float) -> None:
        """Count one of `DURATIONS`."""
        found = self.durations.get(name)
        if found is None:
            found = self.durations[name] = Distribution()
        found.add(seconds)
