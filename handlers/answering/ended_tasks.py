"""Pages of the tasks that have left memory: read from the log, from its end backwards, the latest ended first.

A task ends with one event, so each message of such an event is one task. What its row shows is read from the task's
outline. The log is read in windows of positions and not by subject: a filter over the subjects of all tasks costs the
broker what the log holds, and a window costs what it is long.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pydantic_core

from domain.lifecycles import TERMINAL
from handlers.memory.task_outlines import TaskOutlines
from projections.queries.cursors import ended_cursor
from projections.queries.documents import task_summary
from projections.queries.pages import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.task import Task
    from handlers.memory.lookup import Lookup
    from handlers.ports import ReadableLog, StoredMessage
    from projections.queries.questions import TasksQuery

WINDOW = 2_000
"""Positions of the log that are read at once."""
MAX_SCANNED = 20_000
"""Positions that one page looks at; it then ends, also without a row."""
MAX_LOOKED_UP = 100
"""Tasks that one page looks up, those included that do not fit the query."""


class EndedTasks:
    """Reads pages of one pool's ended tasks."""

    def __init__(self, log: ReadableLog, lookup: Lookup) -> None:
        self._log = log
        self._outlines = TaskOutlines(lookup)

    async def page(self, query: TasksQuery, before: int) -> dict[str, Any]:
        """Return the tasks that fit and ended before a position, the latest first, and the next page's cursor.

        Raises LogUnavailableError.
        """
        rows: list[dict[str, Any]] = []
        size = looked_up = 0
        statuses = [query.status] if query.status is not None else list(TERMINAL)
        names = tuple(f".{status.value}" for status in statuses if status in TERMINAL)
        first = await self._log.first_position()
        last = max(first, before - MAX_SCANNED)
        if names:
            async with aclosing(self._ends(names, before, last)) as ends:
                async for end in ends:
                    if looked_up == MAX_LOOKED_UP or len(rows) == query.limit:
                        return _page(rows, end.position + 1)
                    looked_up += 1
                    task = await self._outlines.after(end)
                    if (
                        task is None
                        or not _ended_by(task, end)
                        or not task.fits(query.status, query.priority, query.label)
                    ):
                        continue
                    row = task_summary(task)
                    size += len(pydantic_core.to_json(row))
                    if rows and size > PAGE_BYTES:
                        return _page(rows, end.position + 1)
                    rows.append(row)
        return _page(rows, last if names and last > first else None)

    async def _ends(self, names: tuple[str, ...], before: int, last: int) -> AsyncGenerator[StoredMessage, None]:
        """Yield the messages of events that ended tasks, from before a position down to `last`, the newest first."""
        while before > last:
            start = max(last, before - WINDOW)
            found: list[StoredMessage] = []
            async for chunk in self._log.read(after=start - 1, until=before - 1):
                found += [message for message in chunk if message.subject.endswith(names)]
            for message in reversed(found):
                yield message
            before = start


def _ended_by(task: Task, end: StoredMessage) -> bool:
    """Return whether a task ended with this message; one that every fold skips ends none."""
    return task.terminal and task.outcome is not None and task.outcome.position == end.position


def _page(rows: list[dict[str, Any]], before: int | None) -> dict[str, Any]:
    return {
        "tasks": rows,
        "next": None if before is None else ended_cursor(before),
        "all_ended": before is None,
    }
