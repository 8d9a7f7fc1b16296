"""The causes that a post-mortem can name. Each follows from a rule of the pool, and has the events that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.postmortem.causes.finding import CONTEXT, RULES, Cause, Evidence, Finding
from projections.postmortem.causes.limits_reached import limits, operator_decisions, overdue
from projections.postmortem.causes.load import capacity, cascades, floods, overload
from projections.postmortem.causes.pool_wide import closed_intakes, held_expiry, lost, outages, restarts, tail_losses
from projections.postmortem.causes.silence import false_alarms, silences

if TYPE_CHECKING:
    from projections.postmortem.observed_events import CollectedEvents

__all__ = ["CONTEXT", "RULES", "Cause", "Evidence", "Finding", "findings"]

_FINDERS = (
    silences, false_alarms, limits, operator_decisions, overdue, overload, capacity, cascades, outages, held_expiry,
    tail_losses, restarts, closed_intakes, lost, floods,
)  # fmt: skip
_ORDER = {cause: number for number, cause in enumerate(Cause)}


def findings(collected: CollectedEvents) -> list[Finding]:
    """Return every cause that is found, in the order of `Cause`."""
    found = [each for find in _FINDERS for each in find(collected)]
    return sorted(found, key=lambda each: (_ORDER[each.cause], each.at, each.title))
