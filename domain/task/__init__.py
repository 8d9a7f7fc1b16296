"""A task with its lease: its state, and the fold of its events."""

from domain.task.evolve import evolve_task
from domain.task.record import FormerLease, Lease, Outcome, Task, restart_clock

__all__ = ["FormerLease", "Lease", "Outcome", "Task", "evolve_task", "restart_clock"]
