"""What the service asks of itself. These go through the writer's queue like everybody's commands."""

from __future__ import annotations

from typing import NamedTuple


class Open(NamedTuple):
    """Begin an empty log."""

    software: str


class Lead(NamedTuple):
    """Take the pool's lead; `leader` is `<host>:<pid>:<start>`."""

    leader: str


class Rearm(NamedTuple):
    """The pool could not hear its agents for `blind_s` seconds."""

    reason: str
    blind_s: float


class Judge(NamedTuple):
    """Judge tasks that fell due: deadline, staleness, expiry."""

    task_ids: tuple[str, ...]


class Extend(NamedTuple):
    """A probe pleads for a lease; everything is checked again when this is decided."""

    task_id: str
    token: int
    probe: str
    evidence: tuple[str, ...]


class MarkLost(NamedTuple):
    """Nothing was heard of an agent for `silence_s` seconds."""

    agent_id: str
    silence_s: float


class PlanSteal(NamedTuple):
    """Plan one move of a pass: at most `most` tasks of the overloaded source, for the best target."""

    operation_id: str
    source: str
    target: str
    most: int
    score: float


class ExecuteSteal(NamedTuple):
    """Carry a planned steal out, after checking each task again."""

    operation_id: str


class Leave(NamedTuple):
    """Go on with a deregistration, of which an append before released so many tasks."""

    released: int


Internal = Open | Lead | Rearm | Judge | Extend | MarkLost | PlanSteal | ExecuteSteal | Leave
