"""A task with its lease: its state, and the fold of its events."""

from domain.task.definition import Definition, definition_of, submitted
from domain.task.evolve import evolve_task
from domain.task.record import FormerLease, Lease, Outcome, Task, restart_clock

__all__ = [
    "Definition",
    "FormerLease",
    "Lease",
    "Outcome",
    "Task",
    "definition_of",
    "evolve_task",
    "restart_clock",
    "submitted",
]
