"""The tasks of a desk: those that are held, and those that are lost and of which the client was not told yet."""

from __future__ import annotations

from custody_mcp.at_hand import AtHand
from custody_mcp.words import NotHeld


class HeldTasks:
    """They, in the order in which they came."""

    def __init__(self) -> None:
        self._tasks: list[AtHand] = []

    def add(self, at_hand: AtHand) -> None:
        """Take one in."""
        self._tasks.append(at_hand)

    def forget(self, at_hand: AtHand) -> None:
        """Leave one out, if it is there."""
        if at_hand in self._tasks:
            self._tasks.remove(at_hand)

    def held(self) -> list[AtHand]:
        """Return those that are held, as far as is known."""
        return [each for each in self._tasks if each.at_work]

    def waiting(self) -> AtHand | None:
        """Return the first one that the client was not given yet, if there is one."""
        return next((each for each in self.held() if not each.shown), None)

    def news(self) -> list[str]:
        """Return what has become of tasks that the client thinks it holds, and forget these."""
        over = [each for each in self._tasks if not each.at_work]
        for each in over:
            self._tasks.remove(each)
        return [each.over_in_words for each in over if each.shown]

    def meant(self, task_id: str | None) -> AtHand:
        """Return the task that a tool is about: the named one, else the only one that the client was given.

        A task that is lost counts until the client was told: what is meant for it must not reach another.

        Raises:
            NotHeld: there is no such one, or there are several.
        """
        if task_id is not None:
            meant = [each for each in self._tasks if each.task_id == task_id][-1:]
        else:
            meant = [each for each in self._tasks if each.shown]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise NotHeld(f"Say which task with task_id: {', '.join(each.task_id for each in meant)}.")
        held = ", ".join(each.task_id for each in self.held())
        raise NotHeld(
            f"You hold {'no task' if task_id is None else f'no task {task_id}'}. "
            + (f"You hold {held}; my_work shows it." if held else "Call claim_work for one.")
        )
