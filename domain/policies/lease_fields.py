"""Which fields of a lease policy have an effect in which mode."""

from __future__ import annotations

from domain.policies.lease import LeaseMode, LeasePolicy

_MODE_FIELDS = {
    "lease_s": {LeaseMode.FIXED},
    "grace_s": {LeaseMode.FIXED, LeaseMode.ESTIMATED},
    "default_hours": {LeaseMode.ESTIMATED},
    "min_hours": {LeaseMode.ESTIMATED},
    "max_hours": {LeaseMode.ESTIMATED},
    "renewal_decay": {LeaseMode.ESTIMATED},
    "renewal_hours": {LeaseMode.ESTIMATED},
    "renewal_half_percent": {LeaseMode.ESTIMATED},
    "renewal_half_hours": {LeaseMode.ESTIMATED},
    "renewal_late_percent": {LeaseMode.ESTIMATED},
    "renewal_late_hours": {LeaseMode.ESTIMATED},
    "renewal_slow_after": {LeaseMode.ESTIMATED},
    "renewal_slow_percent": {LeaseMode.ESTIMATED},
    "renewal_slow_hours": {LeaseMode.ESTIMATED},
    "renewal_many_after": {LeaseMode.ESTIMATED},
    "renewal_many_hours": {LeaseMode.ESTIMATED},
    "large_hours": {LeaseMode.ESTIMATED},
    "large_factor": {LeaseMode.ESTIMATED},
    "critical_factor": {LeaseMode.ESTIMATED},
    "high_factor": {LeaseMode.ESTIMATED},
    "medium_factor": {LeaseMode.ESTIMATED},
    "low_factor": {LeaseMode.ESTIMATED},
    "simple_factor": {LeaseMode.ESTIMATED},
    "complex_factor": {LeaseMode.ESTIMATED},
    "research_factor": {LeaseMode.ESTIMATED},
    "epic_factor": {LeaseMode.ESTIMATED},
    "first_s": {LeaseMode.ADAPTIVE},
    "first_grace_s": {LeaseMode.ADAPTIVE},
    "second_s": {LeaseMode.ADAPTIVE},
    "second_grace_s": {LeaseMode.ADAPTIVE},
    "working_percent": {LeaseMode.ADAPTIVE},
    "working_s": {LeaseMode.ADAPTIVE},
    "working_grace_s": {LeaseMode.ADAPTIVE},
    "finishing_percent": {LeaseMode.ADAPTIVE},
    "finishing_s": {LeaseMode.ADAPTIVE},
    "finishing_grace_s": {LeaseMode.ADAPTIVE},
}


def modes_of(lease_field: str) -> list[str]:
    """Return the lease modes in which a field of the policy has an effect."""
    return sorted(_MODE_FIELDS.get(lease_field, set(LeaseMode)))


def lease_field_mismatch(wanted: LeasePolicy, mode: LeaseMode) -> str | None:
    """Return which of the given fields would have no effect in this mode, as a phrase for people, or None."""
    for name in sorted(wanted.model_fields_set & _MODE_FIELDS.keys()):
        if mode not in _MODE_FIELDS[name]:
            modes = " or ".join(sorted(_MODE_FIELDS[name]))
            return f"{name} goes with mode {modes}, not {mode}"
    return None
