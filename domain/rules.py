"""The settings that decisions depend on, as one value that is an argument of `decide`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from domain.limits import MAX_DEADLINE_S, MAX_STALL_S
from domain.policies.lease import LeasePolicy
from domain.policies.load_balancing import StealConfig
from domain.policies.retry import RetryPolicy
from domain.values import OnStall


class Rules(BaseModel):
    """A pool's rules. Durations are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease: LeasePolicy = LeasePolicy()
    """The lease policy of tasks that are submitted without one; `submitted` records it."""
    steal: StealConfig = StealConfig()
    retry: RetryPolicy = RetryPolicy()
    """How long failed tasks wait that were submitted without a policy; `submitted` records it."""
    priority_aging_s: Annotated[float, Field(ge=0, le=365 * 86_400)] = 0.0
    """A queued task counts as one priority more urgent for each such period that it has waited; 0: never."""
    sweeper_enabled: bool = True
    """Whether overdue and stale tasks are swept. Leases expire and are recovered either way."""
    stuck_threshold_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 600.0
    """A holder whose last beat is older than this is stuck; the lease's clock stops only with `on_silence: stuck`.
    Source: the stuck-task sweeper."""
    default_deadline_s: Annotated[float, Field(gt=0, le=MAX_DEADLINE_S)] | None = None
    """Seconds from the submission to the deadline of a task that is submitted without one; None: none."""
    warning_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """Leases with less than this left are listed as expiring soon."""
    stall_s: Annotated[float, Field(ge=0, le=MAX_STALL_S)] | None = None
    """A held task whose holder is heard is stalled after this long without a change of percent or checkpoint, unless
    the task says otherwise. 0: never; None: 1,800 in the adaptive mode, never in the others."""
    on_stall: OnStall = OnStall.FLAG
    """What becomes of a stalled task that does not say itself."""
    lost_after_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 600.0
    """An agent that sent no command for this long is lost."""
    heartbeat_record_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """A heartbeat that changes nothing is recorded at most this often."""
    load_valid_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """A load report older than this counts no more: the agent's cpu is taken as 0 from then on."""
    renewal_worth: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A sign of life is recorded as a renewal if it moves the expiry by at least this fraction of the term."""
    handoff_valid_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400.0
    branch_template: str | None = None
    """Names the branch in a hand-off, with `{task_id}`, `{agent_id}` and `{attempt}`; None: no branch."""
    rearm_max_s: Annotated[float, Field(ge=0, le=86_400)] = 3600.0
    """The longest floor that an outage sets; see the decision record on re-arming."""
    rearm_jitter_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """The most that a lease waits on top of the floor."""
