"""The appends in flight: one batch, or chains that follow each other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handlers.writer.appending import Stored

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from handlers.ports import Steady
    from handlers.writer.appending import AppendOutcome
    from handlers.writer.batch import Batch
    from handlers.writer.jobs import Job


@dataclass(slots=True, eq=False)
class Flight:
    """Commands on their way into the log."""

    batch: Batch
    """Those that are not known to be stored, or were not committed yet."""
    chained: bool
    alone: bool
    """Whether nothing else was in flight when it was sent."""
    sent_at: Steady
    started_s: float
    """When it was sent, by the event loop's clock."""
    on_news: Callable[[], None]
    """Called when more of it is known to be stored."""
    outcome: asyncio.Task[AppendOutcome] = field(init=False)
    events: int = field(init=False)
    """How many it had when it was sent."""
    acknowledged: int = 0
    """Of these, how many are stored for certain, one by one."""
    committed: int = 0
    """Of these, how many were taken out of `batch`."""
    stored_at: Steady | None = None
    """When the last of them was acknowledged; the writer may come to it later."""
    in_doubt: bool = False
    """Whether an acknowledgement failed to come, so that its outcome has to be found out."""

    def __post_init__(self) -> None:
        self.events = len(self.batch.messages)

    @property
    def has_news(self) -> bool:
        """Whether there is something to commit or to undo."""
        return self.acknowledged > self.committed or self.outcome.done()

    @property
    def is_stored(self) -> bool:
        """Whether all of it was acknowledged one by one; `outcome` says so a moment later."""
        return self.acknowledged == self.events

    @property
    def result(self) -> AppendOutcome | None:
        """The outcome; None while it is not known. Raises what the append raised."""
        if self.is_stored:
            return Stored()
        return self.outcome.result() if self.outcome.done() else None

    def note_stored(self, count: int, now: Steady) -> None:
        """Note that the first `count` events are stored."""
        self.acknowledged, self.stored_at = count, now
        self.on_news()

    def take_stored(self) -> Batch | None:
        """Take the commands out whose events are acknowledged one by one; None: there are none."""
        count, self.committed = self.acknowledged - self.committed, self.acknowledged
        return self.batch.take_first(count) if count else None


class Flights:
    """Appends in flight, in the order of their positions."""

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque()

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._flights)

    @property
    def first(self) -> Flight:
        """The one whose outcome comes first; there must be one."""
        return self._flights[0]

    @property
    def last(self) -> Flight:
        """The one that the next append follows; there must be one."""
        return self._flights[-1]

    @property
    def jobs(self) -> list[Job]:
        """All jobs in flight, in their order."""
        return [job for flight in self._flights for job in flight.batch.jobs]

    @property
    def unacknowledged(self) -> int:
        """How many events may not be stored yet; there must be an append in flight.

        Of the first one those that are acknowledged don't count. Those of the others do, until it is their turn.
        """
        first = self._flights[0]
        return self.last.batch.end - first.batch.base - (first.acknowledged - first.committed)

    @property
    def may_be_followed(self) -> bool:
        """Whether a chain may be sent behind them."""
        return all(flight.chained and not flight.in_doubt for flight in self._flights)

    def add(self, flight: Flight) -> None:
        """Add one behind the others."""
        self._flights.append(flight)

    def remove_first(self) -> None:
        """Remove the first one: its outcome is known."""
        self._flights.popleft()

    def cancel(self) -> list[Job]:
        """Stop waiting for all outcomes, forget the flights, and return their jobs, in order."""
        jobs = self.jobs
        for flight in self._flights:
            flight.outcome.cancel()
        self._flights.clear()
        return jobs
