"""Which setting sets which rule; a rule's limits are those of its setting."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from domain.policies.lease import LeasePolicy
from domain.policies.load_balancing import StealConfig
from domain.policies.retry import RetryPolicy
from domain.rules import Rules

LEASE_FIELDS: Final = {
    "lease_mode": "mode",
    "lease_s": "lease_s",
    "lease_grace_s": "grace_s",
    "lease_default_hours": "default_hours",
    "lease_min_hours": "min_hours",
    "lease_max_hours": "max_hours",
    "lease_renewal_decay": "renewal_decay",
    "lease_renewal_hours": "renewal_hours",
    "lease_renewal_half_percent": "renewal_half_percent",
    "lease_renewal_half_hours": "renewal_half_hours",
    "lease_renewal_late_percent": "renewal_late_percent",
    "lease_renewal_late_hours": "renewal_late_hours",
    "lease_renewal_slow_after": "renewal_slow_after",
    "lease_renewal_slow_percent": "renewal_slow_percent",
    "lease_renewal_slow_hours": "renewal_slow_hours",
    "lease_renewal_many_after": "renewal_many_after",
    "lease_renewal_many_hours": "renewal_many_hours",
    "lease_large_hours": "large_hours",
    "lease_large_factor": "large_factor",
    "lease_critical_factor": "critical_factor",
    "lease_high_factor": "high_factor",
    "lease_medium_factor": "medium_factor",
    "lease_low_factor": "low_factor",
    "lease_simple_factor": "simple_factor",
    "lease_complex_factor": "complex_factor",
    "lease_research_factor": "research_factor",
    "lease_epic_factor": "epic_factor",
    "lease_first_s": "first_s",
    "lease_first_grace_s": "first_grace_s",
    "lease_second_s": "second_s",
    "lease_second_grace_s": "second_grace_s",
    "lease_working_percent": "working_percent",
    "lease_working_s": "working_s",
    "lease_working_grace_s": "working_grace_s",
    "lease_finishing_percent": "finishing_percent",
    "lease_finishing_s": "finishing_s",
    "lease_finishing_grace_s": "finishing_grace_s",
    "lease_max_renewals": "max_renewals",
    "lease_max_s": "max_lease_s",
    "lease_silence_multiplier": "silence_multiplier",
}
"""Setting -> field of the pool's lease policy."""
RETRY_FIELDS: Final = {
    "retry_delay_s": "delay_s",
    "retry_backoff": "backoff",
    "retry_max_delay_s": "max_delay_s",
}
"""Setting -> field of the pool's retry policy."""
STEAL_FIELDS: Final = {
    "steal_enabled": "enabled",
    "steal_policy": "policy",
    "steal_threshold": "steal_threshold",
    "steal_max_batch": "max_steal_batch",
    "steal_min_tasks": "min_tasks_to_steal",
    "steal_interval_s": "interval_s",
    "steal_cooldown_s": "cooldown_s",
    "steal_move_cost_s": "move_cost_s",
    "steal_share": "share",
    "steal_overloaded_above_tasks": "overloaded_above_tasks",
    "steal_overloaded_above_cpu": "overloaded_above_cpu",
    "steal_underloaded_below_tasks": "underloaded_below_tasks",
    "steal_underloaded_below_cpu": "underloaded_below_cpu",
}
"""Setting -> field of the stealer's configuration."""
RULE_FIELDS: Final = {
    "priority_aging_s": "priority_aging_s",
    "sweeper_enabled": "sweeper_enabled",
    "stuck_threshold_s": "stuck_threshold_s",
    "default_deadline_s": "default_deadline_s",
    "stall_s": "stall_s",
    "on_stall": "on_stall",
    "lease_warning_s": "warning_s",
    "agent_lost_after_s": "lost_after_s",
    "heartbeat_record_s": "heartbeat_record_s",
    "load_valid_s": "load_valid_s",
    "renewal_worth": "renewal_worth",
    "handoff_valid_s": "handoff_valid_s",
    "handoff_branch_template": "branch_template",
    "rearm_max_s": "rearm_max_s",
    "rearm_jitter_s": "rearm_jitter_s",
}
"""Setting -> field of the rules themselves."""


_MODELS: Final[tuple[tuple[type[BaseModel], dict[str, str]], ...]] = (
    (Rules, RULE_FIELDS),
    (LeasePolicy, LEASE_FIELDS),
    (RetryPolicy, RETRY_FIELDS),
)


def check_rule(name: str, value: object) -> None:
    """Check a value against the limits of the rule that it sets; raises ValueError."""
    if name in STEAL_FIELDS:
        field = STEAL_FIELDS[name]
        try:
            StealConfig(**{field: cast("Any", value)})
        except ValueError as error:
            raise ValueError(str(error).removeprefix(f"{field} ")) from None
    found = [(model, fields[name]) for model, fields in _MODELS if name in fields]
    if not found:
        return
    model, field = found[0]
    info = model.model_fields[field]
    allowed: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        TypeAdapter(allowed).validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None
