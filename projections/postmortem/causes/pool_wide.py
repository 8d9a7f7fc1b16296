"""Events of the whole pool and of its agents: outages, restarts, pauses, lost agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import agent as ag
from domain.events import pool as po
from domain.events import task as ev
from projections.postmortem.causes.finding import Cause, Finding, finding
from projections.postmortem.observed_events import FIRST_LED
from projections.reports.time_text import clock, duration
from projections.reports.wording import count, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.postmortem.observed_events import CollectedEvents, ObservedEvent


def outages(collected: CollectedEvents) -> Iterator[Finding]:
    """Find outages of the pool, each with the judgements that waited for its floor."""
    for observed in collected.events:
        event = observed.recorded.event
        if isinstance(event, po.Rearmed):
            waited = [each for each in collected.events if each.position > observed.position and _waited(each, event)]
            said = [f"{event.reason}: no lease is judged before {clock(event.not_before)}"]
            said += [f"{each.recorded.entity_id} waited for that, and was {each.recorded.name}" for each in waited]
            title = f"the pool could not hear its agents for {duration(event.blind_s)}"
            yield finding(Cause.OUTAGE, [observed, *waited], title, said)


def _waited(observed: ObservedEvent, outage: po.Rearmed) -> bool:
    """Return whether a judgement was due at the outage's floor, and not earlier."""
    event = observed.recorded.event
    if not isinstance(event, ev.Expired | ev.Stuck):
        return False
    floor = event.numbers.not_before
    return floor is not None and floor >= outage.not_before and event.numbers.due_at == floor


def tail_losses(collected: CollectedEvents) -> Iterator[Finding]:
    """Find losses of the log's tail, each by the first of the events that fill it."""
    before: po.TailLost | None = None
    for observed in collected.events:
        event = observed.recorded.event
        if isinstance(event, po.TailLost) and event != before:
            before = event
            yield finding(Cause.TAIL_LOST, [observed], "the log lost its tail", [describe(event)])


def held_expiry(collected: CollectedEvents) -> Iterator[Finding]:
    """Find suspensions of judging."""
    for observed in collected.events:
        if isinstance(observed.recorded.event, po.ExpiryHeld):
            said = observed.recorded.event.reason or "no reason was given"
            yield finding(Cause.EXPIRY_HELD, [observed], "judging leases was suspended", [said])


def restarts(collected: CollectedEvents) -> Iterator[Finding]:
    """Find restarts: every `led` but the first of a new log."""
    found = [
        observed
        for observed in collected.events
        if isinstance(observed.recorded.event, po.Led) and observed.recorded.version > FIRST_LED
    ]
    if found:
        title = f"the service was restarted {'once' if len(found) == 1 else f'{len(found)} times'}"
        yield finding(Cause.RESTART, found, title, [describe(observed.recorded.event) for observed in found])


_CLOSED = (po.PoolPaused, po.PoolDraining, ag.AgentPaused, ag.AgentDraining)


def closed_intakes(collected: CollectedEvents) -> Iterator[Finding]:
    """Find pauses and drains of the pool and of agents."""
    found = [observed for observed in collected.events if isinstance(observed.recorded.event, _CLOSED)]
    if found:
        said = [
            f"{observed.recorded.originator_id} {observed.recorded.name}"
            + (f": {words}" if (words := describe(observed.recorded.event)) else "")
            for observed in found
        ]
        yield finding(Cause.PAUSED, found, f"new grants were closed off {count(len(found), 'time')}", said)


def lost(collected: CollectedEvents) -> Iterator[Finding]:
    """Find agents that were lost while they held tasks."""
    for observed in collected.events:
        event = observed.recorded.event
        if isinstance(event, ag.Lost) and observed.agent_tasks:
            title = f"{observed.recorded.entity_id} was lost while it held {count(observed.agent_tasks, 'task')}"
            yield finding(Cause.LOST, [observed], title, [describe(event)])
