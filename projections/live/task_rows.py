"""Tasks as rows of a table: chosen, searched and sorted, with what a waiting one waits for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.statuses import TERMINAL, TaskStatus
from domain.task import Task
from domain.timestamps import after, format_timestamp
from projections.queries.documents import task_summary
from projections.reports.explain import why_unable
from projections.reports.time_text import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from projections.state.pool_state import PoolState

SORTS = ("task_id", "title", "status", "priority", "attempt", "agent_id", "percent", "submitted_at", "status_since",
         "heard_at", "expires_at", "deadline")  # fmt: skip
"""What a table can be sorted by. Rows without a value come last, whichever way it is sorted."""
_NUMBERS = re.compile(r"(\d+)")


class TaskFilter(NamedTuple):
    """Which tasks are listed; None, or empty: any."""

    status: str | None = None
    """A status, `live` or `ended`; None: both live tasks and lately ended ones."""
    label: str | None = None
    agent_id: str | None = None
    """Who holds it."""
    q: str = ""
    """Words that each occur in the id, the title, a label, a required capability or the holder; in any case."""
    sort: str = "task_id"
    """One of `SORTS`."""
    desc: bool = False


def chosen_tasks(state: PoolState, wanted: TaskFilter) -> list[Task]:
    """Return the tasks in memory that fit, sorted; of equal ones by id, T2 before T10. Goes through all of them.

    Raises:
        ValueError: the filter names a status or an order that there is not.
    """
    if wanted.sort not in SORTS:
        raise ValueError(f"tasks are not sorted by {wanted.sort!r}; there are {', '.join(SORTS)}")
    found = _of_status(state, wanted.status)
    words = wanted.q.casefold().split()
    if wanted.label:
        found = [task for task in found if wanted.label in task.definition.labels]
    if wanted.agent_id:
        found = [task for task in found if task.holder == wanted.agent_id]
    if words:
        found = [task for task in found if _says(task, words)]
    found = sorted(found, key=_by_id)
    return found if wanted.sort == "task_id" and not wanted.desc else _sorted(found, wanted.sort, desc=wanted.desc)


def task_row(task: Task, state: PoolState, now: datetime) -> dict[str, Any]:
    """Return a task's row: all of `task_summary`, with `{heard_at, expires_at, grace_until, words, waiting_because}`.

    `heard_at`: when its holder was heard on it last, else when it was granted; null if it is not held. `words`: the
    last note of its holder.
    """
    lease = task.lease
    return {
        **task_summary(task),
        "heard_at": None if lease is None else format_timestamp(lease.last_beat_at or lease.granted_at),
        "expires_at": None if lease is None else format_timestamp(lease.expires_at),
        "grace_until": None if lease is None else format_timestamp(after(lease.expires_at, lease.grace_s)),
        "words": None if lease is None else lease.note,
        "waiting_because": waiting_because(task, state, now),
    }


def waiting_because(task: Task, state: PoolState, now: datetime) -> str | None:
    """Return in words what a task waits for; None if an agent is at work on it, or it has ended."""
    match task.status:
        case TaskStatus.QUEUED:
            return _queued_because(task, state, now)
        case TaskStatus.ASSIGNED:
            return f"{task.holder} has not started it"
        case TaskStatus.STUCK:
            return f"{task.holder} is silent"
        case TaskStatus.BLOCKED:
            return task.question or _detail(task) or "blocked"
        case TaskStatus.QUARANTINED:
            return _detail(task) or "a person looks at it"
    return None


def _queued_because(task: Task, state: PoolState, now: datetime) -> str:
    if not state.pool.accepts_grants:
        return f"the pool is {state.pool.intake}"
    if task.not_before is not None and task.not_before > now:
        return f"not before {moment(task.not_before)}"
    required = frozenset(task.definition.required_capabilities)
    if state.best_agent(required) is not None:
        avoided = task.avoids if task.avoids_until is not None and task.avoids_until > now else None
        return (
            "an agent with room has not claimed it yet" if avoided is None else f"others than {avoided} are preferred"
        )
    if state.workloads.able_agents(required):
        return "every agent that can do it is full"
    return why_unable(task, state) or "every agent that can do it takes no work now"


def _detail(task: Task) -> str | None:
    return None if task.outcome is None else task.outcome.detail


def _of_status(state: PoolState, status: str | None) -> list[Task]:
    """Return the tasks in memory of a status, in the order of their ids as texts."""
    if status == "live":
        return [state.tasks[task_id] for task_id in state.indexes.counts.ids]
    if status == "ended":
        ended = (entity for entity in state.ended.recent.values() if isinstance(entity, Task))
        return sorted(ended, key=_task_id)
    if status is None:
        return sorted([*_of_status(state, "live"), *_of_status(state, "ended")], key=_task_id)
    wanted = TaskStatus(status)
    return [task for task in _of_status(state, "ended" if wanted in TERMINAL else "live") if task.status is wanted]


def _says(task: Task, words: Sequence[str]) -> bool:
    definition = task.definition
    text = "\n".join((
        task.task_id, definition.title, *definition.labels, *definition.required_capabilities, task.holder or "",
    )).casefold()  # fmt: skip
    return all(word in text for word in words)


def _sorted(tasks: list[Task], sort: str, *, desc: bool) -> list[Task]:
    """Sort tasks that are in the order of their ids, which stays the order of equal ones."""
    key_of = _KEYS[sort]
    keyed = [(key_of(task), task) for task in tasks]
    with_key = [each for each in keyed if each[0] is not None]
    with_key.sort(key=_key, reverse=desc)
    return [task for _, task in with_key] + [task for key, task in keyed if key is None]


def _key(entry: tuple[Any, Task]) -> Any:
    return entry[0]


def _task_id(task: Task) -> str:
    return task.task_id


@lru_cache(maxsize=65_536)
def natural_key(text: str) -> tuple[str | int, ...]:
    """Return a key that sorts texts with numbers by what the numbers are: T2 before T10."""
    return tuple(int(part) if place % 2 else part for place, part in enumerate(_NUMBERS.split(text)))


def _by_id(task: Task) -> tuple[str | int, ...]:
    return natural_key(task.task_id)


_KEYS: dict[str, Callable[[Task], Any]] = {
    "task_id": _by_id,
    "title": lambda task: task.definition.title or None,
    "status": lambda task: task.status.value,
    "priority": lambda task: task.definition.priority.rank,
    "attempt": lambda task: task.attempt,
    "agent_id": lambda task: task.holder,
    "percent": lambda task: None if task.lease is None else task.lease.percent,
    "submitted_at": lambda task: task.submitted_at,
    "status_since": lambda task: task.status_since,
    "heard_at": lambda task: None if task.lease is None else task.lease.last_beat_at or task.lease.granted_at,
    "expires_at": lambda task: None if task.lease is None else task.lease.expires_at,
    "deadline": lambda task: task.definition.deadline,
}
