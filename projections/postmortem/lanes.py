"""The lanes of a post-mortem's timeline: one for each agent and each task, with bars, marks and arrows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.events import Entity
from domain.events import pool as po
from domain.events import task as ev
from domain.timestamps import after
from projections.postmortem.bars import Span
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from projections.postmortem.bars import Bar
    from projections.postmortem.observed_events import CollectedEvents, ObservedEvent


class Mark(NamedTuple):
    """One event in a lane."""

    kind: str
    """The event's name; `deadline` for a deadline, which is no event."""
    at: datetime
    position: int
    row: int
    """The row of its bar; 0 in a task's lane."""


class Lane(NamedTuple):
    """The lane of an agent or a task; it has several rows where leases overlap."""

    kind: str
    """`agent` or `task`."""
    id: str
    note: str
    """Shown beside the name, such as a task's title."""
    bars: tuple[tuple[int, Bar], ...]
    """Each with its row."""
    rows: int
    marks: tuple[Mark, ...]
    spans: tuple[Span, ...]
    """The periods in which a task waited without a holder."""


class Arrow(NamedTuple):
    """A steal: tasks that moved from one agent's lane to another's."""

    at: datetime
    position: int
    from_agent: str
    to_agent: str
    task_ids: tuple[str, ...]
    operation_id: str
    from_token: int
    """The token of the first lease that it ended."""
    to_token: int


class Timeline(NamedTuple):
    """What is drawn."""

    lanes: tuple[Lane, ...]
    arrows: tuple[Arrow, ...]
    outages: tuple[Span, ...]
    """When the pool could not hear its agents, each up to the floor before which no lease was judged."""
    marks: tuple[Mark, ...]
    """The pool's own events."""
    omitted: int
    """How many lanes the limit left out."""
    begin: datetime
    end: datetime


_DRAWN_AS_EDGES = (ev.Submitted, ev.Requeued, ev.Quarantined)


