"""Sending decided batches: when, and as a batch or as a chain; and learning from what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domain.timestamps import seconds_between
from handlers.writer.append_costs import AppendCosts
from handlers.writer.appending import Stored, append
from handlers.writer.batch_sizing import BatchSizing
from handlers.writer.chain_appending import append_chain
from handlers.writer.flights import Flight, Flights

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.ports import Clock, EventLog
    from handlers.writer.batch import Batch


class Sender:
    """Starts appends, one batch or several chains at a time; what they come to is for the writer to act on."""

    def __init__(self, log: EventLog, clock: Clock, longest_wait_s: float, on_news: Callable[[], None]) -> None:
        """`on_news`: called when more is known of an append in flight, or a batch has waited for long enough."""
        self.flights = Flights()
        self._log = log
        self._clock = clock
        self._on_news = on_news
        self._costs = AppendCosts(takes_chains=log.takes_chains)
        self._sizing = BatchSizing(longest_wait_s, on_news)
        self._jobs_in_flight = 0
        """Commands sent of which it is not known whether they are stored; counted anew where nothing is in flight."""

    @property
    def max_commands(self) -> int:
        """How many commands the next batch takes at most."""
        return self._sizing.max_commands

    def offer(self, batch: Batch) -> bool:
        """Send a batch and return True, unless it cannot follow what is in flight or should wait for more callers."""
        if self.flights:
            return self._offer_behind(batch)
        if self._crowded and self._sizing.should_wait(batch):
            return False
        self._send(batch, chained=batch.divisible and self._costs.prefers_chain(len(batch.messages)))
        return True

    def stored(self, flight: Flight, stored: Batch, waiting: int) -> float:
        """Learn from what was stored of an append while `waiting` jobs are queued; return its seconds until now."""
        append_s = asyncio.get_running_loop().time() - flight.started_s
        self._sizing.stored(self._jobs_in_flight + waiting, append_s)
        self._jobs_in_flight -= len(stored.jobs)
        if isinstance(flight.result, Stored):
            self._learn_costs(flight)
        return append_s

    @property
    def _crowded(self) -> bool:
        """Whether there are so many callers that a batch of their commands costs less than chains."""
        return self._sizing.expected > self._costs.chain_limit

    def _learn_costs(self, flight: Flight) -> None:
        """Learn from an append of which all is stored; it is still the first one in flight."""
        stored_at = flight.stored_at
        if flight.in_doubt or stored_at is None:
            self._costs.idle()
            return
        all_s = seconds_between(flight.sent_at, stored_at)
        if not flight.chained:
            self._costs.batch_stored(flight.events, all_s)
            return
        if flight.alone:
            self._costs.chain_stored(flight.events, all_s)
        self._costs.chain_ended(flight.events, stored_at, queued=self.flights.last.batch.end - flight.batch.end)

    def _note_outcome(self, flight: Flight) -> None:
        """The outcome of an append is known; that of a chain was noted with its last acknowledgement."""
        if not flight.is_stored:
            flight.stored_at = self._clock.steady()
            self._on_news()

    def _offer_behind(self, batch: Batch) -> bool:
        """Send a batch behind chains in flight if it may go as one; if it will be a large batch, stage it."""
        limit = self._costs.chain_limit
        if not batch.divisible or len(batch.messages) > limit:
            self._log.stage(batch.messages, expected_position=batch.base)
            return False
        fits = len(batch.messages) + self.flights.unacknowledged <= limit
        if not batch.messages or not fits or self._crowded or not self.flights.may_be_followed:
            return False
        self._send(batch, chained=True)
        return True

    def _send(self, batch: Batch, *, chained: bool) -> None:
        """Send a batch behind what is in flight."""
        self._sizing.sent()
        if not self.flights:
            self._costs.idle()
            self._jobs_in_flight = 0
        self._jobs_in_flight += len(batch.jobs)
        loop, now = asyncio.get_running_loop(), self._clock.steady()
        flight = Flight(batch, chained, not self.flights, now, loop.time(), self._on_news)
        if chained:
            before = self.flights.last.outcome if self.flights else None
            appending = append_chain(self._log, self._clock, flight, batch.base, before)
        else:
            appending = append(self._log, self._clock, batch.messages, batch.base)
        flight.outcome = loop.create_task(appending)
        flight.outcome.add_done_callback(lambda _: self._note_outcome(flight))
        self.flights.add(flight)
        batch.note_sent()
