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
    from collections.abc import Collection, Iterator, Sequence

    from projections.postmortem.causes import Finding
    from projections.postmortem.explanations import TimedExplanation
    from projections.postmortem.lanes import Timeline
    from projections.postmortem.observed_events import CollectedEvents
    from projections.reports.history_entry import HistoryEntry

MAX_LANES = 400
LONGEST_RUN = 3
"""A longer run of the same event about the same thing by the same actor is shown as its first and its last."""


class EventRow(NamedTuple):
    """An event in the table, and how many like it are not shown."""

    entry: HistoryEntry
    hidden: int = 0
    """How many of the same kind, right before it, are not shown."""


class Postmortem(NamedTuple):
    """Everything that the page shows."""

    findings: tuple[Finding, ...]
    timeline: Timeline
    entries: tuple[HistoryEntry, ...]
    rows: tuple[EventRow, ...]
    """The entries with long runs of repeats collapsed, but for those that a finding names."""
    explanations: tuple[TimedExplanation, ...]
    leases: dict[str, int]
    """How many leases ended in each way; `open`: those that had not ended."""
    dropped: int
    """How many events the limit left out."""


def postmortem(collected: CollectedEvents, *, max_lanes: int = MAX_LANES) -> Postmortem:
    """Return the post-mortem of what was collected, which is at least one event."""
    bars, found = lease_bars(collected), tuple(findings(collected))
    entries = tuple(history_entry(observed.recorded) for observed in collected.events)
    named = {evidence.position for each in found for evidence in each.evidence}
    return Postmortem(
        found,
        timeline(collected, bars, waits(collected), max_lanes=max_lanes),
        entries,
        rows_of(entries, named),
        tuple(explanations(collected)),
        dict(Counter(bar.ended for bar in bars).most_common()),
        collected.dropped,
    )


def rows_of(entries: Sequence[HistoryEntry], named: Collection[int]) -> tuple[EventRow, ...]:
    """Return the rows of the table, in order; `named`: the positions that are shown in any case."""
    runs: list[list[HistoryEntry]] = []
    latest: dict[str, list[HistoryEntry]] = {}
    for entry in entries:
        run = latest.get(entry.subject)
        if run is None or (run[-1].event, run[-1].actor) != (entry.event, entry.actor):
            run = latest[entry.subject] = []
            runs.append(run)
        run.append(entry)
    rows = [row for run in runs for row in _collapsed(run, named)]
    return tuple(sorted(rows, key=lambda row: row.entry.position))


def _collapsed(run: Sequence[HistoryEntry], named: Collection[int]) -> Iterator[EventRow]:
    hidden = 0
    for number, entry in enumerate(run):
        if len(run) <= LONGEST_RUN or number in {0, len(run) - 1} or entry.position in named:
            yield EventRow(entry, hidden)
            hidden = 0
        else:
            hidden += 1
