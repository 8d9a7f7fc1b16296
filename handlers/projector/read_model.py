"""What a projector needs of the log, of a projection, and of the store that keeps the read model, as protocols."""

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
"""The changes that one write brings, such as rows or documents."""
C_contra = TypeVar("C_contra", contravariant=True)
C_co = TypeVar("C_co", covariant=True)


class Watermark(NamedTuple):
    """How far a read model has followed the log. It is stored with the data, so the field names are a stored form."""

    position: int = 0
    hash: str | None = None
    """Hash of the log's message at the position; None at position 0."""
    log_id: str | None = None
    """Hash of the log's first message, which identifies the log; None at position 0."""
    time: datetime | None = None
    """Of the last event."""
    skipped: int = 0
    """Messages so far that every fold skips."""

    def same_position(self, other: Watermark) -> bool:
        """Return whether both stand at the same position of the same log."""
        return (self.position, self.hash) == (other.position, other.hash)


class ReadModelError(Exception):
    """The read model cannot be kept, and a retry would not help. The text is one line for the user."""


class OutdatedError(ReadModelError):
    """It has to be rebuilt: it was made from another log, or in another form."""


class ReadModelUnavailableError(Exception):
    """The store gave no answer; a write may or may not have been carried out. Try again."""


class WatermarkMovedError(Exception):
    """The read model is not at the expected watermark: another projector wrote to it."""


class RebuiltError(WatermarkMovedError):
    """A rebuild has replaced the read model that this projector was writing."""


class ReadModel(Protocol[C_contra]):
    """A store that keeps rows or documents together with their watermark."""

    @property
    def name(self) -> str:
        """The read model's name in messages."""
        ...

    async def watermark(self) -> Watermark:
        """Return the stored watermark. Raises ReadModelUnavailableError, ReadModelError."""
        ...

    async def write(self, changes: C_contra, before: Watermark, after: Watermark) -> None:
        """Write changes and the new watermark together, if the stored watermark is still `before`.

        Raises:
            WatermarkMovedError: the stored watermark is another one.
            RebuiltError: another read model has taken its place; `watermark` switches to that.
            ReadModelUnavailableError: the outcome is unknown.
            ReadModelError: it will never accept this.
        """
        ...

    async def ensure_kept(self) -> None:
        """Check that all of what was written is still there, however long nothing is written.

        Raises OutdatedError, ReadModelUnavailableError.
        """
        ...

    async def finish_catch_up(self, *, outdated: Watermark | None = None) -> Watermark | None:
        """Make it ready for readers, now that the watermark has reached the log's end; return None then.

        If readers have something that is further on, nothing changes: return the watermark of that. The caller finds
        out whether the log goes as far, and passes the watermark as `outdated` if it is of another log: then what has
        it is replaced.

        Raises WatermarkMovedError, ReadModelUnavailableError, ReadModelError.
        """
        ...


class Projection(Protocol[C_co]):
    """Follows the fold of a log and collects what changes in a read model.

    With the projector's `replace_all` the first changes are the whole content.
    """

    def apply(self, recorded: Recorded, body: bytes) -> None:
        """Take an event that the state has just folded; `body` is the stored message."""
        ...

    def skip(self, position: int, subject: str, body: bytes, reason: str, recorded: Recorded | None) -> None:
        """Take a message that the fold skips; `recorded` is its event, if it decodes and only the fold refuses it."""
        ...

    def take_changes(self) -> C_co:
        """Return what has changed since the last call."""
        ...


class FollowableLog(ReadableLog, Protocol):
    """A log that can be followed as it grows."""

    def read(self, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Yield a range of messages, as `ReadableLog.read` does."""
        ...

    def follow_chunks(self, *, after: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Yield every message after a position, in order and without gaps, as they are appended; never ends.

        Raises LogTruncatedError when the log ends before what was read, LogUnavailableError when it
        cannot be resumed.
        """
        ...


class Source(NamedTuple):
    """The log, and how it is decoded and folded."""

    log: FollowableLog
    codec: Codec
    fold_until: Callable[[int], Awaitable[Memory]]
    """Returns the fold of the log up to a position. Raises LogUnavailableError."""
