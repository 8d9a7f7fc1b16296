"""What a test may have happen to appends to the log in memory: faults, and how long the broker takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from handlers.ports import NewMessage


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another writer appends `foreign` just before."""

    foreign: Sequence[NewMessage] | Callable[[], Sequence[NewMessage]]


@dataclass(frozen=True, slots=True)
class LoseAck:
    """It is stored, but the answer is lost."""


@dataclass(frozen=True, slots=True)
class LoseRequest:
    """It is never stored, and no answer comes."""


@dataclass(frozen=True, slots=True)
class StoredLater:
    """No answer, and it arrives after `after_calls` further calls; by then its expectation may no longer hold.

    `counted`: meanwhile a leader without a quorum counts it. It refuses other appends for its sake but does not
    answer for its position.
    """

    after_calls: int
    counted: bool = False


@dataclass(frozen=True, slots=True)
class DroppedLater:
    """As `StoredLater` with `counted`, but in the end it is dropped."""

    after_calls: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """There is no broker; certainly not stored."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The broker will never take it."""

    reason: str = "rejected by the test"


@dataclass(frozen=True, slots=True)
class FalselyRefused:
    """A refusal comes in the broker's name, and it is stored, `later` only by the next call."""

    later: bool = False


WholeFault: TypeAlias = (
    Conflict | LoseAck | LoseRequest | StoredLater | DroppedLater | Unavailable | Reject | FalselyRefused
)


@dataclass(frozen=True, slots=True)
class Midway:
    """A chain's first `stored` messages are acknowledged, and the others meet the fault; so does all of a batch."""

    stored: int
    fault: WholeFault


Fault: TypeAlias = "WholeFault | Midway"


@dataclass(frozen=True, slots=True)
class AppendTimes:
    """How long the broker takes, in seconds. It stores one thing after the other."""

    single_s: float
    """A single event, or the first of a chain, if nothing is on its way to it."""
    each_s: float
    """Each further one."""
    batch_s: float
    """A batch, of whatever size."""


EVERY_WRITE_SYNCED = AppendTimes(single_s=0.001, each_s=0.000_4, batch_s=0.005_5)
SYNCED_LATER = AppendTimes(single_s=0.000_4, each_s=0.000_04, batch_s=0.005_5)
SLOW_WRITES = AppendTimes(single_s=0.02, each_s=0.02, batch_s=0.005_5)
"""Two that were measured, and a disk for which a batch is always the quicker way."""
