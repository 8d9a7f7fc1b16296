"""How long a lease runs, at the grant and at each renewal. Source of the rules: the adaptive assignment leases.

Three modes:

- ``adaptive`` (default): a short first term until the first report, then terms by the progress reported. The
  last phase is the longest on purpose: tests, builds and merges make the end the quietest time.
- ``estimated``: hours, from the task's estimate, priority and labels; renewals shrink with their number.
- ``fixed``: a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from domain.values import Priority

_HOUR_S: Final = 3600.0
_DAY_S: Final = 86_400.0

SHORTEST_LEASE_S: Final = 0.1
LONGEST_LEASE_S: Final = 7 * _DAY_S
LONGEST_GRACE_S: Final = _DAY_S
LONGEST_ATTEMPT_S: Final = 30 * _DAY_S

DEFAULT_FIXED_GRACE_S: Final = 60.0
DEFAULT_ESTIMATED_GRACE_S: Final = 1800.0


class LeaseMode(StrEnum):
    """Which rule sets the terms of a lease."""

    ADAPTIVE = "adaptive"
    ESTIMATED = "estimated"
    FIXED = "fixed"


class Terms(msgspec.Struct, frozen=True, gc=False):
    """The terms of a grant or a renewal: `lease_s` seconds until expiry, then `grace_s` seconds of grace."""

    lease_s: float
    grace_s: float


_Hours = Annotated[float, Field(ge=SHORTEST_LEASE_S / _HOUR_S, le=LONGEST_LEASE_S / _HOUR_S, allow_inf_nan=False)]


class LeasePolicy(BaseModel):
    """The lease rules of a pool or of one task; every field has a default.

    Types are strict: a whole number may stand for a float, a string or a boolean for neither. A bad value
    raises pydantic's ``ValidationError``, whose location is the field.

    `max_lease_s` limits the whole attempt in every mode, so it is not compared with the terms: a term that reaches
    beyond it is cut by the decision that grants it. Likewise `default_hours` may lie outside `min_hours` to
    `max_hours`: it replaces a missing estimate and is clamped as one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mode: Annotated[LeaseMode, Field(strict=False)] = LeaseMode.ADAPTIVE
    lease_s: Annotated[float, Field(ge=SHORTEST_LEASE_S, le=LONGEST_LEASE_S, allow_inf_nan=False)] = 240.0
    """Fixed mode: the length of every term, in seconds."""
    grace_s: Annotated[float, Field(ge=0, le=LONGEST_GRACE_S, allow_inf_nan=False)] | None = None
    """Fixed and estimated mode: seconds after expiry; absent: 60 (fixed) or 1,800 (estimated)."""
    default_hours: _Hours = 2.0
    """Estimated mode: the estimate of a task that has none, in hours."""
    min_hours: _Hours = 1.0
    """Estimated mode: no term is shorter, in hours."""
    max_hours: Annotated[_Hours, Field(validate_default=True)] = 24.0
    """Estimated mode: no term is longer, in hours; at least `min_hours`."""
    renewal_decay: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.9
    """Estimated mode: each renewal is this much of what it would be without those before it."""
    max_renewals: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    """Reports on one lease after which `escalated` is written, once; nothing else follows from it."""
    max_lease_s: Annotated[float, Field(ge=SHORTEST_LEASE_S, le=LONGEST_ATTEMPT_S, allow_inf_nan=False)] = _DAY_S
    """Seconds from the grant after which the lease expires whatever is reported."""
    silence_multiplier: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 5.0
    """How many times its median interval between reports an agent may be silent before recovery."""

    @field_validator("max_hours")
    @classmethod
    def _not_below_min_hours(cls, max_hours: float, info: ValidationInfo) -> float:
        min_hours: float | None = info.data.get("min_hours")
        if min_hours is not None and max_hours < min_hours:
            raise ValueError(f"must be at least min_hours, {min_hours:g}")
        return max_hours


def first_terms(
    policy: LeasePolicy,
    *,
    estimated_hours: float | None,
    priority: Priority,
    labels: Sequence[str],
) -> Terms:
    """Return the terms of a new lease.

    Estimated mode: the estimate (absent or not positive: the policy's default) x the priority's factor x the
    factor of the first label that has one, clamped to the policy's bounds. The other modes depend on the policy
    alone.
    """
    match policy.mode:
        case LeaseMode.ADAPTIVE:
            return _adaptive_terms(reports=0, percent=0)
        case LeaseMode.FIXED:
            return _fixed_terms(policy)
        case LeaseMode.ESTIMATED:
            hours = estimated_hours if estimated_hours is not None and estimated_hours > 0 else policy.default_hours
            return _estimated_terms(policy, hours * _PRIORITY_FACTORS[priority] * _label_factor(labels))


