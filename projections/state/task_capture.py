"""The live tasks of one moment, copied piece by piece while the state goes on.

A copy of a million tasks at once takes 100 ms, in which no command is decided. Here a piece is copied between two
turns of the event loop. What changes before its piece is copied is kept as it was.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domain.task import Task
    from projections.state.sorted_keys import SortedKeys

PIECE = 500
"""Tasks copied at a time: some 0.2 ms."""


class TaskCapture:
    """Begins with a state that is acknowledged as a whole; the state tells it of every change from then on."""

    def __init__(self, tasks: Mapping[str, Task], ids: SortedKeys[str]) -> None:
        self._tasks = tasks
        self._ids = ids
        """Those of the live tasks, tentative ones included."""
        self._reached = ""
        """All up to this id are copied; no id is empty."""
        self._copied: list[Task] = []
        self._before: dict[str, Task | None] = {}
        """What changed beyond `_reached` since the beginning, as it was then; None: it was not there."""
        self.broken = False
        """Whether the state stopped telling of its changes."""

    def changed(self, task_id: str, before: Task | None) -> None:
        """Take note that a task is about to be replaced."""
        if task_id > self._reached:
            self._before.setdefault(task_id, None if before is None or before.terminal else before)

    def step(self) -> bool:
        """Copy the next piece; return whether there may be more."""
        ids = list(islice(self._ids.following(self._reached, str), PIECE))
        if not ids:
            return False
        self._copied += [self._tasks[task_id] for task_id in ids if task_id not in self._before]
        self._reached = ids[-1]
        return True

    def pieces(self) -> Iterator[None]:
        """Yield after each piece, until all are copied or the copy is broken."""
        while not self.broken and self.step():
            yield

    def tasks(self) -> list[Task]:
        """Return the tasks as they were at the beginning, once `step` has come to the end."""
        # Another list of a million of them would take 100 ms to make and to free.
        self._copied += [task for task in self._before.values() if task is not None]
        self._before.clear()
        return self._copied
