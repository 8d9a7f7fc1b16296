"""The events of a pool as a whole."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Entity, Event
from domain.timestamps import Timestamp


class PoolEvent(Event):
    """An event about the pool."""

    entity: ClassVar[Entity] = Entity.POOL


class Opened(PoolEvent):
    """The first event of a log."""

    name: ClassVar[str] = "opened"

    software: str


class Led(PoolEvent):
    """A service took the pool's lead; another one that sees this steps down."""

    name: ClassVar[str] = "led"

    leader: str
    """`<host>:<pid>:<start>`."""


class Rearmed(PoolEvent):
    """The pool could not hear its agents; nothing is judged before this floor, for that was no silence of theirs."""

    name: ClassVar[str] = "rearmed"

    reason: str
    blind_s: float
    not_before: Timestamp
    jitter_s: float
    """Each lease waits for a part of this on top, picked by its token, so that they do not all fall due at once."""


class ExpiryHeld(PoolEvent):
    """Judging leases was suspended."""

    name: ClassVar[str] = "expiry_held"

    reason: str | None = None


class ExpiryResumed(PoolEvent):
    """Judging leases goes on."""

    name: ClassVar[str] = "expiry_resumed"

    reason: str | None = None


class PoolDraining(PoolEvent):
    """Nothing new is granted; what is held is worked off."""

    name: ClassVar[str] = "draining"

    reason: str | None = None


class PoolPaused(PoolEvent):
    """Nothing new is granted."""

    name: ClassVar[str] = "paused"

    reason: str | None = None


class PoolResumed(PoolEvent):
    """Grants go on."""

    name: ClassVar[str] = "resumed"

    reason: str | None = None
