"""The fold of a task's outline: of all its events except reports and renewals, of which there may be thousands.

Those change the lease's numbers and `expiries`, and nothing else of the task, but that the first report on a lease
starts it. So an outline gives the task's attempt, definition, hand-off, former leases and outcome exactly, its lease
but for these numbers, and not `expiries`. Its status is exact unless it is `assigned`: `with_first_report` is then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from domain.errors import FoldError, out_of_order
from domain.events import EVENT_TYPES, Entity
from domain.events import task as ev
from domain.lifecycles import IllegalTransitionError
from domain.task.evolve import evolve_task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.recorded import Recorded
    from domain.task.record import Task

QUIET_EVENTS = frozenset({ev.Progressed, ev.Renewed, ev.Silenced, ev.Extended, ev.Escalated})
"""Events that change nothing of a task but its lease's numbers, `expiries`, `version` and `position`.

And the status, with the first report on an assigned task.
"""

_TASK_EVENTS = tuple(kind for kind in EVENT_TYPES.values() if kind.entity is Entity.TASK)
OUTLINE_NAMES = tuple(kind.name for kind in _TASK_EVENTS if kind not in QUIET_EVENTS)
"""The names of the events that an outline holds."""
TERM_NAMES = tuple(kind.name for kind in _TASK_EVENTS if "expires_at" in kind.model_fields)
"""The names of the events that set a lease's expiry, grants included."""


def fold_outline(records: Iterable[Recorded], task: Task | None = None) -> Task | None:
    """Return a task as its outline leaves it, from its beginning or from what is folded already.

    `version` and `position` are those of the last event. Raises FoldError if the events are no outline of a task: then
    only the fold of its whole history is exact.
    """
    for recorded in records:
        if task is not None and recorded.version <= task.version:
            raise out_of_order(recorded, task.version)
        try:
            task = evolve_task(task, recorded if task is None else replace(recorded, version=task.version + 1))
        except IllegalTransitionError as error:
            raise FoldError(str(error)) from error
        task = replace(task, version=recorded.version)
    return task


def with_first_report(task: Task, report: Recorded) -> Task:
    """Return an assigned task's outline with the first report on its lease; `version` and `position` stay.

    Raises FoldError if the report is none on this lease.
    """
    started = evolve_task(task, replace(report, version=task.version + 1))
    return replace(started, version=task.version, position=task.position)
