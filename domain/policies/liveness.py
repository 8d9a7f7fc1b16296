"""Whether an agent was heard lately enough to be given work that it did not ask for.

When an agent was heard is in the writer's memory and not in the log, so its silence may be unknown. Then its last
registration or heartbeat on record counts, which is at most `heartbeat_record_s` older than its last heartbeat.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from domain.limits import MAX_CLAIM_WAIT_S
from domain.policies.lease import first_terms
from domain.timestamps import seconds_between
from domain.values import Priority

if TYPE_CHECKING:
    from domain.policies.lease import LeasePolicy


def first_term_s(policy: LeasePolicy) -> float:
    """Return the first term of a lease on a task that says nothing of its own, in seconds."""
    return first_terms(policy, estimated_hours=None, priority=Priority.MEDIUM, labels=()).lease_s


def was_heard_lately(
    policy: LeasePolicy, *, silence_s: float | None, last_recorded_at: datetime | None, now: datetime
) -> bool:
    """Return whether an agent was heard within a lease's first term, by the pool's policy.

    `silence_s`: for how many seconds it has not been heard; None: unknown, so its last record counts.
    """
    return _silence_s(silence_s, last_recorded_at, now) <= first_term_s(policy)


def was_heard_for_steal(*, silence_s: float | None, last_recorded_at: datetime | None, now: datetime) -> bool:
    """Return whether an agent was heard within the longest wait of a claim, so that the policy balance steals for it.

    Much shorter than a term: what is moved to an agent that has died waits for a term, so its silence may not be one.
    """
    return _silence_s(silence_s, last_recorded_at, now) <= MAX_CLAIM_WAIT_S


def _silence_s(silence_s: float | None, last_recorded_at: datetime | None, now: datetime) -> float:
    if silence_s is not None:
        return silence_s
    return math.inf if last_recorded_at is None else seconds_between(last_recorded_at, now)
