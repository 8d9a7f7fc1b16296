"""Too much work for too few: overloaded agents, tasks that nobody could take, steals that chase each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import steal as st
from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.policies.load_balancing import OVERLOADED_ABOVE_CPU, OVERLOADED_ABOVE_TASKS, is_overloaded
from domain.timestamps import seconds_between
from projections.postmortem.causes.finding import Cause, Finding, count, finding, some
from projections.reports.time_text import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from projections.postmortem.collect import Chances, Collected, Seen

_WORTH_NAMING_S = 1.0
"""A shorter wait for an agent with room is no want of capacity."""


def overload(collected: Collected) -> Iterator[Finding]:
    """Agents that were overloaded when work was taken off them, or when they lost a lease or missed a deadline."""
    found: dict[str, list[tuple[Seen, str]]] = {}
    for seen in collected.seen:
        event = seen.recorded.event
        match event:
            case st.Planned():
                agent_id, tasks, cpu = event.from_agent, event.source_tasks, event.source_cpu
                what = f"a steal for {event.to_agent} was planned"
            case ev.Expired() | ev.Stuck() | ev.Failed() if seen.agent is not None and event.agent_id is not None:
                agent_id, tasks, cpu = event.agent_id, seen.agent_tasks, seen.agent.cpu
                what = f"{seen.recorded.entity_id} {event.name}"
            case _:
                continue
        if is_overloaded(tasks, cpu):
            said = (
                f"{what}: {count(tasks, 'task')} (limit {OVERLOADED_ABOVE_TASKS}), "
                f"cpu {cpu:g} % (limit {OVERLOADED_ABOVE_CPU:g} %)"
            )
            found.setdefault(agent_id, []).append((seen, said))
    for agent_id, shown in found.items():
        yield finding(
            Cause.OVERLOAD, [seen for seen, _ in shown], f"{agent_id} was overloaded", "", [said for _, said in shown]
        )


def capacity(collected: Collected) -> Iterator[Finding]:
    """Tasks that were queued when nobody could take them, and for how long that left them waiting."""
    waiting: dict[str, Seen] = {}
    waits: list[tuple[float, Seen, str]] = []
    for seen in collected.seen:
        task_id, task = seen.recorded.entity_id, seen.after
        if task is None:
            continue
        if task.status is TaskStatus.QUEUED:
            if seen.chances is not None and seen.chances.able is None:
                waiting[task_id] = seen
        elif task_id in waiting:
            waits.append(_wait(waiting.pop(task_id), seen.at, seen.recorded.name))
    end = collected.seen[-1].at
    waits += [_wait(seen, end, "") for seen in waiting.values()]
    waits = sorted((each for each in waits if each[0] >= _WORTH_NAMING_S), key=lambda each: -each[0])
    if waits:
        tasks = [seen.recorded.entity_id for _, seen, _ in waits]
        title = f"nobody could take {some(tasks)} when {'it was' if len(set(tasks)) == 1 else 'they were'} queued"
        yield finding(Cause.CAPACITY, [seen for _, seen, _ in waits], title, "", [said for *_, said in waits])


def _wait(queued: Seen, until: datetime, ended: str) -> tuple[float, Seen, str]:
    waited_s = seconds_between(queued.at, until)
    then = (
        f"waited {duration(waited_s)}, then {ended.replace('_', ' ')}" if ended else f"waiting for {duration(waited_s)}"
    )
    return waited_s, queued, f"{queued.recorded.entity_id}: {then}; {obstacles(queued.chances)}"


def obstacles(chances: Chances | None) -> str:
    """Return in words why nobody could take a task."""
    if chances is None or not chances.candidates:
        return "no agent was registered"
    return some([f"{each.agent_id} {each.why}" for each in chances.candidates], 3)


def cascades(collected: Collected) -> Iterator[Finding]:
    """Steals that lead to steals: a task moved on before it began, or a target that was stolen from in its turn."""
    yield from _moved_on(collected)
    relayed: list[tuple[Seen, ev.Stolen, str]] = []
    received: dict[str, tuple[Seen, str]] = {}
    for seen in collected.seen:
        event = seen.recorded.event
        if not isinstance(event, ev.Stolen):
            continue
        earlier, operation_id = received.get(event.from_agent, (None, ""))
        received[event.agent_id] = (seen, event.operation_id)
        if earlier is None or operation_id == event.operation_id:
            continue
        gap_s = seconds_between(earlier.at, seen.at)
        if gap_s <= collected.rules.steal.cooldown_s:
            given = f"{event.from_agent} had been given {earlier.recorded.entity_id} {duration(gap_s)}"
            relayed.append((seen, event, f"{given} before it lost {seen.recorded.entity_id} to {event.agent_id}"))
    if relayed:
        agents = [event.from_agent for _, event, _ in relayed]
        title = f"{some(agents)} {'was' if len(set(agents)) == 1 else 'were'} given work, and stolen from right after"
        yield finding(Cause.CASCADE, [seen for seen, *_ in relayed], title, "", [said for *_, said in relayed])


def _moved_on(collected: Collected) -> Iterator[Finding]:
    moves: dict[str, list[Seen]] = {}
    for seen in collected.seen:
        event, task_id = seen.recorded.event, seen.recorded.entity_id
        if isinstance(event, ev.Stolen):
            moves.setdefault(task_id, []).append(seen)
        elif isinstance(event, ev.Started | ev.Leased):
            yield from _chain(task_id, moves.pop(task_id, []))
    for task_id, chain in moves.items():
        yield from _chain(task_id, chain)


def _chain(task_id: str, chain: Sequence[Seen]) -> Iterator[Finding]:
    if len(chain) > 1:
        events = [seen.recorded.event for seen in chain]
        said = [f"from {each.from_agent} to {each.agent_id}" for each in events if isinstance(each, ev.Stolen)]
        title = f"{task_id} was stolen {len(chain)} times before anybody began it"
        yield finding(Cause.CASCADE, chain, title, "", said)
