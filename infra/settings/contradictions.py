"""Contradictions between settings that are each allowed: the service warns of them at its start, and refuses none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.limits import MAX_CAPACITY
from domain.policies.lease import LeaseMode, LeasePolicy, longest_terms, shortest_first_terms
from domain.policies.lease_fields import lease_field_mismatch, modes_of
from domain.policies.load_balancing import StealPolicy
from infra.settings.rule_settings import LEASE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.settings.settings import Settings


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield one line for each setting that others make ineffective.

    The lines are about tasks without lease rules of their own. A default is named only together with a setting that was
    made, so the defaults alone give no line.
    """
    yield from _of_the_sweeper(settings)
    yield from _of_terms(settings)
    yield from _of_phases(settings)
    yield from without_effect(settings)
    if settings.retry_delay_s == 0:
        for name in sorted(settings.model_fields_set & {"retry_backoff", "retry_max_delay_s"}):
            yield f"{name} has no effect, for retry_delay_s is 0"
    if settings.rearm_max_s == 0 and "rearm_jitter_s" in settings.model_fields_set:
        yield "rearm_jitter_s has no effect, for rearm_max_s is 0"
    if not settings.steal_enabled:
        for name in sorted(settings.model_fields_set & _STEALER):
            yield f"{name} has no effect on automatic steals, for steal_enabled is false"
        return
    for name in sorted(settings.model_fields_set & _OF_OTHER_POLICY[settings.steal_policy]):
        yield f"{name} has no effect with steal_policy {settings.steal_policy}"
    if settings.steal_policy is StealPolicy.THRESHOLD:
        yield from _of_limits(settings)


_OF_OTHER_POLICY = {
    StealPolicy.BALANCE: {"steal_threshold", "steal_min_tasks"},
    StealPolicy.THRESHOLD: {"steal_move_cost_s", "steal_share"},
}
"""By policy: the settings of the other one."""
_WHOLE_CPU = 100.0
_STEALER = {"steal_policy", "steal_min_tasks", "steal_interval_s", "steal_move_cost_s", "steal_share"}


def _of_limits(settings: Settings) -> Iterator[str]:
    """Yield which limits keep the policy threshold from moving anything."""
    for name in ("steal_underloaded_below_tasks", "steal_underloaded_below_cpu"):
        if not getattr(settings, name):
            yield f"steal_policy threshold moves nothing, for {name} is 0, and so no agent receives"
    if settings.steal_overloaded_above_tasks >= MAX_CAPACITY and settings.steal_overloaded_above_cpu >= _WHOLE_CPU:
        yield (
            f"steal_policy threshold moves nothing: no agent has more tasks than steal_overloaded_above_tasks, "
            f"{settings.steal_overloaded_above_tasks}, or more cpu than steal_overloaded_above_cpu, "
            f"{settings.steal_overloaded_above_cpu:g}"
        )


def without_effect(settings: Settings, *, changed_only: bool = False) -> Iterator[str]:
    """Yield one line for each lease setting that was made and that the mode of the pool's leases does not use.

    `changed_only`: not for those that were set to their default.
    """
    made = settings.model_fields_set & LEASE_FIELDS.keys()
    for name in sorted(made & differing(settings) if changed_only else made):
        field = LEASE_FIELDS[name]
        chosen = LeasePolicy.model_construct(_fields_set={field})
        if lease_field_mismatch(chosen, settings.lease_mode) is not None:
            modes = " or ".join(modes_of(field))
            yield f"{name} has no effect with lease_mode {settings.lease_mode}; it goes with {modes}"


def differing(settings: Settings) -> set[str]:
    """Return the names of the settings that differ from their default."""
    defaults = type(settings).model_fields
    return {name for name, field in defaults.items() if getattr(settings, name) != field.get_default()}


def _of_the_sweeper(settings: Settings) -> Iterator[str]:
    chosen = settings.model_fields_set
    if not settings.sweeper_enabled:
        for name in sorted(chosen & {"stuck_threshold_s", "stall_s", "on_stall"}):
            yield f"{name} has no effect, for sweeper_enabled is false"
        if settings.default_deadline_s is not None:
            yield "default_deadline_s fails no task that is held, for sweeper_enabled is false"
        return
    longest = longest_terms(settings.rules().lease)
    terms_s = longest.lease_s + longest.grace_s
    if "stuck_threshold_s" in chosen and settings.stuck_threshold_s >= terms_s:
        yield (
            f"stuck_threshold_s, {settings.stuck_threshold_s:g}, never takes effect:"
            f" the longest lease and its grace are over after {terms_s:g} s without a report"
        )
    never_stalls = not settings.stall_s and (settings.stall_s == 0 or settings.lease_mode is not LeaseMode.ADAPTIVE)
    if "on_stall" in chosen and never_stalls:
        yield "on_stall has no effect on tasks without a stall_s of their own, for no other is ever stalled"
    if settings.stall_s is not None and settings.stall_s >= settings.lease_max_s:
        yield f"stall_s, {settings.stall_s:g}, never takes effect: lease_max_s, {settings.lease_max_s:g}, comes first"


def _of_terms(settings: Settings) -> Iterator[str]:
    policy = settings.rules().lease
    first, longest = shortest_first_terms(policy), longest_terms(policy)
    if settings.agent_lost_after_s < first.lease_s:
        yield (
            f"agent_lost_after_s, {settings.agent_lost_after_s:g}, is below the first term of a lease,"
            f" {first.lease_s:g}: an agent that sends nothing meanwhile counts as lost while its lease is good"
        )
    if settings.lease_max_s < first.lease_s:
        yield f"lease_max_s, {settings.lease_max_s:g}, cuts the first term of a lease, {first.lease_s:g}"
    if settings.lease_warning_s >= longest.lease_s:
        yield (
            f"lease_warning_s, {settings.lease_warning_s:g}, is no shorter than any term of a lease:"
            " each is listed as expiring soon from its grant on"
        )


_PHASES = {
    LeaseMode.ADAPTIVE: ("lease_working_s", "lease_working_percent", "lease_finishing_percent"),
    LeaseMode.ESTIMATED: ("lease_renewal_half_hours", "lease_renewal_half_percent", "lease_renewal_late_percent"),
}
"""A term in the middle of the work, with the percent at which it begins and that at which the next one does."""
_RENEWAL_HOURS = {name for name in LEASE_FIELDS if name.startswith("lease_renewal_") and name.endswith("_hours")}


def _of_phases(settings: Settings) -> Iterator[str]:
    """Yield which terms of the pool's lease mode are never set, and which are cut by the bounds."""
    chosen, mode = settings.model_fields_set, settings.lease_mode
    if mode in _PHASES:
        term, *percents = _PHASES[mode]
        begins, ends = (getattr(settings, name) for name in percents)
        if ends <= begins and chosen & {term, *percents}:
            yield f"{term} is never set: {percents[1]}, {ends}, is not above {percents[0]}, {begins}"
    if mode is not LeaseMode.ESTIMATED:
        return
    low, high = settings.lease_min_hours, settings.lease_max_hours
    for name in sorted(chosen & _RENEWAL_HOURS):
        hours = getattr(settings, name)
        if not low <= hours <= high:
            bounds = f"{low:g} to {high:g}"
            yield f"{name}, {hours:g}, lies outside lease_min_hours to lease_max_hours, {bounds}, which cut it"
