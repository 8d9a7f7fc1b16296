"""A task with its lease: the record, and the fold of events into it."""

from domain.task.evolve import evolve_task
from domain.task.record import FormerLease, Lease, Outcome, Task, restart_clock

__all__ = ["FormerLease", "Lease", "Outcome", "Task", "evolve_task", "restart_clock"]
