"""The fold of a task's events: `evolve_task(task, recorded) -> task`."""

from domain.task_fold.evolve import evolve_task

__all__ = ["evolve_task"]
