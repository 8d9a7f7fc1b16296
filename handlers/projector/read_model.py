"""What a projector needs of the log and of the place where its read model is kept, as protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from handlers.ports import ReadableLog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Codec, StoredMessage

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
C_co = TypeVar("C_co", covariant=True)


class Mark(NamedTuple):
    """How far a read model is."""

    position: int = 0
    hash: str | None = None
    """That of the log's message at the position; None at position 0."""
    log_id: str | None = None
    """The hash of the log's first message, which tells it from any other log; None at position 0."""
    time: datetime | None = None
    """Of the last event."""
    skipped: int = 0
    """Messages so far that every fold skips."""

    def same_place(self, other: Mark) -> bool:
        """Return whether both stand at the same place of the same log."""
        return (self.position, self.hash) == (other.position, other.hash)


class ReadModelError(Exception):
    """The read model cannot be kept; one line says why."""


class OutdatedError(ReadModelError):
    """It has to be built anew: it was made from another log, or in another form."""


class ReadModelUnavailableError(Exception):
    """No answer from where the read model is kept; whether a write was carried out is not known. Try again."""


class MarkMovedError(Exception):
    """The read model does not stand at the mark that was expected: another projector is at work."""


class RebuiltError(MarkMovedError):
    """What was kept up to date is no longer what is read: a rebuild has taken its place."""


class ReadModel(Protocol[C_contra]):
    """Where rows or documents are kept, together with the mark."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    async def mark(self) -> Mark:
        """How far it is. Raises ReadModelUnavailableError, ReadModelError."""
        ...

    async def write(self, changes: C_contra, before: Mark, after: Mark) -> None:
        """Write changes and the new mark, provided that it stands at `before`.

        Raises:
            MarkMovedError: it stands elsewhere; RebuiltError: `mark` goes over to what took its place.
            ReadModelUnavailableError: the outcome is unknown.
            ReadModelError: it will never take this.
        """
        ...

    async def caught_up(self) -> bool:
        """The mark has reached the log's end. False: it has to go further before it is fit to be read.

        Raises MarkMovedError, ReadModelUnavailableError, ReadModelError.
        """
        ...


class Collector(Protocol[C_co]):
    """Gathers what a stretch of the log changes, beginning with all there is if it is to give the whole."""

    def follow(self, recorded: Recorded, body: bytes) -> None:
        """Take in an event that the state has just folded; `body` is how the log has it."""
        ...

    def skip(self, position: int, subject: str, body: bytes, reason: str, recorded: Recorded | None) -> None:
        """Take in a message that the fold skips; `recorded` is its event, where only the fold refuses it."""
        ...

    def take(self) -> C_co:
        """Return what has changed since the last call."""
        ...


class FollowedLog(ReadableLog, Protocol):
    """A log that can be followed."""

    async def first_position(self) -> int:
        """The position at which the log begins, or would begin. Raises LogUnavailableError."""
        ...

    def read(self, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """As the port has it."""
        ...

    def follow_chunks(self, *, after: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message behind `after`, in order and without gaps, as they come, for ever.

        Raises LogTruncatedError when the log ends before what was read, LogUnavailableError when there is no way back.
        """
        ...


class Source(NamedTuple):
    """The log, and how it is folded."""

    log: FollowedLog
    codec: Codec
    remember: Callable[[int], Awaitable[Memory]]
    """Returns the log's fold up to a position. Raises LogUnavailableError."""
