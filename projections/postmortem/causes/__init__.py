"""The causes that a post-mortem can name, each by a rule of the pool and with the events that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.postmortem.causes.finding import CONTEXT, RULES, Cause, Evidence, Finding
from projections.postmortem.causes.limits_reached import limits, overdue, people
from projections.postmortem.causes.load import capacity, cascades, overload
from projections.postmortem.causes.pool_wide import gates, held_expiry, lost, outages, restarts
from projections.postmortem.causes.silence import alive, silences

if TYPE_CHECKING:
    from projections.postmortem.observed_events import CollectedEvents

__all__ = ["CONTEXT", "RULES", "Cause", "Evidence", "Finding", "findings"]

_FINDERS = (
    silences, alive, limits, people, overdue, overload, capacity, cascades, outages, held_expiry, restarts, gates, lost,
)  # fmt: skip
_ORDER = {cause: number for number, cause in enumerate(Cause)}


def findings(collected: CollectedEvents) -> list[Finding]:
    """Return every cause that can be named, those that most likely explain the rest first."""
    found = [each for find in _FINDERS for each in find(collected)]
    return sorted(found, key=lambda each: (_ORDER[each.cause], each.at, each.title))
