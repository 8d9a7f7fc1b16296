"""One line in the service's own log for each event that people watch for; a flood of them is counted instead."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domain.events import agent as agent_ev
from domain.events import task as ev
from domain.timestamps import seconds_between
from projections.reports.wording import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.recorded import Recorded
    from handlers.ports import Clock, Steady

_LOG = logging.getLogger(__name__)

WATCHED = frozenset({ev.Expired, ev.Stuck, ev.Stalled, ev.Quarantined, ev.Stolen, agent_ev.Lost})
"""By exact type: asking models for their class is slow, and this runs for every event."""
LINES_AT_ONCE = 20
"""Lines in one period; those beyond are counted, and a line after the period says how many."""
PERIOD_S = 10.0


class NotableEvents:
    """Writes the lines of one pool."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: Steady | None = None
        """When the current period began."""
        self._lines = 0
        self._left_out = 0

    def observe(self, records: Iterable[Recorded]) -> None:
        """Follow acknowledged events."""
        for recorded in records:
            if type(recorded.event) in WATCHED:
                self._log_event(recorded)

    def end_period(self) -> None:
        """Say how many lines were left out, once their period is over; called every second or so."""
        if self._since is None or seconds_between(self._since, self._clock.steady()) < PERIOD_S:
            return
        if self._left_out:
            _LOG.info("%d more such events were not logged; the audit has them", self._left_out)
        self._since, self._lines, self._left_out = None, 0, 0

    def _log_event(self, recorded: Recorded) -> None:
        self.end_period()
        if self._since is None:
            self._since = self._clock.steady()
        if self._lines >= LINES_AT_ONCE:
            self._left_out += 1
            return
        self._lines += 1
        # What callers wrote must not begin a line of its own.
        words = "".join(each if each.isprintable() else " " for each in describe(recorded.event))
        _LOG.info("%s %s at %d: %s", recorded.originator_id, recorded.name, recorded.position, words)
