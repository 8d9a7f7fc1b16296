"""What appending costs on this broker, as a chain and as a batch, and so which way a group of events goes.

A chain costs a write for each event, a batch about the same whatever its size. Where the two meet depends on the broker
and its disk: with one copy at some 14 events if every write is synced, at hundreds if not. So both are measured as the
writer goes along. What is not measured yet has the values of a broker that syncs every write.

Three costs are measured: a single event, sent to a broker with nothing else to do; a further event of a chain, by what
longer chains take, and by the pace at which events are stored while enough of them wait at the broker; and a batch.
A disk or a processor that is busy with something else delays single appends by many times their usual time, of either
way, so of each cost the median of the last measurements counts.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median_high
from typing import TYPE_CHECKING

from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from handlers.ports import Steady

MAX_CHAIN = 256
"""Events that are sent as chains at most before they are acknowledged."""
PROBE_EVERY = 256
"""After so many groups of a size near the limit, one goes the other way, to measure that again."""
FIRST_PROBES_EVERY = 16
"""The same of any size while the other way was not measured often enough."""
FAR_PROBES_EVERY = 4_096
"""The same of a size that is not near the limit."""
_TRIED_EVENTS = 64
"""Groups that are not near the limit are tried the other way up to this size: more would take a slow disk seconds."""
_NEAR = 8
"""Sizes up to so many times less or more than the limit are near it: so much does trying the other way cost at most."""
_MEASUREMENTS = 9
"""Whose median counts."""
_EXPECTED = 3
"""Of these, so many are what is expected at first."""
_ENOUGH = 5
"""Measurements after which the median is one of them, whatever was there before."""
_MEASURED_EVENTS = 8
"""So many events of a chain, or at a pace, say what one costs: what else the process does counts little then."""
_QUEUED_EVENTS = 4
"""While at least so many events of chains wait at the broker, the pace is its own, and not that of the callers."""
_HYSTERESIS = 1.25
"""The limit changes only where the measurements speak for one that is so many times more or less."""
_FIRST_S = 0.001
_EACH_S = 0.000_4
_BATCH_S = 0.005_5
_BATCHED_EACH_S = 0.000_03
"""A further event of a batch; not measured, for it hardly matters."""


class AppendCosts:
    """Both ways' costs, and the size up to which a chain costs less."""

    def __init__(self, *, takes_chains: bool) -> None:
        """`takes_chains`: whether there is a choice at all; see `EventLog.takes_chains`."""
        self.chain_limit = 0
        """Events that go best as a chain, at most; 0: there are no chains."""
        self._takes_chains = takes_chains
        self._first = _Median(_FIRST_S)
        self._each = _Median(_EACH_S)
        self._batch = _Median(_BATCH_S)
        self._pace = _Pace()
        self._singles = 0
        """How many single events were measured since a further one cost more than one of them."""
        self._since_probe = 0
        if takes_chains:
            self.chain_limit = self._best_limit()

    def prefers_chain(self, events: int) -> bool:
        """Return whether a group of so many events should go as a chain now."""
        chain = events <= self.chain_limit
        if self._takes_chains and 1 < events <= MAX_CHAIN:
            self._since_probe += 1
            if self._since_probe >= self._probe_every(events, self._batch if chain else self._each):
                self._since_probe = 0
                return not chain
        return chain

    def chain_stored(self, events: int, all_s: float) -> None:
        """Learn from a chain that was sent to an idle broker, and took so long.

        A clock that did not advance measured nothing.
        """
        if all_s <= 0:
            return
        if events == 1 or all_s < self._first.seconds:
            self._first.add(all_s)
        if events == 1:
            self._singles += 1
            self._adjust()
        elif events >= _MEASURED_EVENTS:
            # By the whole: acknowledgements may come together, though each was sent when its event was stored. The
            # first event took its share at least, and all of it at most.
            first_s = min(max(self._first.seconds, all_s / events), all_s)
            self._event_stored((all_s - first_s) / (events - 1))
        elif all_s / events < self._each.seconds:
            self._event_stored(all_s / events)

    def chain_ended(self, events: int, at: Steady, *, queued: int) -> None:
        """Learn from the pace of chains that follow each other.

        `at`: when its last event was acknowledged; `queued`: so many events are in flight still.
        """
        each_s = self._pace.stored(events, at, goes_on=queued >= _QUEUED_EVENTS)
        if each_s:
            self._event_stored(each_s)

    def idle(self) -> None:
        """Note that nothing is in flight: what is stored next has no pace with what was stored before."""
        self._pace.end()

    def batch_stored(self, events: int, all_s: float) -> None:
        """Learn from a batch; one of a single event is no batch to the broker."""
        if events > 1 and all_s > 0:
            self._batch.add(max(0.0, all_s - events * _BATCHED_EACH_S))
            self._adjust()

    def _event_stored(self, each_s: float) -> None:
        self._each.add(each_s)
        if each_s > self._first.seconds:
            self._singles = 0
        self._adjust()

    def _probe_every(self, events: int, other: _Median) -> float:
        """Return after how many groups one of this size goes the other way; `other`: the cost of that."""
        tried = events <= _TRIED_EVENTS
        if tried and other.measured < _ENOUGH:
            return FIRST_PROBES_EVERY
        if self.chain_limit <= events * _NEAR and events <= self.chain_limit * _NEAR:
            return PROBE_EVERY
        return FAR_PROBES_EVERY if tried else math.inf

    def _adjust(self) -> None:
        if self._takes_chains:
            best = self._best_limit()
            if not self.chain_limit / _HYSTERESIS <= best <= self.chain_limit * _HYSTERESIS:
                self.chain_limit = best

    def _best_limit(self) -> int:
        first_s, each_s = self._first.seconds, self._each.seconds
        if each_s > first_s:
            # A single event costs as much as a further one, and the way to the broker and back. So one of both is old.
            first_s = each_s = first_s if self._singles >= _ENOUGH else each_s
        saved_s, more_s = self._batch.seconds - first_s, each_s - _BATCHED_EACH_S
        if saved_s <= 0:
            return 1
        return min(MAX_CHAIN, 1 + int(saved_s / more_s)) if more_s > 0 else MAX_CHAIN


class _Median:
    """The median of the last measurements, in seconds; at first it is what is expected."""

    def __init__(self, expected_s: float) -> None:
        self.seconds = expected_s
        self.measured = 0
        """How many measurements there were."""
        self._last_s = deque([expected_s] * _EXPECTED, _MEASUREMENTS)

    def add(self, measured_s: float) -> None:
        """Count one more measurement, and forget the oldest."""
        self.measured += 1
        self._last_s.append(measured_s)
        self.seconds = median_high(self._last_s)


class _Pace:
    """How quickly the broker stores events while enough of them wait there."""

    def __init__(self) -> None:
        self._since: Steady | None = None
        """When the stretch began that is measured; None while nothing is."""
        self._events = 0

    def stored(self, events: int, at: Steady, *, goes_on: bool) -> float | None:
        """Count events that were stored; return the seconds of each where there were enough for a measurement.

        `at`: when the last of them was acknowledged. `goes_on`: the broker goes on to store others without a pause.
        """
        each_s = None
        if self._since is not None:
            self._events += events
            if self._events >= _MEASURED_EVENTS:
                each_s = seconds_between(self._since, at) / self._events
                self._since = None
        if not goes_on:
            self.end()
        elif self._since is None:
            self._since, self._events = at, 0
        return each_s

    def end(self) -> None:
        """Measure nothing until it begins anew."""
        self._since = None
