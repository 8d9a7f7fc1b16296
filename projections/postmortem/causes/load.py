"""Load: overloaded agents, tasks that no agent could take, steals that lead to further steals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import steal as st
from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.policies.load_balancing import loads_since
from domain.timestamps import seconds_between
from projections.postmortem.causes.finding import Cause, Finding, finding, first_few
from projections.postmortem.observed_events import BURST_S, FLOOD_BURST, FLOOD_EVENTS
from projections.reports.time_text import duration
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from projections.postmortem.observed_events import Availability, CollectedEvents, ObservedEvent

_LACK_OF_CAPACITY_S = 1.0
"""A shorter wait for an agent with room is not called a lack of capacity."""


def floods(collected: CollectedEvents) -> Iterator[Finding]:
    """Find kinds of event that one actor wrote so often that they bury the others."""
    total = len(collected.events) + collected.dropped
    for each in collected.repeated:
        if each.number < FLOOD_EVENTS or (each.number * 2 < total and each.burst < FLOOD_BURST):
            continue
        title = f"{each.actor or 'the service'} wrote {each.number} of {total} events: {each.name.replace('_', ' ')}"
        took = duration(seconds_between(each.first.at, each.last.at))
        said = ["the first", f"the last, {took} later; at most {each.burst} came within {BURST_S} s"]
        yield finding(Cause.FLOOD, [each.first, each.last], title, said)


def overload(collected: CollectedEvents) -> Iterator[Finding]:
    """Find agents that were overloaded when a steal from them was planned, or when they lost a lease or a deadline."""
    limits = collected.rules.steal
    found: dict[str, list[tuple[ObservedEvent, str]]] = {}
    for observed in collected.events:
        event = observed.recorded.event
        match event:
            case st.Planned():
                agent_id, tasks, cpu = event.from_agent, event.source_tasks, event.source_cpu
                what = f"a steal for {event.to_agent} was planned"
            case ev.Expired() | ev.Stuck() | ev.Failed() if observed.agent is not None and event.agent_id is not None:
                agent_id, tasks = event.agent_id, observed.agent_tasks
                # A silent agent reports no load: its last one counts if it was not outdated when it was last heard.
                last_heard_at = observed.agent.last_recorded_at or observed.at
                cpu = observed.agent.cpu_since(loads_since(last_heard_at, collected.rules.load_valid_s))
                what = f"{observed.recorded.entity_id} {event.name}"
            case _:
                continue
        if limits.is_overloaded(tasks, cpu):
            said = (
                f"{what}: {count(tasks, 'task')} (limit {limits.overloaded_above_tasks}), "
                f"cpu {cpu:g} % (limit {limits.overloaded_above_cpu:g} %)"
            )
            found.setdefault(agent_id, []).append((observed, said))
    for agent_id, shown in found.items():
        yield finding(
            Cause.OVERLOAD,
            [observed for observed, _ in shown],
            f"{agent_id} was overloaded",
            [said for _, said in shown],
        )


def capacity(collected: CollectedEvents) -> Iterator[Finding]:
    """Find tasks that were queued when no agent could take them, and how long they waited."""
    waiting: dict[str, ObservedEvent] = {}
    waits: list[tuple[float, ObservedEvent, str]] = []
    for observed in collected.events:
        task_id, task = observed.recorded.entity_id, observed.after
        if task is None:
            continue
        if task.status is TaskStatus.QUEUED:
            if observed.availability is not None and observed.availability.best_agent is None:
                waiting[task_id] = observed
        elif task_id in waiting:
            waits.append(_wait(waiting.pop(task_id), observed.at, observed.recorded.name))
    end = collected.events[-1].at
    waits += [_wait(observed, end, "") for observed in waiting.values()]
    waits = sorted((each for each in waits if each[0] >= _LACK_OF_CAPACITY_S), key=lambda each: -each[0])
    if waits:
        tasks = [observed.recorded.entity_id for _, observed, _ in waits]
        title = (
            f"no agent could take {first_few(tasks)} when {'it was' if len(set(tasks)) == 1 else 'they were'} queued"
        )
        yield finding(Cause.CAPACITY, [observed for _, observed, _ in waits], title, [said for *_, said in waits])


def _wait(queued: ObservedEvent, until: datetime, ended: str) -> tuple[float, ObservedEvent, str]:
    waited_s = seconds_between(queued.at, until)
    then = (
        f"waited {duration(waited_s)}, then {ended.replace('_', ' ')}" if ended else f"waiting for {duration(waited_s)}"
    )
    return waited_s, queued, f"{queued.recorded.entity_id}: {then}; {obstacles(queued.availability)}"


def obstacles(availability: Availability | None) -> str:
    """Return in words why no agent could take a task."""
    if availability is None or not availability.candidates:
        return "no agent was registered"
    return first_few([f"{each.agent_id} {each.why}" for each in availability.candidates], 3)


def cascades(collected: CollectedEvents) -> Iterator[Finding]:
    """Find steals that led to steals: of a task before its start, or from an agent that had just received one."""
    yield from _moved_on(collected)
    relayed: list[tuple[ObservedEvent, ev.Stolen, str]] = []
    received: dict[str, tuple[ObservedEvent, str]] = {}
    for observed in collected.events:
        event = observed.recorded.event
        if not isinstance(event, ev.Stolen):
            continue
        earlier, operation_id = received.get(event.from_agent, (None, ""))
        received[event.agent_id] = (observed, event.operation_id)
        if earlier is None or operation_id == event.operation_id:
            continue
        gap_s = seconds_between(earlier.at, observed.at)
        if gap_s <= collected.rules.steal.cooldown_s:
            given = f"{event.from_agent} had been given {earlier.recorded.entity_id} {duration(gap_s)}"
            relayed.append(
                (observed, event, f"{given} before it lost {observed.recorded.entity_id} to {event.agent_id}")
            )
    if relayed:
        agents = [event.from_agent for _, event, _ in relayed]
        title = (
            f"{first_few(agents)} {'was' if len(set(agents)) == 1 else 'were'} given work, and stolen from right after"
        )
        yield finding(Cause.CASCADE, [observed for observed, *_ in relayed], title, [said for *_, said in relayed])


def _moved_on(collected: CollectedEvents) -> Iterator[Finding]:
    moves: dict[str, list[ObservedEvent]] = {}
    for observed in collected.events:
        event, task_id = observed.recorded.event, observed.recorded.entity_id
        if isinstance(event, ev.Stolen):
            moves.setdefault(task_id, []).append(observed)
        elif isinstance(event, ev.Started | ev.Progressed | ev.Leased):
            yield from _chain(task_id, moves.pop(task_id, []))
    for task_id, chain in moves.items():
        yield from _chain(task_id, chain)


def _chain(task_id: str, chain: Sequence[ObservedEvent]) -> Iterator[Finding]:
    if len(chain) > 1:
        events = [observed.recorded.event for observed in chain]
        said = [f"from {each.from_agent} to {each.agent_id}" for each in events if isinstance(each, ev.Stolen)]
        title = f"{task_id} was stolen {len(chain)} times before it was started"
        yield finding(Cause.CASCADE, chain, title, said)
