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
    from projections.postmortem.collect import Collected
    from projections.reports.upcoming import Upcoming


class Verdict(NamedTuple):
    """How a task stood from one event to the next."""

    task_id: str
    at: datetime
    position: int
    """Of the event that it holds from."""
    status: str
    headline: str
    next: tuple[Upcoming, ...]
    """What was to come, if nobody was heard: in the order of time."""


def verdicts(collected: Collected) -> Iterator[Verdict]:
    """Every verdict, in the order of the log; a change of the pool gives one on each task that is held then."""
    first = collected.seen[0]
    held = dict(collected.idle)
    for seen in collected.seen:
        if seen.before is not None and seen.before.lease is not None and seen.before.position < first.position:
            held.setdefault(seen.recorded.entity_id, seen.before)
    for task in held.values():
        yield _verdict(task, first.pool, collected.rules, first.at, task.position)
    for seen in collected.seen:
        if seen.recorded.entity is Entity.POOL:
            for task in held.values():
                if task.position < seen.position:
                    yield _verdict(task, seen.pool, collected.rules, seen.at, seen.position)
        elif seen.after is not None:
            task = seen.after
            if task.lease is None:
                held.pop(task.task_id, None)
            else:
                held[task.task_id] = task
            yield _verdict(task, seen.pool, collected.rules, seen.at, seen.position)


def _verdict(task: Task, pool: Pool, rules: Rules, at: datetime, position: int) -> Verdict:
    told = explain(task, pool, rules, at)
    return Verdict(task.task_id, at, position, told.status, told.headline, told.next)
