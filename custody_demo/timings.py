"""All durations of a demo, scaled to the time that it is planned to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.policies.lease import LeaseMode

if TYPE_CHECKING:
    from infra.settings.settings import Settings

USUAL_SECONDS = 40.0
"""The duration of a demo for which the durations below are given."""
SILENCE_MULTIPLIER = 3.0
RENEWAL_WORTH = 0.4


class Timings(NamedTuple):
    """Durations in seconds."""

    seconds: float
    """The planned duration of the whole demo."""
    lease_s: float
    grace_s: float
    long_lease_s: float
    """The lease of tasks whose silent holders are found `stuck`, because the lease lasts much longer."""
    stale_s: float
    lost_s: float
    record_s: float
    beat_s: float
    wait_s: float
    """How long an idle agent's claim waits for a task."""
    steal_s: float
    cooldown_s: float
    reaction_s: float
    """How long the operator takes to react."""
    nap_s: float
    """A silence that outlasts every lease of the usual length."""
    long_nap_s: float
    """A silence after which a task on a long lease is stuck."""
    restart_s: float
    limit_s: float
    """When the demo ends, even if tasks are still open."""

    @classmethod
    def of(cls, seconds: float) -> Timings:
        """Return the durations of a demo that is planned to take `seconds`."""
        unit = seconds / USUAL_SECONDS
        return cls(
            seconds=seconds,
            lease_s=2.4 * unit,
            grace_s=0.6 * unit,
            long_lease_s=14.0 * unit,
            stale_s=4.0 * unit,
            lost_s=5.2 * unit,
            record_s=2.0 * unit,
            beat_s=0.7 * unit,
            wait_s=3.0 * unit,
            steal_s=1.2 * unit,
            cooldown_s=5.0 * unit,
            reaction_s=2.0 * unit,
            nap_s=3.8 * unit,
            long_nap_s=6.2 * unit,
            restart_s=6.0 * unit,
            limit_s=1.15 * seconds + 1.0,
        )

    def settings(self, settings: Settings) -> Settings:
        """Return the settings with these durations in the pool's rules; others, such as the pool's name, stay."""
        return settings.model_copy(
            update={
                "stream_replicas": 1,
                "lease_mode": LeaseMode.FIXED,
                "lease_s": self.lease_s,
                "lease_grace_s": self.grace_s,
                "lease_silence_multiplier": SILENCE_MULTIPLIER,
                "lease_warning_s": self.lease_s / 3,
                "renewal_worth": RENEWAL_WORTH,
                "retry_delay_s": self.lease_s / 12,
                "retry_backoff": 2.0,
                "retry_max_delay_s": self.lease_s,
                "handoff_branch_template": "{task_id}/attempt-{attempt}",
                "sweeper_enabled": True,
                "sweeper_interval_s": self.reaction_s,
                "stuck_threshold_s": self.stale_s,
                "agent_lost_after_s": self.lost_s,
                "heartbeat_record_s": self.record_s,
                "worktree_probe_enabled": False,
                "steal_enabled": True,
                "steal_threshold": 3,
                "steal_max_batch": 3,
                "steal_min_tasks": 1,
                "steal_interval_s": self.steal_s,
                "steal_cooldown_s": self.cooldown_s,
            }
        )
