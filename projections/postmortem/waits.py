"""The periods in which a task waited without a holder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.lifecycles import HELD, TERMINAL, TaskStatus
from projections.postmortem.bars import Span
from projections.reports.time_text import moment

if TYPE_CHECKING:
    from datetime import datetime

    from domain.task import Task
    from projections.postmortem.observed_events import CollectedEvents

_WAITING = frozenset(TaskStatus) - HELD - TERMINAL - {TaskStatus.NEW, TaskStatus.UNHELD}


def waits(collected: CollectedEvents) -> dict[str, tuple[Span, ...]]:
    """Return the waits of each task, in order. The kind of a span is the task's status."""
    found: dict[str, list[Span]] = {}
    waiting: dict[str, tuple[int, Task]] = {}
    for observed in collected.events:
        task_id, before, after = observed.recorded.entity_id, observed.before, observed.after
        if after is None:
            continue
        if before is not None and before.status in _WAITING and after.status is not before.status:
            since, _ = waiting.pop(task_id, (before.position, before))
            found.setdefault(task_id, []).append(_span(before, since, observed.at))
        if after.status in _WAITING:
            since, _ = waiting.get(task_id, (observed.position, after))
            waiting[task_id] = since, after
    for task_id, (since, task) in waiting.items():
        found.setdefault(task_id, []).append(_span(task, since, None))
    return {task_id: tuple(spans) for task_id, spans in found.items()}


def _span(task: Task, position: int, end: datetime | None) -> Span:
    delay = f", not before {moment(task.not_before)}" if task.not_before is not None else ""
    return Span(task.status.value, task.status_since, end, position, f"{task.status.value}{delay}")
