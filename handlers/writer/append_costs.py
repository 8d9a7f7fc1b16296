"""What appending costs on this broker, as a chain and as a batch, and so which way a group of events goes.

A chain costs a write for each event, a batch about the same whatever its size. Where the two meet depends on the broker
and its disk: with one copy at some 14 events if every write is synced, at hundreds if not. So both are measured as the
writer goes along. What is not measured yet has the values of a broker that syncs every write.
"""

from __future__ import annotations

MAX_CHAIN = 256
"""Events that are sent as chains at most before they are acknowledged."""
PROBE_EVERY = 256
"""After so many groups of a size near the limit, one goes the other way, to measure that again."""
_NEAR = 4
"""Sizes up to so many times less or more than the limit are near it: the other way costs them little more."""
_WEIGHT = 0.2
"""Of a new measurement, beside those before it."""
_OUTLIER = 3.0
"""A measurement counts as so many times the average at most: a disk that stalls once says nothing of either way."""
_LEAST_S = 0.000_01
"""What an average counts as at least there, so that it can grow again."""
_HYSTERESIS = 1.25
"""The limit changes only where the measurements speak for one that is so many times more or less."""
_FIRST_S = 0.001
_EACH_S = 0.000_4
_BATCH_S = 0.005_5
_BATCHED_EACH_S = 0.000_03
"""A further event of a batch; not measured, for it hardly matters."""


class AppendCosts:
    """Exponential averages of both ways' costs, in seconds, and the size up to which a chain costs less."""

    def __init__(self, *, takes_chains: bool) -> None:
        """`takes_chains`: whether there is a choice at all; see `EventLog.takes_chains`."""
        self.chain_limit = 0
        """Events that go best as a chain, at most; 0: there are no chains."""
        self._takes_chains = takes_chains
        self._first_s = _FIRST_S
        self._each_s = _EACH_S
        self._batch_s = _BATCH_S
        self._since_probe = 0
        if takes_chains:
            self.chain_limit = self._best_limit()

    def prefers_chain(self, events: int) -> bool:
        """Return whether a group of so many events should go as a chain now."""
        chain = events <= self.chain_limit
        if self._takes_chains and 1 < events <= MAX_CHAIN and self._is_near(events):
            self._since_probe += 1
            if self._since_probe >= PROBE_EVERY:
                self._since_probe = 0
                return not chain
        return chain

    def chain_stored(self, events: int, first_s: float, all_s: float) -> None:
        """Learn from a chain that was sent to an idle broker: the times to its first and last acknowledgements.

        A clock that did not advance measured nothing.
        """
        if all_s <= 0:
            return
        self._first_s = _averaged(self._first_s, first_s)
        if events > 1:
            self._each_s = _averaged(self._each_s, (all_s - first_s) / (events - 1))
        self._adjust()

    def batch_stored(self, events: int, all_s: float) -> None:
        """Learn from a batch; one of a single event is no batch to the broker."""
        if events > 1 and all_s > 0:
            self._batch_s = _averaged(self._batch_s, max(0.0, all_s - events * _BATCHED_EACH_S))
            self._adjust()

    def _is_near(self, events: int) -> bool:
        return self.chain_limit <= events * _NEAR and events <= self.chain_limit * _NEAR

    def _adjust(self) -> None:
        if self._takes_chains:
            best = self._best_limit()
            if not self.chain_limit / _HYSTERESIS <= best <= self.chain_limit * _HYSTERESIS:
                self.chain_limit = best

    def _best_limit(self) -> int:
        saved_s = self._batch_s - self._first_s
        more_s = self._each_s - _BATCHED_EACH_S
        if saved_s <= 0:
            return 1
        return min(MAX_CHAIN, 1 + int(saved_s / more_s)) if more_s > 0 else MAX_CHAIN


def _averaged(average_s: float, measured_s: float) -> float:
    return average_s + _WEIGHT * (min(measured_s, _OUTLIER * max(average_s, _LEAST_S)) - average_s)
