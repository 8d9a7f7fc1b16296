"""The sweeper's verdict on one task, and when it falls due. Source of the rules: the stuck-task sweeper.

Each rule has a moment at which it begins to apply. The verdict at a moment and the moment at which the next verdict
falls due both follow from these, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from domain.lifecycles import HELD, TERMINAL, TaskStatus
from domain.timestamps import after, just_after

DEFAULT_STALL_S: Final = 1800.0
"""Mode adaptive: seconds without an advance after which a task is stalled, where nothing else is set."""


class Verdict(StrEnum):
    """The sweeper's verdict on one task: a closed set, one action each."""

    # Nothing is due.
    NONE = "none"
    # The task finished before the sweep came to it: counted, never an error, never overwritten.
    ALREADY_FINISHED = "already_finished"
    # Past its deadline, in whatever non-terminal status: it fails.
    DEADLINE_EXCEEDED = "deadline_exceeded"
    # Held, its lease past expiry and grace, and its holder's silence not excused: the lease ends.
    RECOVER = "recover"
    # Held, once alive, and silent for longer than the threshold.
    STUCK = "stuck"
    # Held and heard, and nothing has changed for too long.
    STALLED = "stalled"


class DueMoments(msgspec.Struct, frozen=True, gc=False):
    """The first moment at which each rule applies to a task, if nothing happens before; None: never."""

    deadline_exceeded_at: datetime | None = None
    recovery_at: datetime | None = None
    """See `domain.policies.cadence`. None where the lease's clock is stopped."""
    stuck_at: datetime | None = None
    stalled_at: datetime | None = None


def deadline_exceeded_at(deadline: datetime) -> datetime:
    """Return the first moment past the deadline; the comparison is strict."""
    return just_after(deadline)


def stuck_at(
    last_beat_at: datetime | None,
    stuck_threshold_s: float,
    *,
    lease_due_at: datetime | None = None,
    not_before: Iterable[datetime] = (),
) -> datetime | None:
    """Return the first moment at which a silent holder counts as stuck; None for never.

    `last_beat_at` is the last report or recorded renewal of the current lease. None, for no beat yet, is never stuck:
    the first term and the deadline catch work that never began. The comparisons with the threshold and with each
    moment of `not_before` are strict. From `lease_due_at` on, the lease is judged for recovery instead.
    """
    if last_beat_at is None:
        return None
    stuck = just_after(max((after(last_beat_at, stuck_threshold_s), *not_before)))
    return stuck if lease_due_at is None or stuck < lease_due_at else None


def stalled_at(
    advanced_at: datetime, stall_s: float, last_beat_at: datetime | None, *, not_before: Iterable[datetime] = ()
) -> datetime | None:
    """Return the first moment at which a holder that is heard counts as stalled; None for never.

    `advanced_at` is when percent or checkpoint changed last, or when an announced silence ends. A holder that was not
    heard since is judged by its silence instead. All comparisons are strict.
    """
    if last_beat_at is None or last_beat_at <= advanced_at:
        return None
    return just_after(max((after(advanced_at, stall_s), *not_before)))


def judge(status: TaskStatus, due: DueMoments, now: datetime) -> Verdict:
    """Return the verdict on a task now: that of the first rule, in their order, whose moment has come."""
    if status in TERMINAL:
        return Verdict.ALREADY_FINISHED
    for moment, verdict in _rules(status, due):
        if moment is not None and moment <= now:
            return verdict
    return Verdict.NONE


def first_due_at(status: TaskStatus, due: DueMoments) -> datetime | None:
    """Return the first moment at which `judge` says more than that nothing is due; None for never."""
    return min((moment for moment, _ in _rules(status, due) if moment is not None), default=None)


def _rules(status: TaskStatus, due: DueMoments) -> tuple[tuple[datetime | None, Verdict], ...]:
    """Return the rules that apply in this status, in the order in which they are asked.

    A stuck task was called so already; its lease is judged where its clock runs on, which `recovery_at` says.
    """
    if status in TERMINAL:
        return ()
    deadline = (due.deadline_exceeded_at, Verdict.DEADLINE_EXCEEDED)
    if status not in HELD:
        return (deadline,)
    recovery = (due.recovery_at, Verdict.RECOVER)
    if status is TaskStatus.STUCK:
        return (deadline, recovery)
    return (deadline, recovery, (due.stuck_at, Verdict.STUCK), (due.stalled_at, Verdict.STALLED))
