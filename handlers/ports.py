"""What the handlers need from the outside world, as protocols.

`infra` implements them against NATS; the tests implement them in memory. Both implementations pass one
contract suite (`tests/contract/`).
"""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, NewType, Protocol

from domain.limits import MAX_EVENTS_PER_COMMAND
from domain.timestamps import after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from domain.recorded import Recorded

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

MAX_BATCH_MESSAGES = MAX_EVENTS_PER_COMMAND
"""The broker's limit on one atomic batch."""
ACTOR_HEADER = "Custody-Actor"
"""Names the operator or service that asks."""


def evt_prefix(pool: str) -> str:
    """Return the prefix of every event subject of the pool."""
    return f"custody.{pool}.evt."


class LogError(Exception):
    """Base of everything an event log can answer instead of a result."""


class AppendConflictError(LogError):
    """The broker counts another last position than the expected one; nothing of this append was applied *now*.

    It is no proof that an earlier send of the same content was not stored: see `OutcomeUnknownError`.
    """


class OutcomeUnknownError(LogError):
    """No answer to this append came in time: it may be stored, may be stored later, or never. Find out, never guess.

    Answers that are not certainly about this append count as none, for others may be able to have them sent here.
    """


class AppendRejectedError(LogError):
    """The broker refuses this content for good (too large, not allowed): nothing was stored; a resend won't help."""


class AppendRefusedError(AppendRejectedError):
    """An answer in the broker's name rejects the content. It may be forged: look in the log before it is believed."""


class AppendForbiddenError(AppendRejectedError):
    """The broker does not allow this user to publish there: nothing was stored."""


class LogUnavailableError(LogError):
    """A read got no answer in time, or the append was not sent, for want of a connection. Try again."""


class LogTruncatedError(LogUnavailableError):
    """The log lost its tail or was replaced.

    It ends before a position that was asked for or already read, or holds something else there than was read.
    """


class LogMissingError(LogUnavailableError):
    """There is no such log: it was deleted, or never made. A restore ends this."""


class LogIncompleteError(LogUnavailableError):
    """It is part of a log that is being imported, or whose import was broken off."""


class LogLostError(Exception):
    """The log is another one than was served, or lacks what was acknowledged; the message is one line."""


class UnreadableEventError(Exception):
    """A message of the log is no event that this version can read; every fold skips it alike."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"the message at position {position} cannot be read: {reason}")
        self.position = position
        self.reason = reason


class NewMessage(NamedTuple):
    """A message to append: the full subject, the body's bytes and its `Custody-*` headers."""

    subject: str
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS


class StoredMessage(NamedTuple):
    """A message as the log holds it; `position` is the stream sequence, counted from 1."""

    position: int
    subject: str
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS


class ReadableLog(Protocol):
    """One pool's log, for reading only."""

    async def last_position(self) -> int:
        """The last position as the stream's leader knows it; 0 when empty. Raises LogUnavailableError."""
        ...

    async def first_position(self) -> int:
        """The position at which the log begins, or would begin if it is empty. Raises LogUnavailableError."""
        ...

    async def get(self, position: int) -> StoredMessage | None:
        """The message at a position, from the stream's leader; None if there is none. Raises LogUnavailableError."""
        ...

    async def last_by_subject(self, subject: str) -> StoredMessage | None:
        """The newest message on a subject, or on all that a filter matches; or None. Raises LogUnavailableError."""
        ...

    async def history(self, subject_filter: str) -> list[StoredMessage]:
        """All messages whose subject matches the filter (`>` allowed), in order. Raises LogUnavailableError."""
        ...

    def matching(
        self, subject_filters: Sequence[str], *, after: int, until: int
    ) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message with `after` < position <= `until` whose subject matches one of the filters, in order.

        In chunks; complete as the stream's leader knew it when asked. No two filters may match the same subject.
        Raises LogUnavailableError.
        """
        ...

    def read(self, *, after: int, until: int) -> AsyncIterator[Sequence[StoredMessage]]:
        """Every message with `after` < position <= `until`, in order and without gaps, in chunks.

        Raises LogUnavailableError when the broker stops answering for good, LogTruncatedError when the log ends
        before `until`.
        """
        ...


class EventLog(ReadableLog, Protocol):
    """One pool's append-only log with optimistic concurrency on its last position."""

    async def append(self, messages: Sequence[NewMessage], *, expected_position: int) -> int:
        """Append all or nothing right after `expected_position`; return the position of the last message.

        One message goes as a plain publish, 2 to `MAX_BATCH_MESSAGES` as an atomic batch.

        Raises:
            ValueError: no message, or more than `MAX_BATCH_MESSAGES`.
            AppendConflictError: the last position is another one.
            OutcomeUnknownError: no answer in time.
            AppendRejectedError: the broker will never take this content.
            LogUnavailableError: certainly not stored, for want of a connection.
        """
        ...

    @property
    def takes_chains(self) -> bool:
        """Whether `append_chain` may be used: only where the log is stored in one copy."""
        ...

    async def append_chain(
        self,
        messages: Sequence[NewMessage],
        *,
        expected_position: int,
        behind: bool,
        on_stored: Callable[[int], None],
    ) -> int:
        """Append each message on its own, all sent at once; return the position of the last one.

        The log takes all of them or a prefix: each is stored only right behind the one before it, as this call sent it.
        So where one is refused, those behind it are never stored, and neither is a chain that was sent behind them.

        Args:
            messages: one or more.
            expected_position: the position before the first one.
            behind: the message there is the last one of the chain that was sent last, and may not be acknowledged yet;
                False: it is known to be in the log.
            on_stored: called with the number of messages acknowledged so far, at each acknowledgement.

        Raises what `append` does, about the first message that is not acknowledged. LogUnavailableError and a plain
        AppendRejectedError mean that nothing of the chain was sent.
        """
        ...

    def stage(self, messages: Sequence[NewMessage], *, expected_position: int) -> None:
        """Say what will be appended next, while something else is in flight: a hint, which changes no outcome.

        The messages may travel ahead, and are set aside at the broker until `append` is called with this very list,
        which may have grown meanwhile, and position. Nothing of them is in the log before; if another append comes
        instead, or none, nothing ever is. Neither waits nor raises.
        """
        ...


class Codec(Protocol):
    """Events to messages and back."""

    def encode(self, records: Sequence[Recorded], previous_hash: str | None) -> tuple[list[NewMessage], str]:
        """Return the messages of consecutive events, and the last one's hash.

        They are chained to `previous_hash`; None: they begin a log.
        """
        ...

    def decode(self, message: StoredMessage) -> Recorded:
        """Return the event of a stored message; raises UnreadableEventError."""
        ...

    def hash_of(self, message: StoredMessage) -> str:
        """Return the hash that the next event is chained to."""
        ...


Steady = NewType("Steady", datetime)
"""A moment on a clock that is never set: for waits and spans only. It must not be compared with a time of the log."""


def steadily_after(moment: Steady, seconds: float) -> Steady:
    """Return the moment so many seconds later on the steady clock."""
    return Steady(after(moment, seconds))


class Clock(Protocol):
    """The only source of time for handlers.

    What is written into the log follows the wall clock. Waits, timeouts and spans of silence follow the steady clock,
    so that a wall clock that is set changes none of them.
    """

    def now(self) -> datetime:
        """The wall clock, aware, in UTC, with microseconds."""
        ...

    def steady(self) -> Steady:
        """The steady clock, aware, with microseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of the steady clock; at once for none or fewer."""
        ...
