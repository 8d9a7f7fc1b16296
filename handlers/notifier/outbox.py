"""The queue of messages on disk, as a protocol: a read model of the log that senders empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from handlers.notifier.message import Message
from handlers.projector.read_model import ReadModel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime


ANY_END = -1
"""The position behind which an endpoint begins after the log was replaced: wherever the new one ends."""


class Queued(NamedTuple):
    """A message that waits to be sent."""

    number: int
    """Its place in the queue of all endpoints."""
    message: Message
    attempts: int
    """So far; each failed."""


class DeadLetter(NamedTuple):
    """A message that was given up, kept until it is sent again."""

    message: Message
    attempts: int
    reason: str
    at: datetime
    """When it was given up."""


class EndpointStatus(NamedTuple):
    """How far one endpoint is."""

    name: str
    position: int
    """All that it wants of the log up to here is delivered, or given up."""
    pending: int
    dead: int
    dropped: int
    """Dead letters that were deleted, because there were too many."""
    disabled: str | None
    """Why nothing is sent to it any more; None: it is in use."""
    last_success: datetime | None
    last_failure: str | None


class OutboxUnavailableError(Exception):
    """The queue cannot be read or written now, for example because the disk is full. Try again."""


class Outbox(ReadModel["Sequence[Message]"], Protocol):
    """Messages in the order in which they were queued, each endpoint's on their own.

    Writing messages and their watermark is one transaction, so each event is queued once. A message leaves the queue
    only after its delivery, so a crash between the two sends it again, with the same id. All methods that are not
    asynchronous raise OutboxUnavailableError.
    """

    def register(self, endpoints: Mapping[str, str], position: int) -> None:
        """Learn the endpoints in use, by name, each with a digest of its address.

        A new one begins behind `position`; one that has another address than before is no longer disabled.
        """
        ...

    def since(self, endpoint: str) -> int:
        """Return the position behind which an endpoint begins; `ANY_END` after the log was replaced."""
        ...

    def on_queued(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever messages were queued."""
        ...

    def on_caught_up(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever the queue has reached the log's end, from where it is followed."""
        ...

    def take(self, endpoint: str, now: datetime, skipping: Collection[int]) -> Queued | None:
        """Return the message to send next: the first one that is due, but for those with these numbers."""
        ...

    def next_due(self, endpoint: str, skipping: Collection[int]) -> datetime | None:
        """Return when the next message falls due, but for those with these numbers; None: there is none."""
        ...

    def delivered(self, queued: Queued, now: datetime) -> None:
        """Take a message out of the queue."""
        ...

    def postpone(self, queued: Queued, due_at: datetime, reason: str) -> None:
        """Count a failed attempt; the next one is due at a moment."""
        ...

    def bury(self, queued: Queued, reason: str, now: datetime) -> None:
        """Give a message up after another failed attempt: it becomes a dead letter."""
        ...

    def bury_older(self, endpoint: str, than: datetime, reason: str, now: datetime) -> int:
        """Give up an endpoint's messages on what happened before a moment; return how many."""
        ...

    def disable(self, endpoint: str, reason: str, now: datetime) -> None:
        """Send nothing to an endpoint any more, and give up what waits for it."""
        ...

    def disabled(self, endpoint: str) -> str | None:
        """Return why nothing is sent to an endpoint; None if it is in use."""
        ...

    def known_needs(self, endpoint: str) -> Mapping[str, Message]:
        """Return the needs that were told to an endpoint and are still open, by key, as they were told."""
        ...

    def tell_needs(self, endpoint: str, opened: Mapping[str, Message], resolved: Mapping[str, Message | None]) -> None:
        """Queue messages on needs by their keys and remember which are open, in one transaction; None tells nothing."""
        ...

    def begin_anew(self, messages: Sequence[Message]) -> None:
        """Forget the watermark and the needs, because the log is another one, and queue messages that say so."""
        ...