def renewal_terms(policy: LeasePolicy, *, reports: int, percent: int, estimated_hours: float | None) -> Terms:
    """Return the terms that a renewal sets.

    `reports` counts the progress reports on this lease, the current one included. In the adaptive mode 0 (none yet)
    stays in the phase of the first term; the estimated mode counts the renewals before this one. `percent` is the
    progress last reported, 0 to 100.
    """
    match policy.mode:
        case LeaseMode.ADAPTIVE:
            return _adaptive_terms(reports=reports, percent=percent)
        case LeaseMode.FIXED:
            return _fixed_terms(policy)
        case LeaseMode.ESTIMATED:
            return _estimated_terms(policy, _renewal_hours(policy, max(reports - 1, 0), percent, estimated_hours))


def shortest_first_terms(policy: LeasePolicy) -> Terms:
    """Return the shortest terms with which a lease of this policy begins, whatever its task is."""
    return first_terms(policy, estimated_hours=policy.min_hours, priority=Priority.CRITICAL, labels=())


def longest_terms(policy: LeasePolicy) -> Terms:
    """Return the longest terms that this policy ever sets, whatever is reported; none beyond `max_lease_s`."""
    terms = _fixed_terms(policy)
    match policy.mode:
        case LeaseMode.ADAPTIVE:
            terms = max((_UNPROVEN, _FIRST_SIGN, _WORKING, _FINISHING), key=lambda each: each.lease_s + each.grace_s)
        case LeaseMode.ESTIMATED:
            terms = _estimated_terms(policy, policy.max_hours)
    return Terms(min(terms.lease_s, policy.max_lease_s), terms.grace_s)


def _adaptive_terms(*, reports: int, percent: int) -> Terms:
    if reports == 0:
        return _UNPROVEN
    if reports == 1:
        return _FIRST_SIGN
    if percent >= _FINISHING_PERCENT:
        return _FINISHING
    if percent >= _WORKING_PERCENT:
        return _WORKING
    return _FIRST_SIGN


_UNPROVEN: Final = Terms(lease_s=180.0, grace_s=60.0)
_FIRST_SIGN: Final = Terms(lease_s=240.0, grace_s=60.0)
_WORKING: Final = Terms(lease_s=300.0, grace_s=60.0)
_FINISHING: Final = Terms(lease_s=360.0, grace_s=90.0)
_WORKING_PERCENT: Final = 25
_FINISHING_PERCENT: Final = 75


def _fixed_terms(policy: LeasePolicy) -> Terms:
    grace_s = DEFAULT_FIXED_GRACE_S if policy.grace_s is None else policy.grace_s
    return Terms(policy.lease_s, grace_s)


def _estimated_terms(policy: LeasePolicy, hours: float) -> Terms:
    grace_s = DEFAULT_ESTIMATED_GRACE_S if policy.grace_s is None else policy.grace_s
    clamped = max(policy.min_hours, min(policy.max_hours, hours))
    return Terms(lease_s=clamped * _HOUR_S, grace_s=grace_s)


def _label_factor(labels: Sequence[str]) -> float:
    """Return the factor of the first label, in the task's own order, that has one; else 1."""
    return next((factor for label in labels if (factor := _LABEL_FACTORS.get(label.lower())) is not None), 1.0)


# A critical task returns to the queue soon if its holder is lost; a holder of a low one is rarely disturbed.
_PRIORITY_FACTORS: Final = {
    Priority.CRITICAL: 0.5,
    Priority.HIGH: 0.75,
    Priority.MEDIUM: 1.0,
    Priority.LOW: 1.5,
}
_LABEL_FACTORS: Final = {"simple": 0.5, "complex": 1.5, "research": 2.0, "epic": 3.0}


def _renewal_hours(policy: LeasePolicy, renewals: int, percent: int, estimated_hours: float | None) -> float:
    if percent > _NEARLY_DONE_PERCENT:
        hours = 2.0
    elif percent > _HALF_DONE_PERCENT:
        hours = 3.0
    elif percent < _BARELY_BEGUN_PERCENT and renewals > _RENEWALS_TO_SHOW_PROGRESS:
        hours = 2.0
    else:
        hours = 4.0
    if (estimated_hours or 0.0) > _LARGE_TASK_HOURS:
        hours *= 1.5
    hours *= policy.renewal_decay**renewals
    if renewals > _RENEWALS_BEFORE_CAP:
        hours = min(hours, 2.0)
    return hours


_NEARLY_DONE_PERCENT: Final = 75
_HALF_DONE_PERCENT: Final = 50
_BARELY_BEGUN_PERCENT: Final = 25
_RENEWALS_TO_SHOW_PROGRESS: Final = 2
_RENEWALS_BEFORE_CAP: Final = 5
_LARGE_TASK_HOURS: Final = 8.0
