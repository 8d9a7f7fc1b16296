"""Commands on all tasks that fit a filter: the tasks are selected beside the writer, on a copy, as queries are.

The writer then gets the command with the selected tasks and checks each again, so its cost follows what it changes.
"""

from __future__ import annotations

import heapq
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from domain.commands.service_commands import OnSelected
from domain.limits import MAX_FILTERED_CANCEL, MAX_FILTERED_REQUEUE
from handlers.answering.large_scans import scan
from handlers.ports import LogUnavailableError
from handlers.writer.jobs import FAULT, OVERLOADED, Answer, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.commands.operator_commands import Cancel, Requeue
    from domain.task import Task
    from handlers.memory.memory import Memory
    from handlers.service.guarded_tasks import GuardedTasks
    from handlers.writer.jobs import Job
    from handlers.writer.pool_access import PoolAccess
    from handlers.writer.writer import Writer

_MOST = {"cancel": MAX_FILTERED_CANCEL, "requeue": MAX_FILTERED_REQUEUE}


class Selection(NamedTuple):
    """The tasks that fit a filter."""

    task_ids: tuple[str, ...]
    """Those that were submitted first, as many as one command changes."""
    fitting: int
    """How many fit in all."""

    @property
    def more(self) -> bool:
        """Whether others fit too."""
        return self.fitting > len(self.task_ids)


async def select(pool: PoolAccess, command: Cancel | Requeue) -> tuple[int, Selection]:
    """Return a position, and the tasks that fit the command's filter there. Raises LogUnavailableError."""

    def read(memory: Memory) -> tuple[int, list[Task]]:
        return memory.state.position, list(memory.state.tasks.values())

    position, tasks = await pool.read(read)
    return position, await scan(len(tasks), partial(_fitting, command, tasks))


def _fitting(command: Cancel | Requeue, tasks: Iterable[Task]) -> Selection:
    fitting = [(task.submitted_at, task.task_id) for task in tasks if command.fits(task)]
    first = heapq.nsmallest(_MOST[command.verb], fitting)
    return Selection(tuple(task_id for _, task_id in first), len(fitting))


class FilteredCommands:
    """Selects the tasks of commands by filter, then queues the commands."""

    def __init__(self, writer: Writer, pool: PoolAccess, tasks: GuardedTasks) -> None:
        self._writer = writer
        self._pool = pool
        self._tasks = tasks

    def submit(self, job: Job, command: Cancel | Requeue) -> None:
        """Select the tasks, then queue the job, or answer it if it is a dry run."""
        if self._tasks.full:
            self._writer.refuse(job, OVERLOADED)
            return
        self._tasks.spawn(self._select(job, command), lambda: self._writer.refuse(job, FAULT))

    async def _select(self, job: Job, command: Cancel | Requeue) -> None:
        try:
            position, selected = await select(self._pool, command)
        except LogUnavailableError:
            self._writer.refuse(job, unavailable("the broker did not answer in time; nothing was done; try again"))
            return
        task_ids, fitting = selected
        if command.dry_run:
            result = {"task_ids": list(task_ids), "count": fitting, "more": selected.more}
            job.answer(Answer(position, result=result))
            return
        job.continue_with(replace(job.request, command=OnSelected(command, task_ids, selected.more)), ())
        self._writer.submit(job)
