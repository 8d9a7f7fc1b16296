"""The events of a task; the table in the wire contract is their specification.

Every event about a held task carries the lease's `token`. `lease_s` and `grace_s` are seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from domain.events.base import Entity, Event
from domain.policies.lease import LeasePolicy, interned
from domain.policies.retry import RetryPolicy
from domain.timestamps import Timestamp
from domain.values import Budgets, OnSilence, OnStall, Priority

Directive = Literal["continue", "stop", "hand_over"]
"""What a holder is asked to do with its task."""
StuckCause = Literal["staleness", "expiry"]
"""Why a task counts as stuck: its holder's last beat is too old, or its lease ran out."""


class EarlierWork(BaseModel):
    """The last checkpoint before a lease that left none, with what was reported with it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: int | None
    """The lease that it was reported under."""
    agent_id: str | None
    """Who reported it."""
    progress: int
    """Percent, when it was reported."""
    note: str | None = None
    """The last note of that lease."""
    checkpoint: Any
    """The checkpoint."""


class Handoff(BaseModel):
    """What the next holder is told about the attempt before: one lease's progress, note and checkpoint together."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    recovered_at: Timestamp
    from_agent: str | None
    progress: int
    """Percent."""
    minutes_spent: float
    reason: str
    branch: str | None = None
    question: str | None = None
    """What the task was blocked with, if it was."""
    answer: str | None = None
    """What it was unblocked with."""
    last_note: str | None = None
    last_checkpoint: Any = None
    instructions: str
    """All of this in words, as it was when it was recorded; replies make them anew of the other fields."""
    valid_until: Timestamp
    """After this, instructions and branch are no longer shown."""
    token: int | None = None
    """The lease that it is about."""
    reported_by: str | None = None
    """Whose progress, note and checkpoint these are: an earlier holder's, if `from_agent` reported nothing."""
    reported_token: int | None = None
    """The lease that they were reported under; absent if there was no report."""
    earlier: EarlierWork | None = None
    """The checkpoint of an earlier holder, if the reports above left none."""


class Cause(StrEnum):
    """Why a task was requeued or quarantined."""

    EXPIRY = "expiry"
    RELEASE = "release"
    FAILURE = "failure"
    REVOKE = "revoke"
    STALL = "stall"
    UNBLOCK = "unblock"
    OPERATOR = "operator"


class TaskEvent(Event):
    """An event about a task."""

    entity: ClassVar[Entity] = Entity.TASK


class Submitted(TaskEvent):
    """A task was submitted. Holds its definition, with all defaults resolved; only `updated` changes it."""

    name: ClassVar[str] = "submitted"

    request_digest: str
    """SHA-256 of the normalised request: tells a repeated submit from one that redefines the task."""
    title: str = ""
    payload: Any = None
    priority: Priority = Priority.MEDIUM
    labels: tuple[str, ...] = ()
    required_capabilities: tuple[str, ...] = ()
    estimated_hours: float | None = None
    deadline: Timestamp | None = None
    lease: LeasePolicy
    on_silence: OnSilence = OnSilence.REQUEUE
    budgets: Budgets = Budgets()
    stall_s: float | None = None
    """Seconds without a change of percent or checkpoint after which it is stalled while held; absent: never."""
    on_stall: OnStall = OnStall.FLAG
    """What becomes of it then: it is flagged, or taken from its holder and queued again."""
    retry_of: str | None = None
    """The failed or cancelled task that this one tries again."""
    not_before: Timestamp | None = None
    """The task is granted to no agent before this moment."""
    retry: RetryPolicy | None = None
    """How long the task waits after a failure; absent in older logs: as in the pool's settings at the time."""

    @field_validator("lease")
    @classmethod
    def _intern_the_policy(cls, policy: LeasePolicy) -> LeasePolicy:
        return interned(policy)


class HeldEvent(TaskEvent):
    """An event about a task while an agent holds it."""

    token: int


class Leased(HeldEvent):
    """An agent was granted the task; `token` is this event's own position."""

    name: ClassVar[str] = "leased"

    agent_id: str
    attempt: int
    lease_s: float
    grace_s: float
    expires_at: Timestamp
    asked_at: Timestamp | None = None
    """When the claim was sent, if it waited; null for any other, and for a task that was assigned."""


class Started(HeldEvent):
    """The holder said that it began to work. A first report, or a completion without one, says it as well."""

    name: ClassVar[str] = "started"


