"""Actors that write so many events of one kind that they bury the others; the limit is the post-mortem's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import seconds_between
from projections.postmortem.observed_events import BURST_S, FLOOD_BURST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.recorded import Recorded

SHOWN_S = 60.0
"""A flood is over when no burst came for so long."""
_Key = tuple[str, type]


class Flood(NamedTuple):
    """Bursts of one kind of event by one actor, no more than `SHOWN_S` apart."""

    actor: str
    """Empty: the service."""
    event: str
    """Its name, such as `registered`."""
    since: datetime
    last_at: datetime
    events: int


class Floods:
    """Counts each actor's events of each kind, in spans of `BURST_S`."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._counts: dict[_Key, int] = {}
        """Of the present span."""
        self._floods: dict[_Key, Flood] = {}

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events, in their order."""
        counts = self._counts
        for recorded in records:
            if self._since is None or seconds_between(self._since, recorded.time) >= BURST_S:
                self._since = recorded.time
                counts.clear()
            key = (recorded.actor, type(recorded.event))
            number = counts[key] = counts.get(key, 0) + 1
            if number >= FLOOD_BURST:
                self._flooded(key, recorded, FLOOD_BURST if number == FLOOD_BURST else 1)

    def now(self, now: datetime) -> list[Flood]:
        """Return the floods that are not over, the first one first."""
        over = [key for key, flood in self._floods.items() if seconds_between(flood.last_at, now) > SHOWN_S]
        for key in over:
            del self._floods[key]
        return list(self._floods.values())

    def _flooded(self, key: _Key, recorded: Recorded, number: int) -> None:
        known = self._floods.get(key)
        if known is None or seconds_between(known.last_at, recorded.time) > SHOWN_S:
            self._floods.pop(key, None)
            known = Flood(recorded.actor, recorded.name, self._since or recorded.time, recorded.time, 0)
        self._floods[key] = known._replace(last_at=recorded.time, events=known.events + number)
