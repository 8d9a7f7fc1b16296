"""A whole post-mortem: the findings, the timeline, every event in words, and what the rules said at each moment."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from projections.postmortem.bars import stories
from projections.postmortem.causes import findings
from projections.postmortem.lanes import timeline
from projections.postmortem.verdicts import verdicts
from projections.reports.timeline import entry

if TYPE_CHECKING:
    from projections.postmortem.causes import Finding
    from projections.postmortem.collect import Collected
    from projections.postmortem.lanes import Timeline
    from projections.postmortem.verdicts import Verdict
    from projections.reports.timeline import Entry

MOST_LANES = 400


class Postmortem(NamedTuple):
    """Everything that the page shows."""

    findings: tuple[Finding, ...]
    timeline: Timeline
    entries: tuple[Entry, ...]
    verdicts: tuple[Verdict, ...]
    leases: dict[str, int]
    """How many leases ended how, by name; `open` for those that had not."""
    dropped: int
    """Older events that the limit left out."""


def postmortem(collected: Collected, *, most_lanes: int = MOST_LANES) -> Postmortem:
    """Return the post-mortem of what was collected, which is at least one event."""
    told = stories(collected)
    return Postmortem(
        tuple(findings(collected)),
        timeline(collected, told, most_lanes=most_lanes),
        tuple(entry(seen.recorded) for seen in collected.seen),
        tuple(verdicts(collected)),
        dict(Counter(bar.ended for bar in told.bars).most_common()),
        collected.dropped,
    )
