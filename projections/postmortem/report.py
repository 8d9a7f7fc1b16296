"""A whole post-mortem: the findings, the timeline, every event in words, and an explanation after each event."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from projections.postmortem.bars import lease_bars
from projections.postmortem.causes import findings
from projections.postmortem.explanations import explanations
from projections.postmortem.lanes import timeline
from projections.postmortem.waits import waits
from projections.reports.history_entry import history_entry

if TYPE_CHECKING:
    from projections.postmortem.causes import Finding
    from projections.postmortem.explanations import TimedExplanation
    from projections.postmortem.lanes import Timeline
    from projections.postmortem.observed_events import CollectedEvents
    from projections.reports.history_entry import HistoryEntry

MAX_LANES = 400


class Postmortem(NamedTuple):
    """Everything that the page shows."""

    findings: tuple[Finding, ...]
    timeline: Timeline
    entries: tuple[HistoryEntry, ...]
    explanations: tuple[TimedExplanation, ...]
    leases: dict[str, int]
    """How many leases ended in each way; `open`: those that had not ended."""
    dropped: int
    """How many older events the limit left out."""


def postmortem(collected: CollectedEvents, *, max_lanes: int = MAX_LANES) -> Postmortem:
    """Return the post-mortem of what was collected, which is at least one event."""
    bars = lease_bars(collected)
    return Postmortem(
        tuple(findings(collected)),
        timeline(collected, bars, waits(collected), max_lanes=max_lanes),
        tuple(history_entry(observed.recorded) for observed in collected.events),
        tuple(explanations(collected)),
        dict(Counter(bar.ended for bar in bars).most_common()),
        collected.dropped,
    )