class Progressed(HeldEvent):
    """The holder reported progress; the lease was renewed on the terms that follow from the report.

    The first one starts the task, if no `started` did. Logs of earlier versions have a `started` before it.
    """

    name: ClassVar[str] = "progressed"

    percent: int
    message: str | None = None
    checkpoint: Any = None
    reports: int
    """Reports on this lease, this one included."""
    lease_s: float
    grace_s: float
    expires_at: Timestamp
    directive: Directive = "continue"


class Renewed(HeldEvent):
    """Another command of the holder renewed the lease: that moved its expiry by `renewal_worth`, or shows it is heard.

    It may move the expiry by less, or not at all, before the holder would be called stuck, or the task stalled.
    """

    name: ClassVar[str] = "renewed"

    lease_s: float
    grace_s: float
    expires_at: Timestamp


class Silenced(HeldEvent):
    """The holder announced a silence; until its end, the holder counts as heard."""

    name: ClassVar[str] = "silenced"

    for_s: float
    until: Timestamp
    reason: str
    grace_s: float
    expires_at: Timestamp


class Extended(HeldEvent):
    """A silent lease was extended on a probe's evidence."""

    name: ClassVar[str] = "extended"

    probe: str
    for_s: float
    extensions: int
    """Extensions of this lease, this one included."""
    evidence: tuple[str, ...] = ()
    previous_expires_at: Timestamp
    grace_s: float
    expires_at: Timestamp


class Escalated(HeldEvent):
    """The lease has had `max_renewals` reports; written once. No alarm: a worker that reports often is well."""

    name: ClassVar[str] = "escalated"

    renewals: int
    max_renewals: int


class Stalled(HeldEvent):
    """The holder is heard, and neither percent nor checkpoint changed for `stall_s`; once until one does.

    With `on_stall: requeue`, `revoked` and what follows are in the same append.
    """

    name: ClassVar[str] = "stalled"

    agent_id: str
    """Who holds it."""
    percent: int
    """What was reported last."""
    reports: int
    """Reports on the lease."""
    advanced_at: Timestamp
    """When percent or checkpoint changed last, else when the work began."""
    stall_s: float
    """The limit, in seconds."""


class Stolen(HeldEvent):
    """The task moved to another agent before it was started; `token` is this event's own position."""

    name: ClassVar[str] = "stolen"

    previous_token: int
    operation_id: str
    from_agent: str
    agent_id: str
    attempt: int
    lease_s: float
    grace_s: float
    expires_at: Timestamp


Grant = Leased | Stolen
"""The events that grant a lease; `stolen` ends the one before."""


class Released(HeldEvent):
    """The holder returned the task to the queue."""

    name: ClassVar[str] = "released"

    reason: str | None = None
    checkpoint: Any = None


class Revoked(HeldEvent):
    """The task was taken from its holder: by an operator, at the end of a drain, or because it was stalled."""

    name: ClassVar[str] = "revoked"

    cause: Cause = Cause.REVOKE
    """`revoke`, or `stall` with `on_stall: requeue`."""
    agent_id: str | None = None
    """The holder it was taken from."""
    reason: str | None = None


class SilenceNumbers(BaseModel):
    """The numbers by which a silent holder was judged."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    expires_at: Timestamp
    grace_s: float
    due_at: Timestamp
    """When the lease was due for recovery: expiry and grace, or the pool's floor after an outage."""
    last_beat_at: Timestamp | None
    silence_s: float
    """Since the last report or recorded renewal, else since the grant."""
    reports: int
    median_interval_s: float | None
    silence_multiplier: float
    tolerated_silence_s: float
    not_before: Timestamp | None = None
    hard_cap: bool = False
    """The lease had reached its `max_lease_s`, so the report interval did not count."""


class Expired(HeldEvent):
    """The lease was judged and ended; the same append says what follows."""

    name: ClassVar[str] = "expired"

    agent_id: str
    numbers: SilenceNumbers


class StuckNumbers(SilenceNumbers):
    """The numbers by which a task was judged stuck."""

    stuck_threshold_s: float | None = None
    """Set when the beat was older than this; absent when the lease ran out on a task that asks for `stuck`."""


class Stuck(HeldEvent):
    """The holder is silent and keeps the task for now.

    With `on_silence: requeue` this is an early warning: the lease's clock runs on, and `expired` may follow. With
    `stuck` the clock is stopped until the holder is heard or an operator decides.
    """

    name: ClassVar[str] = "stuck"

    agent_id: str
    cause: StuckCause
    clock_runs: bool = False
    """Whether the lease's clock runs on, so that `expired` may follow; older logs, where it never did, lack this."""
    numbers: StuckNumbers


