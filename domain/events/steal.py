"""The events of a steal operation."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Entity, Event


class StealEvent(Event):
    """An event about a steal operation."""

    entity: ClassVar[Entity] = Entity.STEAL


class Planned(StealEvent):
    """The named tasks are to move. In an append of its own: the intent is on record before anything moves."""

    name: ClassVar[str] = "planned"

    from_agent: str
    to_agent: str
    task_ids: tuple[str, ...]
    reason: str
    source_tasks: int
    """Leases that the source held when this was planned."""
    target_tasks: int
    source_cpu: float
    target_cpu: float
    score: float | None = None
    """The target's score, by the policy threshold; absent on other steals."""
    gain_s: float | None = None
    """By how much sooner the tasks were expected to begin, in all, in seconds; by the policy balance."""


class Executing(StealEvent):
    """The named tasks were checked again; the moves follow in the same append."""

    name: ClassVar[str] = "executing"

    task_ids: tuple[str, ...]


class StealEnded(StealEvent):
    """The last event of a steal operation: it was carried out or given up."""


class StealCompleted(StealEnded):
    """The tasks were moved."""

    name: ClassVar[str] = "completed"

    moved: int
    skipped: tuple[str, ...] = ()
    """Planned tasks that could no longer move: started, ended or held by another agent meanwhile."""
    source_tasks_before: int
    source_tasks_after: int
    target_tasks_before: int
    target_tasks_after: int


class StealFailed(StealEnded):
    """None of the planned tasks could move any more."""

    name: ClassVar[str] = "failed"

    reason: str
    skipped: tuple[str, ...] = ()
