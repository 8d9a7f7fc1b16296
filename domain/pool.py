"""The state of the pool as a whole: its intake, its leader, and before when no lease is judged after an outage."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from domain.errors import FoldError
from domain.events import pool as ev
from domain.lifecycles import INTAKE, IntakeStatus
from domain.timestamps import after

if TYPE_CHECKING:
    from domain.recorded import Recorded

_HASH_MULTIPLIER = 2_654_435_761
_HASH_MODULUS = 2**32


class TailLoss(NamedTuple):
    """A loss of the log's tail that an operator accepted at a moment; the others are positions."""

    at: datetime
    survived_to: int | None
    """The last one before the loss, 0 if all was lost; None: unknown, others took the place of the lost ones."""
    acknowledged_to: int
    """The last one that is known to have been acknowledged before it."""
    filled_to: int
    """No lost event is thought to have had a later one: up to here `tail_lost` fills the log."""

    def is_of(self, acknowledged_to: int, filled_to: int) -> bool:
        """Return whether it is the loss with these positions: the log is filled by several appends."""
        return (self.acknowledged_to, self.filled_to) == (acknowledged_to, filled_to)


MAX_TAIL_LOSSES = 20
"""Losses that are remembered, the latest."""


class Pool(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The pool-level state. `version` 0: no pool event was recorded yet."""

    pool_id: str
    version: int = 0
    position: int = 0
    intake: IntakeStatus = IntakeStatus.OPEN
    leader: str | None = None
    not_before: datetime | None = None
    """No lease is judged before this moment plus the lease's share of `jitter_s`."""
    jitter_s: float = 0.0
    expiry_held: bool = False
    tail_losses: tuple[TailLoss, ...] = ()

    @property
    def accepts_grants(self) -> bool:
        """Whether the pool grants new leases."""
        return self.intake is IntakeStatus.OPEN

    def floor(self, token: int) -> datetime | None:
        """Return the moment before which the lease with this token is not judged, or None if there is no floor."""
        if self.not_before is None:
            return None
        return after(self.not_before, jitter_fraction(token) * self.jitter_s)


def jitter_fraction(token: int) -> float:
    """Return a number in [0, 1) that depends on the token alone; neighbouring tokens are spread evenly."""
    return (token * _HASH_MULTIPLIER % _HASH_MODULUS) / _HASH_MODULUS


def evolve_pool(pool: Pool, recorded: Recorded) -> Pool:
    """Return the pool after one more event.

    Raises:
        FoldError: the event is not the pool's next one.
        IllegalTransitionError: the intake does not allow it.
    """
    event = recorded.event
    if recorded.version != pool.version + 1 or recorded.entity_id != pool.pool_id:
        msg = f"{recorded.originator_id} v{recorded.version} meets pool {pool.pool_id} at version {pool.version}"
        raise FoldError(msg)
    pool = replace(pool, version=recorded.version, position=recorded.position)
    if isinstance(event, ev.Led):
        return replace(pool, leader=event.leader)
    if isinstance(event, ev.Rearmed):
        return replace(pool, not_before=event.not_before, jitter_s=event.jitter_s)
    if isinstance(event, ev.IntakeEvent):
        return replace(pool, intake=INTAKE.next[pool.intake, event.name])
    if isinstance(event, ev.ExpiryHeld | ev.ExpiryResumed):
        return replace(pool, expiry_held=isinstance(event, ev.ExpiryHeld))
    if isinstance(event, ev.TailLost):
        known = pool.tail_losses
        if not known or not known[-1].is_of(event.acknowledged_to, event.filled_to):
            loss = TailLoss(recorded.time, event.survived_to, event.acknowledged_to, event.filled_to)
            return replace(pool, tail_losses=(*known, loss)[-MAX_TAIL_LOSSES:])
    return pool
