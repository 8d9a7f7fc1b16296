"""The events of a pool as a whole."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Entity, Event
from domain.timestamps import Timestamp


class PoolEvent(Event):
    """An event about the pool."""

    entity: ClassVar[Entity] = Entity.POOL


class Opened(PoolEvent):
    """The first event of a log; one that lost everything begins with `tail_lost` instead."""

    name: ClassVar[str] = "opened"

    software: str


class Led(PoolEvent):
    """A service began to lead the pool; any other one that reads this stops leading."""

    name: ClassVar[str] = "led"

    leader: str
    """`<host>:<pid>:<start>`."""


class Rearmed(PoolEvent):
    """The pool could not hear its agents for a while; no lease is judged before the floor that this sets."""

    name: ClassVar[str] = "rearmed"

    reason: str
    blind_s: float
    not_before: Timestamp
    jitter_s: float
    """Each lease waits for a share of this on top, chosen by its token, so that not all fall due at once."""


class TailLost(PoolEvent):
    """Fills one position that was given before and is gone: the log lost its tail, and an operator accepted that.

    So many are written that the log is as long again as it ever was. A lease's token is the position of its grant:
    without them, tokens that were given would be given again.
    """

    name: ClassVar[str] = "tail_lost"

    survived_to: int | None = None
    """The last position before the loss, 0 if all was lost. None: unknown, others took the place of the lost ones."""
    acknowledged_to: int
    """The last position that is known to have been acknowledged before the loss."""
    filled_to: int
    """Up to here the log is filled: no lost event is thought to have had a later position."""


class ExpiryHeld(PoolEvent):
    """Judging leases was suspended."""

    name: ClassVar[str] = "expiry_held"

    reason: str | None = None


class ExpiryResumed(PoolEvent):
    """Judging leases was resumed."""

    name: ClassVar[str] = "expiry_resumed"

    reason: str | None = None


class PoolDraining(PoolEvent):
    """No new leases are granted; held tasks are finished."""

    name: ClassVar[str] = "draining"

    reason: str | None = None


class PoolPaused(PoolEvent):
    """No new leases are granted."""

    name: ClassVar[str] = "paused"

    reason: str | None = None


class PoolResumed(PoolEvent):
    """New leases are granted again."""

    name: ClassVar[str] = "resumed"

    reason: str | None = None


IntakeEvent = PoolDraining | PoolPaused | PoolResumed
"""The events that open or close the pool's intake."""
