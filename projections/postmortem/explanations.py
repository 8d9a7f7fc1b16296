"""What the rules said at each moment: after every event, how a task stood and what was to fall due.

Nothing is judged here: it is what `custody explain` would have printed, then.
"""

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
    from projections.postmortem.collect import CollectedEvents
    from projections.reports.next_steps import NextStep


class TimedExplanation(NamedTuple):
    """How a task stood from one event to the next."""

    task_id: str
    at: datetime
    position: int
    """Of the event that it holds from."""
    status: str
    headline: str
    next: tuple[NextStep, ...]
    """What was to come, if nobody was heard: in the order of time."""


def explanations(collected: CollectedEvents) -> Iterator[TimedExplanation]:
    """Every verdict, in the order of the log; a change of the pool gives one on each task that is held then."""
    first = collected.events[0]
    held = dict(collected.idle)
    for observed in collected.events:
        if (
            observed.before is not None
            and observed.before.lease is not None
            and observed.before.position < first.position
        ):
            held.setdefault(observed.recorded.entity_id, observed.before)
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
    told = explain(task, pool, rules, at)
    return TimedExplanation(task.task_id, at, position, told.status, told.headline, told.next)
