"""A whole post-mortem: the findings, the timeline, every event in words, and what the rules said at each moment."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from projections.postmortem.bars import lease_bars
from projections.postmortem.causes import findings
from projections.postmortem.explanations import explanations
from projections.postmortem.lanes import timeline
from projections.reports.history_entry import history_entry

if TYPE_CHECKING:
    from projections.postmortem.causes import Finding
    from projections.postmortem.collect import CollectedEvents
    from projections.postmortem.explanations import TimedExplanation
    from projections.postmortem.lanes import Timeline
    from projections.reports.history_entry import HistoryEntry

MAX_LANES = 400


class Postmortem(NamedTuple):
    """Everything that the page shows."""

    findings: tuple[Finding, ...]
    timeline: Timeline
    entries: tuple[HistoryEntry, ...]
    explanations: tuple[TimedExplanation, ...]
    leases: dict[str, int]
    """How many leases ended how, by name; `open` for those that had not."""
    dropped: int
    """Older events that the limit left out."""


def postmortem(collected: CollectedEvents, *, max_lanes: int = MAX_LANES) -> Postmortem:
    """Return the post-mortem of what was collected, which is at least one event."""
    told = lease_bars(collected)
    return Postmortem(
        tuple(findings(collected)),
        timeline(collected, told, max_lanes=max_lanes),
        tuple(history_entry(observed.recorded) for observed in collected.events),
        tuple(explanations(collected)),
        dict(Counter(bar.ended for bar in told.bars).most_common()),
        collected.dropped,
    )
