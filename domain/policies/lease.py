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
from typing import Annotated, Any, Final

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


class LeaseTerms(msgspec.Struct, frozen=True, gc=False):
    """The terms of a grant or a renewal: `lease_s` seconds until expiry, then `grace_s` seconds of grace."""

    lease_s: float
    grace_s: float


def _omitted_if(default: float) -> Any:
    """Leave a field out of events where it has this default, which never changes: every task records its policy."""

    def is_default(value: float) -> bool:
        return value == default

    return Field(exclude_if=is_default)


_Factor = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=SHORTEST_LEASE_S, le=LONGEST_LEASE_S, allow_inf_nan=False)]
_Grace = Annotated[float, Field(ge=0, le=LONGEST_GRACE_S, allow_inf_nan=False)]
_Percent = Annotated[int, Field(ge=0, le=100)]
_Count = Annotated[int, Field(ge=0, le=1_000_000)]
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
    lease_s: _Seconds = 240.0
    """Fixed mode: the length of every term, in seconds."""
    grace_s: _Grace | None = None
    """Fixed and estimated mode: the time after expiry, in seconds; absent: 60 (fixed) or 1,800 (estimated)."""
    default_hours: _Hours = 2.0
    """Estimated mode: the estimate of a task that has none, in hours."""
    min_hours: _Hours = 1.0
    """Estimated mode: no term is shorter, in hours."""
    max_hours: Annotated[_Hours, Field(validate_default=True)] = 24.0
    """Estimated mode: no term is longer, in hours; at least `min_hours`."""
    renewal_decay: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.9
    """Estimated mode: each earlier renewal shortens a renewal by this factor."""
    renewal_hours: Annotated[_Hours, _omitted_if(4.0)] = 4.0
    """Estimated mode: the term of a renewal, in hours, before the factors."""
    renewal_half_percent: Annotated[_Percent, _omitted_if(50)] = 50
    """Estimated mode: the progress above which `renewal_half_hours` is the term of a renewal."""
    renewal_half_hours: Annotated[_Hours, _omitted_if(3.0)] = 3.0
    """Estimated mode: that term, in hours."""
    renewal_late_percent: Annotated[_Percent, _omitted_if(75)] = 75
    """Estimated mode: the progress above which `renewal_late_hours` is the term of a renewal."""
    renewal_late_hours: Annotated[_Hours, _omitted_if(2.0)] = 2.0
    """Estimated mode: that term, in hours."""
    renewal_slow_after: Annotated[_Count, _omitted_if(2)] = 2
    """Estimated mode: after more renewals than this, work below `renewal_slow_percent` is slow."""
    renewal_slow_percent: Annotated[_Percent, _omitted_if(25)] = 25
    """Estimated mode: the progress below which work is slow by then."""
    renewal_slow_hours: Annotated[_Hours, _omitted_if(2.0)] = 2.0
    """Estimated mode: the term of a renewal of slow work, in hours."""
    renewal_many_after: Annotated[_Count, _omitted_if(5)] = 5
    """Estimated mode: after more renewals than this, a renewal is at most `renewal_many_hours`."""
    renewal_many_hours: Annotated[_Hours, _omitted_if(2.0)] = 2.0
    """Estimated mode: that limit, in hours, after all factors."""
    large_hours: Annotated[_Hours, _omitted_if(8.0)] = 8.0
    """Estimated mode: a task with an estimate above this is large, in hours."""
    large_factor: Annotated[_Factor, _omitted_if(1.5)] = 1.5
    """Estimated mode: the factor of renewals of a large task."""
    critical_factor: Annotated[_Factor, _omitted_if(0.5)] = 0.5
    """Estimated mode: the factor of the first term of a critical task, which so returns to the queue soon if its holder
    is lost."""
    high_factor: Annotated[_Factor, _omitted_if(0.75)] = 0.75
    """Estimated mode: the factor of a task of high priority."""
    medium_factor: Annotated[_Factor, _omitted_if(1.0)] = 1.0
    """Estimated mode: the factor of a task of medium priority."""
    low_factor: Annotated[_Factor, _omitted_if(1.5)] = 1.5
    """Estimated mode: the factor of a task of low priority, whose holder is rarely disturbed."""
    simple_factor: Annotated[_Factor, _omitted_if(0.5)] = 0.5
    """Estimated mode: the factor of the label `simple`; the first label that has a factor counts."""
    complex_factor: Annotated[_Factor, _omitted_if(1.5)] = 1.5
    """Estimated mode: the factor of the label `complex`."""
    research_factor: Annotated[_Factor, _omitted_if(2.0)] = 2.0
    """Estimated mode: the factor of the label `research`."""
    epic_factor: Annotated[_Factor, _omitted_if(3.0)] = 3.0
    """Estimated mode: the factor of the label `epic`."""
    first_s: Annotated[_Seconds, _omitted_if(180.0)] = 180.0
    """Adaptive mode: the term until the first report, in seconds."""
    first_grace_s: Annotated[_Grace, _omitted_if(60.0)] = 60.0
    """Adaptive mode: its grace, in seconds."""
    second_s: Annotated[_Seconds, _omitted_if(240.0)] = 240.0
    """Adaptive mode: the term after the first report, and below `working_percent`."""
    second_grace_s: Annotated[_Grace, _omitted_if(60.0)] = 60.0
    """Adaptive mode: its grace, in seconds."""
    working_percent: Annotated[_Percent, _omitted_if(25)] = 25
    """Adaptive mode: the progress from which on the working term is set, from the second report on."""
    working_s: Annotated[_Seconds, _omitted_if(300.0)] = 300.0
    """Adaptive mode: the working term, in seconds."""
    working_grace_s: Annotated[_Grace, _omitted_if(60.0)] = 60.0
    """Adaptive mode: its grace, in seconds."""
    finishing_percent: Annotated[_Percent, _omitted_if(75)] = 75
    """Adaptive mode: the progress from which on the finishing term is set."""
    finishing_s: Annotated[_Seconds, _omitted_if(360.0)] = 360.0
    """Adaptive mode: the finishing term; tests, builds and merges make the end the quietest time."""
    finishing_grace_s: Annotated[_Grace, _omitted_if(90.0)] = 90.0
    """Adaptive mode: its grace, in seconds."""
    max_renewals: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    """Reports on one lease after which `escalated` is written, once; nothing else follows from it."""
    max_lease_s: Annotated[float, Field(ge=SHORTEST_LEASE_S, le=LONGEST_ATTEMPT_S, allow_inf_nan=False)] = _DAY_S
    """How long after its grant the lease expires whatever is reported, in seconds."""
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
) -> LeaseTerms:
    """Return the terms of a new lease.

    Estimated mode: the estimate (absent or not positive: the policy's default) x the priority's factor x the
    factor of the first label that has one, clamped to the policy's bounds. The other modes depend on the policy
    alone.
    """
    match policy.mode:
        case LeaseMode.ADAPTIVE:
            return _adaptive_terms(policy, reports=0, percent=0)
        case LeaseMode.FIXED:
            return _fixed_terms(policy)
        case LeaseMode.ESTIMATED:
            hours = estimated_hours if estimated_hours is not None and estimated_hours > 0 else policy.default_hours
            return _estimated_terms(policy, hours * _priority_factor(policy, priority) * _label_factor(policy, labels))


