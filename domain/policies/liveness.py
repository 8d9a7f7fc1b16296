"""Whether an agent was heard lately enough to be given work that it did not ask for.

When an agent was heard is in the writer's memory and not in the log, so its silence may be unknown. Then its last
registration or heartbeat on record counts, which is at most `heartbeat_record_s` older than its last heartbeat.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

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
    if silence_s is None:
        if last_recorded_at is None:
            return False
        silence_s = seconds_between(last_recorded_at, now)
    return silence_s <= first_term_s(policy)
