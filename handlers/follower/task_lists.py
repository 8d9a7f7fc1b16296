"""Sorted lists of a followed pool's tasks, kept for a moment, for windows of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import seconds_between
from projections.live.task_rows import TaskFilter, chosen_tasks

if TYPE_CHECKING:
    from domain.task import Task
    from handlers.ports import Clock, Steady
    from projections.state.pool_state import PoolState

LISTS_KEPT = 16
"""Sorted lists that are kept, one for each filter, the latest used."""
LIST_AGE_S = 0.5
"""A list is made anew at most so often while the pool changes."""
LIST_COST_FACTOR = 20.0
"""And so rarely that it takes at most a twentieth of the time."""


class TaskList(NamedTuple):
    """The tasks that fit a filter, sorted."""

    tasks: list[Task]
    position: int
    """At which they do."""
    of: PoolState
    made_at: Steady
    cost_s: float


class TaskLists:
    """The lists of one program."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lists: OrderedDict[TaskFilter, TaskList] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lists)

    def listed(self, wanted: TaskFilter, state: PoolState, *, keep: bool = True) -> TaskList:
        """Return the tasks that fit, and the position at which they do.

        `keep`: the state is the present, which is asked for again. Raises ValueError, by `chosen_tasks`.
        """
        asked_at = self._clock.steady()
        kept = self._lists.get(wanted) if keep else None
        if kept is not None and kept.of is state:
            age_s = seconds_between(kept.made_at, asked_at)
            if kept.position == state.position or age_s < max(LIST_AGE_S, LIST_COST_FACTOR * kept.cost_s):
                self._lists.move_to_end(wanted)
                return kept
        tasks = chosen_tasks(state, wanted)
        cost_s = seconds_between(asked_at, self._clock.steady())
        made = TaskList(tasks, state.position, state, asked_at, cost_s)
        if keep:
            self._lists[wanted] = made
            while len(self._lists) > LISTS_KEPT:
                self._lists.popitem(last=False)
        return made