def renewal_terms(policy: LeasePolicy, *, reports: int, percent: int, estimated_hours: float | None) -> LeaseTerms:
    """Return the terms that a renewal sets.

    `reports` counts the progress reports on this lease, the current one included. In the adaptive mode 0 (none yet)
    stays in the phase of the first term; the estimated mode counts the renewals before this one. `percent` is the
    progress last reported, 0 to 100.
    """
    match policy.mode:
        case LeaseMode.ADAPTIVE:
            return _adaptive_terms(policy, reports=reports, percent=percent)
        case LeaseMode.FIXED:
            return _fixed_terms(policy)
        case LeaseMode.ESTIMATED:
            return _estimated_terms(policy, _renewal_hours(policy, max(reports - 1, 0), percent, estimated_hours))


def shortest_first_terms(policy: LeasePolicy) -> LeaseTerms:
    """Return the shortest terms with which a lease of this policy begins, whatever its task is."""
    match policy.mode:
        case LeaseMode.ADAPTIVE:
            return _first(policy)
        case LeaseMode.FIXED:
            return _fixed_terms(policy)
        case LeaseMode.ESTIMATED:
            return _estimated_terms(policy, policy.min_hours)


def longest_terms(policy: LeasePolicy) -> LeaseTerms:
    """Return the longest terms that this policy ever sets, whatever is reported; none beyond `max_lease_s`."""
    terms = _fixed_terms(policy)
    match policy.mode:
        case LeaseMode.ADAPTIVE:
            phases = (_first(policy), _second(policy), _working(policy), _finishing(policy))
            terms = max(phases, key=lambda each: each.lease_s + each.grace_s)
        case LeaseMode.ESTIMATED:
            terms = _estimated_terms(policy, policy.max_hours)
    return LeaseTerms(min(terms.lease_s, policy.max_lease_s), terms.grace_s)


