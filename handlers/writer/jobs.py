"""One command on its way through the writer, and its answer.

A job changes only through its own methods, so that its course can be read here: it may be looked up, undone and decided
again, parked as a waiting claim, or followed by a second part; in the end it is answered exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from domain.errors import RefusalCode
from domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from domain.entities import EntityKey
    from domain.recorded import Recorded
    from domain.request import Request
    from handlers.ports import Steady
    from handlers.telemetry import CommandTrace


class Answer(NamedTuple):
    """The answer to a command or a query. `position` is the log position at which it is true."""

    position: int
    records: Sequence[Recorded] = ()
    result: dict[str, Any] | None = None
    refusal: Refusal | None = None


class Job(msgspec.Struct, eq=False):
    """A command in the queue, in a batch, or parked as a waiting claim."""

    request: Request
    on_answer: Callable[[Job, Answer], None]
    """Called with the job and its answer. A job that held a closure over itself would be a reference cycle."""
    received_at: Steady
    size: int = 0
    """Bytes of its request, for the limit on the queue."""
    names: tuple[EntityKey, ...] = ()
    """Entities that the command names; each must be in memory, or known to be absent from the log."""
    callers: list[str] = msgspec.field(default_factory=list)
    """Reply subjects of those who wait for the answer."""
    on_timeout: Callable[[Job], None] | None = None
    """Called once to answer the callers that the outcome is not known yet; the job's own answer still follows."""
    on_stale_look_up: Callable[[Job], None] | None = None
    """Called when its look-ups may be out of date; the job comes back through the queue."""
    absent: frozenset[EntityKey] = frozenset()
    """Those of `names` that the log did not have at `looked_up_at`."""
    looked_up_at: int = -1
    wait_until: Steady | None = None
    """When a waiting claim ends empty; None until it waits."""
    asked_at: datetime | None = None
    """When a waiting claim was first decided, in the pool's time."""
    place: int | None = None
    """Its place in the line of waiting claims, once it waits."""
    session_number: int = 0
    """The session of its agent in which a waiting claim was sent; see `WaitingClaims`."""
    prior: list[Recorded] = msgspec.field(default_factory=list)
    """Events that earlier appends of the same command made."""
    alone: bool = False
    """Whether it needs a batch of its own, because one that it shared was rejected."""
    trace: CommandTrace | None = None
    """What follows its way; None: nothing does."""

    def answer(self, answer: Answer) -> None:
        """Answer with the acknowledged outcome, or a definite refusal; called exactly once."""
        self.on_answer(self, answer)

    def time_out(self) -> None:
        """Answer the callers, once, that the outcome is not known yet."""
        on_timeout, self.on_timeout = self.on_timeout, None
        if on_timeout is not None:
            on_timeout(self)

    def join(self, caller: str, on_timeout: Callable[[Job], None], now: Steady) -> None:
        """Add a caller who sent the same command again. If the earlier ones were timed out, its time starts now."""
        self.callers.append(caller)
        if self.on_timeout is None:
            self.on_timeout = on_timeout
            self.received_at = now

    def take_callers(self) -> list[str]:
        """Return the callers and forget them: they are answered."""
        callers, self.callers = self.callers, []
        return callers

    def begin_look_up(self, position: int) -> None:
        """Note the position at which its names are looked for in the log."""
        self.looked_up_at = position

    def end_look_up(self, absent: Iterable[EntityKey]) -> None:
        """Note which of its names the log does not have."""
        self.absent = frozenset(absent)

    def resubmitted(self, now: Steady) -> None:
        """Note that a waiting claim goes back to the queue."""
        self.received_at = now

    def continue_with(self, request: Request, records: Iterable[Recorded]) -> None:
        """Go on with the second part of the command, after the events of its first."""
        self.request = request
        self.prior.extend(records)

    def park(self, until: Steady, records: Iterable[Recorded]) -> None:
        """Begin or go on to wait, after events that the claim made on the side."""
        self.wait_until = until
        self.prior.extend(records)

    def asked(self, at: datetime) -> None:
        """Note when it was decided, unless it waits already."""
        if self.wait_until is None:
            self.asked_at = at

    @property
    def request_now(self) -> Request:
        """The request as it is to be decided: of a claim that waits, with the time since which it does."""
        return self.request if self.wait_until is None else replace(self.request, asked_at=self.asked_at)

    def belongs_to_session(self, number: int) -> None:
        """Note the session of its agent in which it was sent."""
        self.session_number = number

    def take_place(self, place: int) -> int:
        """Take a place in the line of waiting claims, or its own from an earlier wait; return it."""
        if self.place is None:
            self.place = place
        return self.place

    def go_alone(self) -> None:
        """Ask for a batch of its own."""
        self.alone = True


def unavailable(message: str) -> Refusal:
    """Return the refusal for an outcome that is not known yet."""
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
