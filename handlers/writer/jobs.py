"""One command on its way through the writer, and what its caller is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.draft import Refusal
from domain.errors import RefusalCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.draft import EntityKey, Request
    from domain.recorded import Recorded


class Answer(NamedTuple):
    """What a caller is told. `position` is the log position at which it is true."""

    position: int
    records: Sequence[Recorded]
    result: dict[str, Any] | None
    refusal: Refusal | None


@dataclass(slots=True, eq=False)
class Job:
    """A command in the queue, in an append, or parked as a waiting claim."""

    request: Request
    answered: Callable[[Job, Answer], None]
    """Told the answer, and whose it is: a job that held on to itself would be left to the garbage collector."""
    received_at: datetime
    size: int = 0
    """Bytes of its request, for the limit on the queue."""
    names: tuple[EntityKey, ...] = ()
    """Entities that the command names; each must be in memory, or looked for in the log."""
    absent: frozenset[EntityKey] = frozenset()
    """Those of them that the log did not have at `known_at`."""
    known_at: int = -1
    callers: list[str] = field(default_factory=list)
    """Where the answer goes; whoever was told that it is not known yet has gone."""
    overdue: Callable[[Job], None] | None = None
    """Called when the callers should be told that the outcome is not known yet; `done` follows."""
    look_up: Callable[[Job], None] | None = None
    """Called when what was looked up may be out of date; the job comes back through the queue."""
    waits_until: datetime | None = None
    """The end of a waiting claim's patience, once it waits."""
    place: int | None = None
    """Its place in the line of waiting claims, once it waits."""
    prior: list[Recorded] = field(default_factory=list)
    """Events that earlier appends of the same command made."""
    alone: bool = False
    """Whether it must have an append of its own, because one that it shared was rejected."""

    def done(self, answer: Answer) -> None:
        """Tell the acknowledged outcome, or a definite refusal; called exactly once."""
        self.answered(self, answer)


def unavailable(message: str) -> Refusal:
    """Return the refusal for an outcome that nobody knows yet."""
    return Refusal(RefusalCode.UNAVAILABLE, message, {})


FAULT = unavailable("an internal fault; nothing was done; please report it")
OUTCOME_UNKNOWN = unavailable(
    "the broker did not confirm in time, so the outcome is unknown; try again with the same command_id"
)
NOT_DECIDED = unavailable("the service did not come to this command in time; nothing was done; try again")
OVERLOADED = Refusal(RefusalCode.OVERLOADED, "the pool's queue of commands is full; try again later", {})
STOPPING = Refusal(RefusalCode.OVERLOADED, "the service is stopping; try again later", {})
NOT_WRITER = Refusal(
    RefusalCode.NOT_WRITER, "another service leads the pool now; try again with the same command_id", {}
)