def _adaptive_terms(policy: LeasePolicy, *, reports: int, percent: int) -> LeaseTerms:
    if reports == 0:
        return _first(policy)
    if reports == 1:
        return _second(policy)
    if percent >= policy.finishing_percent:
        return _finishing(policy)
    if percent >= policy.working_percent:
        return _working(policy)
    return _second(policy)


def _first(policy: LeasePolicy) -> LeaseTerms:
    return LeaseTerms(policy.first_s, policy.first_grace_s)


def _second(policy: LeasePolicy) -> LeaseTerms:
    return LeaseTerms(policy.second_s, policy.second_grace_s)


def _working(policy: LeasePolicy) -> LeaseTerms:
    return LeaseTerms(policy.working_s, policy.working_grace_s)


def _finishing(policy: LeasePolicy) -> LeaseTerms:
    return LeaseTerms(policy.finishing_s, policy.finishing_grace_s)


def _fixed_terms(policy: LeasePolicy) -> LeaseTerms:
    grace_s = DEFAULT_FIXED_GRACE_S if policy.grace_s is None else policy.grace_s
    return LeaseTerms(policy.lease_s, grace_s)


def _estimated_terms(policy: LeasePolicy, hours: float) -> LeaseTerms:
    grace_s = DEFAULT_ESTIMATED_GRACE_S if policy.grace_s is None else policy.grace_s
    clamped = max(policy.min_hours, min(policy.max_hours, hours))
    return LeaseTerms(lease_s=clamped * _HOUR_S, grace_s=grace_s)


def _label_factor(policy: LeasePolicy, labels: Sequence[str]) -> float:
    """Return the factor of the first label, in the task's own order, that has one; else 1."""
    for label in labels:
        match label.lower():
            case "simple":
                return policy.simple_factor
            case "complex":
                return policy.complex_factor
            case "research":
                return policy.research_factor
            case "epic":
                return policy.epic_factor
    return 1.0


def _priority_factor(policy: LeasePolicy, priority: Priority) -> float:
    match priority:
        case Priority.CRITICAL:
            return policy.critical_factor
        case Priority.HIGH:
            return policy.high_factor
        case Priority.MEDIUM:
            return policy.medium_factor
        case Priority.LOW:
            return policy.low_factor


def _renewal_hours(policy: LeasePolicy, renewals: int, percent: int, estimated_hours: float | None) -> float:
    if percent > policy.renewal_late_percent:
        hours = policy.renewal_late_hours
    elif percent > policy.renewal_half_percent:
        hours = policy.renewal_half_hours
    elif percent < policy.renewal_slow_percent and renewals > policy.renewal_slow_after:
        hours = policy.renewal_slow_hours
    else:
        hours = policy.renewal_hours
    if (estimated_hours or 0.0) > policy.large_hours:
        hours *= policy.large_factor
    hours *= policy.renewal_decay**renewals
    if renewals > policy.renewal_many_after:
        hours = min(hours, policy.renewal_many_hours)
    return hours


def interned(policy: LeasePolicy) -> LeasePolicy:
    """Return one instance for equal policies, to save memory: most tasks of a pool have the same."""
    if len(_INTERNED) >= _MAX_INTERNED:
        _INTERNED.clear()
    return _INTERNED.setdefault(policy, policy)


_INTERNED: Final[dict[LeasePolicy, LeasePolicy]] = {}
"""A cache without effect on any value."""
_MAX_INTERNED: Final = 1000
