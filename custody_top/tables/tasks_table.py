"""The tasks: where each is, who holds it, and what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from custody_top.lines.ages import since, until
from custody_top.lines.cells import BAD, GOOD, ODD, QUIET
from custody_top.lines.columns import Column
from custody_top.tables.table import Row, Table, Target
from domain.statuses import TaskStatus
from handlers.follower.task_lists import TaskLists
from projections.live.actions import task_actions
from projections.live.task_rows import SORTS, TaskFilter, task_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.task import Task
    from handlers.ports import Clock
    from infra.cli.watching.watched_pool import WatchedPool
    from projections.live.live_view import Reading

STATUSES = ("live", "queued", "assigned", "in_progress", "stuck", "blocked", "quarantined", "ended")
"""What tasks can be chosen by, one after the other."""
_STYLES = {
    TaskStatus.STUCK: BAD,
    TaskStatus.QUARANTINED: BAD,
    TaskStatus.BLOCKED: ODD,
    TaskStatus.FAILED: BAD,
    TaskStatus.COMPLETED: GOOD,
    TaskStatus.QUEUED: QUIET,
    TaskStatus.CANCELLED: QUIET,
}


class TasksTable(Table):
    """Rows of `task_row`; only those that are seen are made."""

    name = "tasks"
    columns: ClassVar[Sequence[Column]] = (
        Column("task", 10, stretch=1),
        Column("title", 14, rank=1, stretch=2),
        Column("status", 11),
        Column("try", 3, rank=3, right=True),
        Column("priority", 8, rank=4),
        Column("agent", 9),
        Column("%", 3, right=True),
        Column("silent", 6, right=True),
        Column("ends in", 7, rank=2, right=True),
        Column("waits because, or last words", 18, stretch=3),
    )
    sorts = ("heard_at", *(each for each in SORTS if each != "heard_at"))
    empty = "no tasks"

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.status = STATUSES[0]
        self.agent_id: str | None = None
        """Only tasks that this agent holds; None: any."""
        self._lists = TaskLists(clock)
        self._listed: list[Task] = []

    def refresh(self, watch: WatchedPool, reading: Reading) -> None:  # noqa: ARG002 - the signature of all tables
        """List the tasks that fit."""
        wanted = TaskFilter(self.status, agent_id=self.agent_id, q=self.q, sort=self.sort, desc=self.desc)
        self._listed = self._lists.listed(wanted, reading.state).tasks

    def next_status(self) -> None:
        """Choose by the next of `STATUSES`."""
        self.status = STATUSES[(STATUSES.index(self.status) + 1) % len(STATUSES)]

    def __len__(self) -> int:
        return len(self._listed)

    @property
    def chosen(self) -> str:
        """How the tasks were chosen."""
        of = f" of {self.agent_id}" if self.agent_id is not None else ""
        return f" {self.status.replace('_', ' ')}{of}{super().chosen}"

    def key(self, place: int) -> str:
        """Return the task's id."""
        return self._listed[place].task_id

    def row(self, place: int, reading: Reading) -> Row:
        """Return a task's row, as it is now."""
        task = self._now(place, reading)
        row, now = task_row(task, reading.state, reading.now), reading.now
        cells = (
            row["task_id"],
            row["title"],
            row["status"].replace("_", " "),
            row["attempt"],
            row["priority"],
            row["agent_id"],
            row["percent"] if task.lease is not None else None,
            since(row["heard_at"], now),
            until(row["expires_at"], now),
            row["waiting_because"] or row["words"],
        )
        return Row(cells, _STYLES.get(task.status, ""))

    def target(self, place: int, reading: Reading) -> Target | None:
        """Return the task."""
        task = self._now(place, reading)
        title, actions = task.definition.title, task_actions(task.status)
        return Target("task", task.task_id, title, actions, task.holder, task.question)

    def _now(self, place: int, reading: Reading) -> Task:
        """Return a task as it is now: the list may be a moment old."""
        task = self._listed[place]
        return reading.state.task(task.task_id) or task
