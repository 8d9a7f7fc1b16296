"""Outcomes of commands, which make repeats idempotent: (actor, verb, command id) -> positions of its events.

Filled from acknowledged events only, so a rebuild from the log gives the same. Positions are enough, for the answer is
rendered from the events again.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.recorded import Recorded

OutcomeKey = tuple[str, str, str]
"""Actor, verb, command id."""


class Outcomes:
    """The outcomes of the last `capacity` commands that had an id and appended events."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._positions: dict[OutcomeKey, tuple[int, ...]] = {}
        self._order: deque[OutcomeKey] = deque()
        """The keys, the oldest first. An OrderedDict instead of dict and deque costs half as much again."""

    def __len__(self) -> int:
        return len(self._positions)

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        positions, order = self._positions, self._order
        for recorded in records:
            if not recorded.keyed:
                continue
            key = (recorded.actor, recorded.verb, recorded.causation_id)
            its_own = (recorded.position,)
            known = positions.setdefault(key, its_own)
            if known is not its_own:
                positions[key] = known + its_own
                continue
            order.append(key)
            if len(order) > self._capacity:
                del positions[order.popleft()]

    @property
    def capacity(self) -> int:
        """How many commands are remembered."""
        return self._capacity

    def dump(self) -> dict[OutcomeKey, tuple[int, ...]]:
        """Return every outcome, the oldest first; `load` takes them. A copy of a dictionary makes no new tuples."""
        return self._positions.copy()

    def load(self, outcomes: Mapping[OutcomeKey, tuple[int, ...]]) -> None:
        """Remember these outcomes instead, as far as there is room for the latest."""
        self._positions = dict(islice(outcomes.items(), max(0, len(outcomes) - self._capacity), None))
        self._order = deque(self._positions)

    def get(self, key: OutcomeKey) -> tuple[int, ...] | None:
        """Return the positions of the events that a command appended, or None if it is not remembered."""
        return self._positions.get(key)
