"""What happened to the pool and its agents as a whole: outages, restarts, gates, agents that were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import agent as ag
from domain.events import pool as po
from domain.events import task as ev
from projections.postmortem.causes.finding import Cause, Finding, count, finding
from projections.reports.time_text import clock, duration
from projections.reports.wording import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.postmortem.collect import Collected, Seen

_FIRST_LED = 2
"""The pool's version at which the service that opened a log takes its lead."""


def outages(collected: Collected) -> Iterator[Finding]:
    """Spells in which the pool could not hear its agents, each with the judgements that waited for its floor."""
    for seen in collected.seen:
        event = seen.recorded.event
        if isinstance(event, po.Rearmed):
            waited = [each for each in collected.seen if each.position > seen.position and _waited(each, event)]
            said = [f"{event.reason}: nobody is judged before {clock(event.not_before)}"]
            said += [f"{each.recorded.entity_id} waited for that, and was {each.recorded.name}" for each in waited]
            title = f"the pool could not hear its agents for {duration(event.blind_s)}"
            yield finding(Cause.OUTAGE, [seen, *waited], title, "", said)


def _waited(seen: Seen, outage: po.Rearmed) -> bool:
    """Return whether a judgement came when it did because of the outage's floor."""
    event = seen.recorded.event
    if not isinstance(event, ev.Expired | ev.Stuck):
        return False
    floor = event.numbers.not_before
    return floor is not None and floor >= outage.not_before and event.numbers.due_at == floor


def held_expiry(collected: Collected) -> Iterator[Finding]:
    """Spells in which judging was suspended."""
    for seen in collected.seen:
        if isinstance(seen.recorded.event, po.ExpiryHeld):
            said = seen.recorded.event.reason or "no reason was given"
            yield finding(Cause.EXPIRY_HELD, [seen], "judging leases was suspended", "", [said])


def restarts(collected: Collected) -> Iterator[Finding]:
    """Changes of who leads the pool; the first lead of a new log is none."""
    found = [
        seen
        for seen in collected.seen
        if isinstance(seen.recorded.event, po.Led) and seen.recorded.version > _FIRST_LED
    ]
    if found:
        title = f"the service was restarted {'once' if len(found) == 1 else f'{len(found)} times'}"
        yield finding(Cause.RESTART, found, title, "", [describe(seen.recorded.event) for seen in found])


_GATES = (po.PoolPaused, po.PoolDraining, ag.AgentPaused, ag.AgentDraining)


def gates(collected: Collected) -> Iterator[Finding]:
    """Pauses and drains."""
    found = [seen for seen in collected.seen if isinstance(seen.recorded.event, _GATES)]
    if found:
        said = [
            f"{seen.recorded.originator_id} {seen.recorded.name}"
            + (f": {words}" if (words := describe(seen.recorded.event)) else "")
            for seen in found
        ]
        yield finding(Cause.PAUSED, found, f"new grants were closed off {count(len(found), 'time')}", "", said)


def lost(collected: Collected) -> Iterator[Finding]:
    """Agents that were lost while they held work."""
    for seen in collected.seen:
        event = seen.recorded.event
        if isinstance(event, ag.Lost) and seen.agent_tasks:
            title = f"{seen.recorded.entity_id} was lost while it held {count(seen.agent_tasks, 'task')}"
            yield finding(Cause.LOST, [seen], title, "", [describe(event)])
