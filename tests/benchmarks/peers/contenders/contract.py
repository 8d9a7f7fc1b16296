"""What a job asks of a contender. The callers of both kinds run in a process of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

TERM_S = 86_400
"""How long a lease runs where nothing depends on it: longer than any run, so that none of them is swept."""
PERCENT = 45
"""The progress that is reported."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease: the task, the worker and the token."""

    task_id: str
    worker: int
    token: int


class Lapsed(NamedTuple):
    """A lease that ran out; both in seconds since the epoch."""

    due_at: float
    known_at: float
    """When a reader knew of it."""


class LeaseStore(Protocol):
    """Something that callers share leases and tasks through."""

    async def staff(self, workers: int) -> None:
        """Make so many workers known, and connections for them."""

    async def hold(self, count: int) -> None:
        """Have so many leases held, for `renew`."""

    async def renew(self, number: int) -> None:
        """Renew one of them by its number, with a percent as report."""

    async def submit(self, task_ids: list[str]) -> None:
        """Queue tasks."""

    async def claim(self, worker: int, wait_s: float = 0.0) -> Held | None:
        """Take the next task under a lease; None if there is none within that time."""

    async def progress(self, held: Held) -> None:
        """Report a percent, which renews the lease."""

    async def complete(self, held: Held) -> None:
        """End the task."""

    async def lapse(self, count: int) -> list[Lapsed]:
        """Let so many leases run out together."""

    async def close(self) -> None:
        """Close all connections."""


class Framework(Protocol):
    """Something that runs the workers itself."""

    async def work(self, workers: int, tasks: int) -> float:
        """Run so many tasks through so many workers; return the seconds between the first one's end and the last's."""

    async def offer(self, workers: int, per_s: float, seconds: float) -> list[float]:
        """Offer tasks at a steady rate; return for each the seconds from before its submit to its end."""

    async def close(self) -> None:
        """End workers and connections."""
