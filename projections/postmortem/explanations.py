"""What `custody explain` would have printed after each event: how a task stood, and what was due next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.events import Entity
from projections.reports.explain import explain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Task
    from projections.postmortem.observed_events import CollectedEvents
    from projections.reports.next_steps import NextStep


class TimedExplanation(NamedTuple):
    """How a task stood from one event to the next."""

    task_id: str
    at: datetime
    position: int
    """Of the event from which on it holds."""
    status: str
    headline: str
    next: tuple[NextStep, ...]
    """What was due if no agent was heard, in the order of time."""


def explanations(collected: CollectedEvents) -> Iterator[TimedExplanation]:
    """Yield every explanation, in the order of the log. An event of the pool yields one for each task held then."""
    first = collected.events[0]
    held = dict(collected.idle)
    for observed in collected.events:
        before = observed.before
        if before is not None and before.lease is not None and before.position < first.position:
            held.setdefault(before.task_id, before)
    for task in held.values():
        yield _explained(task, first.pool, collected.rules, first.at, task.position)
    for observed in collected.events:
        if observed.recorded.entity is Entity.POOL:
            for task in held.values():
                if task.position < observed.position:
                    yield _explained(task, observed.pool, collected.rules, observed.at, observed.position)
        elif observed.after is not None:
            task = observed.after
            if task.lease is None:
                held.pop(task.task_id, None)
            else:
                held[task.task_id] = task
            yield _explained(task, observed.pool, collected.rules, observed.at, observed.position)


def _explained(task: Task, pool: Pool, rules: Rules, at: datetime, position: int) -> TimedExplanation:
    found = explain(task, pool, rules, at)
    return TimedExplanation(task.task_id, at, position, found.status, found.headline, found.next)
