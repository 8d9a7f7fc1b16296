"""The events of a steal operation."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Entity, Event


class StealEvent(Event):
    """An event about a steal operation."""

    entity: ClassVar[Entity] = Entity.STEAL


class Planned(StealEvent):
    """Named tasks are to move. An append of its own, so that the intent is on record before anything moves."""

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
    """The target's score; absent on a manual steal."""


class Executing(StealEvent):
    """Every named task was checked again; the moves follow in the same append."""

    name: ClassVar[str] = "executing"

    task_ids: tuple[str, ...]


class StealEnded(StealEvent):
    """The last event of a steal operation: it was carried out or given up."""


class StealCompleted(StealEnded):
    """The moves are done."""

    name: ClassVar[str] = "completed"

    moved: int
    skipped: tuple[str, ...] = ()
    """Named tasks that could not move any more: started, ended or held by another agent meanwhile."""
    source_tasks_before: int
    source_tasks_after: int
    target_tasks_before: int
    target_tasks_after: int


class StealFailed(StealEnded):
    """None of the named tasks could move any more."""

    name: ClassVar[str] = "failed"

    reason: str
    skipped: tuple[str, ...] = ()
