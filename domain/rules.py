"""The settings that decisions depend on, as one value that is an argument of `decide`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from domain.policies.lease import LeasePolicy
from domain.policies.load_balancing import StealConfig
from domain.policies.retry import RetryPolicy


class Rules(BaseModel):
    """A pool's rules. Durations are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease: LeasePolicy = LeasePolicy()
    """The lease policy of tasks that are submitted without one; `submitted` records it."""
    steal: StealConfig = StealConfig()
    retry: RetryPolicy = RetryPolicy()
    """How long failed tasks wait that were submitted without a policy; `submitted` records it."""
    priority_aging_s: Annotated[float, Field(ge=0, le=365 * 86_400)] = 0.0
    """A queued task counts as one priority more urgent for each time that it has waited so long; 0: never."""
    sweeper_enabled: bool = True
    """Whether overdue and stale tasks are swept. Leases expire and are recovered either way."""
    stuck_threshold_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 600.0
    """A holder whose last beat is older than this is stuck. Source: the stuck-task sweeper."""
    warning_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """Leases with less than this left are listed as expiring soon."""
    lost_after_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 600.0
    """An agent that sent no command for this long is lost."""
    heartbeat_record_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """A heartbeat that changes nothing is recorded at most this often."""
    renewal_worth: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A sign of life is recorded as a renewal if it moves the expiry by this part of the term."""
    handoff_valid_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400.0
    branch_template: str | None = None
    """Names the branch in a hand-off, with `{task_id}`, `{agent_id}` and `{attempt}`; None: no branch."""
    rearm_max_s: Annotated[float, Field(ge=0, le=86_400)] = 3600.0
    """The longest floor that an outage sets; see the decision record on re-arming."""
    rearm_jitter_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """The most that a lease waits on top of the floor."""
