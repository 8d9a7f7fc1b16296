"""Commands that the service sends to itself. They go through the writer's queue as callers' commands do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from domain.commands.operator_commands import Cancel, Requeue


class Open(msgspec.Struct, frozen=True, gc=False):
    """Record the first event of an empty log."""

    software: str


class Lead(msgspec.Struct, frozen=True, gc=False):
    """Take the pool's lead; `leader` is `<host>:<pid>:<start>`."""

    leader: str


class FillTail(msgspec.Struct, frozen=True, gc=False):
    """Fill the log up to where it ended before it lost its tail, as far as one command may; both are positions.

    `acknowledged_to`: the last one that is known to have been acknowledged. `filled_to`: no lost event had a later one.
    """

    acknowledged_to: int
    filled_to: int


class Rearm(msgspec.Struct, frozen=True, gc=False):
    """Set the floor after an outage: the pool could not hear its agents for `blind_s` seconds."""

    reason: str
    blind_s: float


class Judge(msgspec.Struct, frozen=True, gc=False):
    """Judge tasks that fell due: deadline, staleness, expiry."""

    task_ids: tuple[str, ...]


class Extend(msgspec.Struct, frozen=True, gc=False):
    """Extend a silent lease on a probe's evidence; every condition is checked again when this is decided."""

    task_id: str
    token: int
    probe: str
    evidence: tuple[str, ...]


class MarkLost(msgspec.Struct, frozen=True, gc=False):
    """Mark an agent lost that was not heard for `silence_s` seconds."""

    agent_id: str
    silence_s: float
    heard_at: datetime | None = None
    """When it was heard last, or did last what is on record."""


class EndDrain(msgspec.Struct, frozen=True, gc=False):
    """Take what a draining agent still holds from it: its deadline has passed."""

    agent_id: str


class PlanSteal(msgspec.Struct, frozen=True, gc=False):
    """Plan one move of a pass: at most `most` tasks of the overloaded source, for the best target."""

    operation_id: str
    source: str
    target: str
    most: int
    score: float


class PlanMove(msgspec.Struct, frozen=True, gc=False):
    """Plan a move of the policy balance: those of the named tasks that can still move go from source to target."""

    operation_id: str
    source: str
    target: str
    task_ids: tuple[str, ...]
    gain_s: float
    """By how much sooner they are expected to begin, in all."""


class ExecuteSteal(msgspec.Struct, frozen=True, gc=False):
    """Carry out a planned steal, after checking each task again."""

    operation_id: str


class ContinueDeregistration(msgspec.Struct, frozen=True, gc=False):
    """Go on with a deregistration of which earlier appends released `released` tasks."""

    released: int
    agent_id: str
    by_operator: bool = False
    reason: str | None = None
    session: str | None = None
    """The session that leaves, if it said so: another one that began meanwhile keeps what is left."""


class OnSelected(msgspec.Struct, frozen=True, gc=False):
    """Carry out an operator's command on the tasks that fitted its filter; each is checked again."""

    command: Cancel | Requeue
    task_ids: tuple[str, ...]
    more: bool
    """Whether others fit too."""


ServiceCommand = (
    Open
    | Lead
    | FillTail
    | Rearm
    | Judge
    | Extend
    | MarkLost
    | EndDrain
    | PlanSteal
    | PlanMove
    | ExecuteSteal
    | ContinueDeregistration
    | OnSelected
)