def timeline(
    collected: CollectedEvents, bars: Sequence[Bar], waits: Mapping[str, tuple[Span, ...]], *, max_lanes: int
) -> Timeline:
    """Return the timeline of what was collected: agents first, each kind in the order of its first appearance."""
    begin, end = collected.events[0].at, collected.events[-1].at
    tasks = _task_lanes(collected, bars, waits, begin, end)
    agents = _agent_lanes(collected, bars, end)
    lanes = [*agents, *tasks]
    room = max(max_lanes, 1)
    if len(lanes) > room:
        kept_agents = agents[: room // 2] if len(tasks) > room // 2 else agents[: room - len(tasks)]
        lanes = [*kept_agents, *tasks[: room - len(kept_agents)]]
    shown = {lane.id for lane in lanes if lane.kind == "agent"}
    return Timeline(
        tuple(lanes),
        tuple(arrow for arrow in _arrows(collected.events) if {arrow.from_agent, arrow.to_agent} <= shown),
        tuple(_outages(collected.events)),
        tuple(_mark(observed) for observed in collected.events if observed.recorded.entity is Entity.POOL),
        len(agents) + len(tasks) - len(lanes) + collected.idle_omitted,
        begin,
        end,
    )


def _task_lanes(
    collected: CollectedEvents,
    bars: Sequence[Bar],
    waits: Mapping[str, tuple[Span, ...]],
    begin: datetime,
    end: datetime,
) -> list[Lane]:
    bars_of = _by(bars, "task_id")
    marks: dict[str, list[Mark]] = {}
    notes = {task_id: task.definition.title for task_id, task in collected.idle.items()}
    deadlines: dict[str, Mark] = {}
    for observed in collected.events:
        task = observed.after or observed.before
        if task is None:
            continue
        notes[task.task_id] = task.definition.title
        found = marks.setdefault(task.task_id, [])
        if not _is_drawn_as_edge(observed):
            found.append(_mark(observed))
        deadline = task.definition.deadline
        if deadline is not None and begin <= deadline <= end:
            deadlines[task.task_id] = Mark("deadline", deadline, task.position, 0)
    for task_id, mark in deadlines.items():
        marks[task_id].append(mark)
    order = dict.fromkeys([*marks, *(bar.task_id for bar in bars)])
    return [
        Lane(
            "task",
            task_id,
            notes.get(task_id, ""),
            tuple((0, bar) for bar in bars_of.get(task_id, ())),
            1,
            tuple(marks.get(task_id, ())),
            waits.get(task_id, ()),
        )
        for task_id in order
    ]


def _agent_lanes(collected: CollectedEvents, bars: Sequence[Bar], end: datetime) -> list[Lane]:
    rows = {agent_id: _packed(mine, end) for agent_id, mine in _by(bars, "agent_id").items()}
    row_of = {bar.token: row for mine in rows.values() for row, bar in mine}
    agent_of = {bar.token: bar.agent_id for bar in bars}
    marks: dict[str, list[Mark]] = {}
    for observed in collected.events:
        recorded = observed.recorded
        if recorded.entity is Entity.AGENT:
            marks.setdefault(recorded.entity_id, []).append(_mark(observed))
            continue
        token = getattr(recorded.event, "token", None)
        if recorded.entity is Entity.TASK and token in agent_of and not _is_drawn_as_edge(observed):
            marks.setdefault(agent_of[token], []).append(_mark(observed, row_of[token]))
    order = dict.fromkeys([*(bar.agent_id for bar in bars), *marks])
    return [
        Lane(
            "agent",
            agent_id,
            count(len(rows.get(agent_id, ())), "lease"),
            tuple(rows.get(agent_id, ())),
            max((row + 1 for row, _ in rows.get(agent_id, ())), default=1),
            tuple(marks.get(agent_id, ())),
            (),
        )
        for agent_id in order
    ]


def _packed(bars: Sequence[Bar], end: datetime) -> list[tuple[int, Bar]]:
    """Return each bar with the first row that is free when it begins."""
    free: list[datetime] = []
    placed = []
    for bar in bars:
        row = next((number for number, since in enumerate(free) if since <= bar.begin), len(free))
        free[row : row + 1] = [bar.end or after(end, 1)]
        placed.append((row, bar))
    return placed


def _by(bars: Iterable[Bar], name: str) -> dict[str, list[Bar]]:
    found: dict[str, list[Bar]] = {}
    for bar in bars:
        found.setdefault(getattr(bar, name), []).append(bar)
    return found


def _is_drawn_as_edge(observed: ObservedEvent) -> bool:
    """Return whether an event is drawn as the edge of a bar or of a wait, and so needs no mark."""
    return observed.changes_holder or isinstance(observed.recorded.event, _DRAWN_AS_EDGES)


def _mark(observed: ObservedEvent, row: int = 0) -> Mark:
    return Mark(observed.recorded.name, observed.at, observed.position, row)


def _arrows(events: Sequence[ObservedEvent]) -> list[Arrow]:
    """Return one arrow for each operation that moved something."""
    found: dict[tuple[str, str, str], Arrow] = {}
    for each in events:
        event = each.recorded.event
        if isinstance(event, ev.Stolen):
            key = (event.operation_id, event.from_agent, event.agent_id)
            task_id = each.recorded.entity_id
            first = found.get(key)
            found[key] = (
                Arrow(each.at, each.position, *key[1:], (task_id,), key[0], event.previous_token, event.token)
                if first is None
                else first._replace(task_ids=(*first.task_ids, task_id))
            )
    return list(found.values())


def _outages(events: Sequence[ObservedEvent]) -> list[Span]:
    return [
        Span("outage", after(each.at, -event.blind_s), event.not_before, each.position, event.reason)
        for each in events
        if isinstance(event := each.recorded.event, po.Rearmed)
    ]