class Recovered(HeldEvent):
    """The holder of a stuck task was heard again; its lease runs anew."""

    name: ClassVar[str] = "recovered"

    lease_s: float
    grace_s: float
    expires_at: Timestamp


class Blocked(TaskEvent):
    """The task was set aside by its holder or an operator, until an operator unblocks it."""

    name: ClassVar[str] = "blocked"

    token: int | None = None
    """Of the lease that it ended; absent if the task was not held."""
    agent_id: str | None = None
    """The holder, if it was held."""
    reason: str
    question: str | None = None
    """What has to be answered before the task can go on; the next hand-off carries it."""


class Unblocked(TaskEvent):
    """An operator removed the obstacle; `requeued` follows in the same append."""

    name: ClassVar[str] = "unblocked"

    reason: str | None = None
    answer: str | None = None
    """The answer to the question that the task was blocked with; the next hand-off carries it."""


class Quarantined(TaskEvent):
    """A budget of the task is used up; it waits for an operator."""

    name: ClassVar[str] = "quarantined"

    token: int | None = None
    agent_id: str | None = None
    """The holder that failed, if it was held."""
    cause: Cause
    reason: str
    error: str | None = None
    handoff: Handoff | None = None


class Requeued(TaskEvent):
    """The task is queued for the next attempt, with a hand-off for the next holder."""

    name: ClassVar[str] = "requeued"

    token: int | None = None
    agent_id: str | None = None
    """The holder that failed, if it was held."""
    cause: Cause
    attempt: int
    budgets_anew: bool = False
    """Whether every budget begins anew, for an operator brought it back from quarantine."""
    reason: str | None = None
    error: str | None = None
    handoff: Handoff | None = None
    not_before: Timestamp | None = None
    """The task is granted to no agent before this moment; absent: it does not wait."""
    others_until: Timestamp | None = None
    """Until this moment other agents are preferred to the one whose task stalled; absent: it did not."""


class Completed(TaskEvent):
    """The task is done, as its holder or an operator says. A late completion names the expired lease's token."""

    name: ClassVar[str] = "completed"

    token: int | None = None
    """Of the lease that it ended; absent if an operator completed a task that was not held."""
    agent_id: str | None = None
    """The holder, if it was held."""
    result: Any = None
    late: bool = False
    duration_s: float | None = None
    """Since the grant of the lease that it ended."""


class FailedNumbers(BaseModel):
    """The numbers by which the sweeper failed a task."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deadline: Timestamp
    overdue_s: float
    last_beat_at: Timestamp | None = None


class Failed(TaskEvent):
    """The task ended without success."""

    name: ClassVar[str] = "failed"

    token: int | None = None
    agent_id: str | None = None
    """The holder, if it was held."""
    error: str
    retryable: bool = False
    failures: int = 0
    """Failures reported by holders and operators so far, this one included."""
    numbers: FailedNumbers | None = None


class Cancelled(TaskEvent):
    """An operator cancelled the task."""

    name: ClassVar[str] = "cancelled"

    token: int | None = None
    agent_id: str | None = None
    """The holder, if it was held."""
    reason: str | None = None


class LateProgress(TaskEvent):
    """A report or completion of a former holder after it lost the lease: kept as evidence, changes no status."""

    name: ClassVar[str] = "late_progress"

    token: int
    agent_id: str
    kind: Literal["progress", "completion"]
    percent: int | None = None
    message: str | None = None
    checkpoint: Any = None
    result: Any = None


class Noted(TaskEvent):
    """An operator or a service recorded a note on the task, which may have ended; changes no status."""

    name: ClassVar[str] = "noted"

    kind: str
    """What kind of note it is, such as `review`; `retried` if the task was submitted again."""
    note: str | None = None
    """A text for people."""
    data: Any = None
    """Any JSON of at most 16 KiB."""
    retried_as: str | None = None
    """The task that tries this one again."""


class Updated(TaskEvent):
    """An operator changed the definition of a task that has not ended; fields that are null stay as they were."""

    name: ClassVar[str] = "updated"

    priority: Priority | None = None
    title: str | None = None
    labels: tuple[str, ...] | None = None
    deadline: Timestamp | None = None
    no_deadline: bool = False
    """Whether its deadline was taken away."""
    not_before: Timestamp | None = None
    """Until when the queued task is granted to no agent; one that has passed if it waits no longer."""


OUTSIDE_LIFECYCLE = frozenset({LateProgress, Noted})
"""Events outside the task's lifecycle: they change no status, and may come after the task has ended."""
