"""The commands of callers: the request bodies of the wire contract, checked field by field.

Unknown fields are refused, so that a misspelt one is never silently ignored; types are strict. The field names and
limits are the contract's. The agent and the pool are named by the subject, not by the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from domain import limits
from domain.json_values import (
    Capabilities,
    JsonDocument,
    Label,
    Labels,
    Name,
    Note,
    Reason,
    Session,
    SmallJsonDocument,
    UtcDatetime,
    check_text,
)
from domain.policies.lease import LeaseMode, LeasePolicy
from domain.policies.retry import RetryPolicy, retry_field_mismatch
from domain.statuses import TaskStatus
from domain.values import OnSilence, OnStall, Priority

if TYPE_CHECKING:
    from domain.task import Task

Token = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Command(BaseModel):
    """A request body."""

    # A client builds the one model that it needs; the service builds all of them before it serves.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        defer_build=True,
    )

    verb: ClassVar[str]
    command_id: Annotated[str, Field(min_length=1, max_length=limits.MAX_COMMAND_ID_CHARS)] | None = None
    """Makes the command idempotent: the same id again is answered with the first outcome."""

    @field_validator("command_id")
    @classmethod
    def _command_id_is_text(cls, value: str | None) -> str | None:
        return None if value is None else check_text(value)


class OpsCommand(Command):
    """Sent by an operator or a service."""


class AgentCommand(Command):
    """Sent by an agent, which the subject names."""

    session: Session | None = None
    """The life of the agent that sends it: what its process registered with; of an earlier life it is refused."""


class OnTask(AgentCommand):
    """A holder's command on one task."""

    task_id: Name
    """The task."""
    token: Token
    """The lease's fencing token."""


class BudgetsRequest(BaseModel):
    """How often an attempt may end unfinished, by cause."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    failures: Annotated[int, Field(ge=1, le=limits.MAX_BUDGET)] = 3
    """The n-th retryable failure fails the task."""
    expiries: Annotated[int, Field(ge=1, le=limits.MAX_BUDGET)] = 3
    """The n-th expiry in a row without a report between quarantines it."""
    steals: Annotated[int, Field(ge=0, le=limits.MAX_BUDGET)] = 3
    """After n steals it is not stolen again."""
    attempts: Annotated[int, Field(ge=1, le=limits.MAX_BUDGET)] = 10
    """The n-th attempt is the last; those that a release or a steal ended do not count."""
    releases: Annotated[int, Field(ge=1, le=limits.MAX_BUDGET)] = 10
    """The n-th release by a holder quarantines it."""


_MODE_FIELDS = {
    "lease_s": {LeaseMode.FIXED},
    "grace_s": {LeaseMode.FIXED, LeaseMode.ESTIMATED},
    "default_hours": {LeaseMode.ESTIMATED},
    "min_hours": {LeaseMode.ESTIMATED},
    "max_hours": {LeaseMode.ESTIMATED},
    "renewal_decay": {LeaseMode.ESTIMATED},
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


class Submit(OpsCommand):
    """Put a task into the pool."""

    verb: ClassVar[str] = "submit"

    task_id: Name | None = None
    """Name of the task; absent: a new one is made."""
    title: Annotated[str, Field(max_length=limits.MAX_TITLE_CHARS)] = ""
    """One line for people."""
    payload: JsonDocument = None
    """Input for the holder: any JSON of at most 64 KiB."""
    priority: Annotated[Priority, Field(strict=False)] = Priority.MEDIUM
    """Order in the backlog; `urgent` means `critical`."""
    labels: Labels = []
    """Free labels; some set the length of estimated leases."""
    required_capabilities: Capabilities = []
    """Capabilities that an agent needs to be granted the task."""
    estimated_hours: Annotated[float, Field(gt=0, le=limits.MAX_ESTIMATED_HOURS)] | None = None
    """Expected work, for leases of the mode `estimated`."""
    deadline: UtcDatetime | None = None
    """Moment (RFC 3339) after which the task fails, whatever its status; one that has passed is refused."""
    deadline_s: Annotated[float, Field(ge=0, le=limits.MAX_DEADLINE_S)] | None = None
    """The same, in seconds from now; absent: the pool's default, if it has one."""
    lease: LeasePolicy | None = None
    """Lease policy of this task; absent fields are as in the pool's policy."""
    on_silence: Annotated[OnSilence, Field(strict=False)] = OnSilence.REQUEUE
    """What happens to the task when its holder falls silent."""
    budgets: BudgetsRequest = BudgetsRequest()
    """How often attempts may end unfinished, by cause."""
    stall_s: Annotated[float, Field(ge=0, le=limits.MAX_STALL_S)] | None = None
    """Seconds without a change of percent or checkpoint after which it is stalled, though its holder is heard; 0:
    never; absent: the pool's default, 1,800 in lease mode `adaptive` and never in the others."""
    on_stall: Annotated[OnStall, Field(strict=False)] | None = None
    """What happens to a stalled task: it is flagged, or taken from its holder and queued again; absent: the pool's
    default, `flag`."""
    not_before: UtcDatetime | None = None
    """Moment (RFC 3339) before which the task is granted to no agent."""
    delay_s: Annotated[float, Field(ge=0, le=limits.MAX_DELAY_S)] | None = None
    """The same, in seconds from now."""
    retry: RetryPolicy | None = None
    """How long the task waits after a failure; absent fields are as in the pool's settings."""

    @field_validator("title")
    @classmethod
    def _title_is_text(cls, value: str) -> str:
        return check_text(value)

    @field_validator("lease")
    @classmethod
    def _fields_fit_the_mode(cls, value: LeasePolicy | None) -> LeasePolicy | None:
        if value is not None and "mode" in value.model_fields_set:
            misfit = lease_field_mismatch(value, value.mode)
            if misfit is not None:
                raise ValueError(misfit)
        return value

    @field_validator("retry")
    @classmethod
    def _delays_fit(cls, value: RetryPolicy | None) -> RetryPolicy | None:
        misfit = None if value is None else retry_field_mismatch(value)
        if misfit is not None:
            raise ValueError(misfit)
        return value

    @model_validator(mode="after")
    def _one_deadline(self) -> Self:
        if self.deadline is not None and self.deadline_s is not None:
            msg = "deadline and deadline_s exclude each other"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_delay(self) -> Self:
        if self.not_before is not None and self.delay_s is not None:
            msg = "not_before and delay_s exclude each other"
            raise ValueError(msg)
        return self


class OpsOnTask(OpsCommand):
    """An operator's command on one task."""

    task_id: Name
    """The task."""
    reason: Reason | None = None
    """Why, for the record."""


class Assign(OpsCommand):
    """Grant a queued task to an agent: the named one, else the best by score."""

    verb: ClassVar[str] = "assign"

    task_id: Name
    """The task."""
    agent_id: Name | None = None
    """The agent; absent: the best one by score."""


class ByFilter(OpsCommand):
    """An operator's command on one task, or on all that fit a filter."""

    label: Label | None = None
    """Only tasks with this label."""
    status: Annotated[TaskStatus, Field(strict=False)] | None = None
    """Only tasks in this status."""
    priority: Annotated[Priority, Field(strict=False)] | None = None
    """Only tasks of this priority."""
    dry_run: bool = False
    """Say which tasks fit, and change nothing."""
    # Behind the filter, so that its check can see that.
    task_id: Annotated[Name | None, Field(validate_default=True)] = None
    """The task; absent: all that fit the filter."""
    reason: Reason | None = None
    """Why, for the record."""

    @property
    def filters(self) -> bool:
        """Whether it is about all tasks that fit the filter."""
        return self.task_id is None

    def fits(self, task: Task) -> bool:
        """Return whether a task that has not ended fits the filter."""
        definition = task.definition
        return (
            not task.terminal
            and (self.status is None or task.status is self.status)
            and (self.priority is None or definition.priority is self.priority)
            and (self.label is None or self.label in definition.labels)
        )

    @field_validator("task_id")
    @classmethod
    def _task_or_filter(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and all(info.data.get(name) is None for name in ("label", "status", "priority")):
            msg = "is needed, or at least one of label, status and priority"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _task_excludes_filter(self) -> Self:
        filtered = (self.label, self.status, self.priority) != (None,) * 3
        if self.task_id is not None and (filtered or self.dry_run):
            msg = "task_id excludes label, status, priority and dry_run"
            raise ValueError(msg)
        return self


class Cancel(ByFilter):
    """Cancel a task in any status that is not final, or all that fit a filter."""

    verb: ClassVar[str] = "cancel"


class Requeue(ByFilter):
    """Return a quarantined or stuck task to the queue, or all such tasks that fit a filter."""

    verb: ClassVar[str] = "requeue"

    def fits(self, task: Task) -> bool:
        """Return whether a task that can be brought back fits the filter."""
        return task.status in {TaskStatus.QUARANTINED, TaskStatus.STUCK} and super().fits(task)


class Unblock(OpsOnTask):
    """Return a blocked task to the queue."""

    verb: ClassVar[str] = "unblock"

    answer: Note | None = None
    """The answer to the question that the task was blocked with; the next hand-off carries both."""


class OpsComplete(OpsCommand):
    """Complete a task that was done elsewhere, in any status that is not final."""

    verb: ClassVar[str] = "complete"

    task_id: Name
    """The task."""
    result: JsonDocument = None
    """The result: any JSON of at most 64 KiB."""


class OpsFail(OpsCommand):
    """Say that a task failed elsewhere, in any status that is not final."""

    verb: ClassVar[str] = "fail"

    task_id: Name
    """The task."""
    error: Note
    """What went wrong."""
    retryable: bool = True
    """Whether another attempt may succeed."""


class OpsBlock(OpsCommand):
    """Set a task aside until it is unblocked, in any status that is not final."""

    verb: ClassVar[str] = "block"

    task_id: Name
    """The task."""
    reason: Reason
    """Why."""
    question: Note | None = None
    """What has to be answered before it can go on; the next hand-off carries it."""


class Revoke(OpsOnTask):
    """Take a task from its holder."""

    verb: ClassVar[str] = "revoke"


class Update(OpsCommand):
    """Change what a task that has not ended is; what is left out stays as it is."""

    verb: ClassVar[str] = "update"

    task_id: Name
    """The task."""
    priority: Annotated[Priority, Field(strict=False)] | None = None
    """Order in the backlog; `urgent` means `critical`."""
    title: Annotated[str, Field(max_length=limits.MAX_TITLE_CHARS), AfterValidator(check_text)] | None = None
    """One line for people."""
    labels: Labels | None = None
    """Free labels, instead of those before."""
    deadline: UtcDatetime | None = None
    """Moment (RFC 3339) after which the task fails, whatever its status."""
    deadline_s: Annotated[float, Field(ge=0, le=limits.MAX_DEADLINE_S)] | None = None
    """The same, in seconds from now."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.deadline is not None and self.deadline_s is not None:
            msg = "deadline and deadline_s exclude each other"
            raise ValueError(msg)
        if (self.priority, self.title, self.labels, self.deadline, self.deadline_s) == (None,) * 5:
            msg = "name at least one of priority, title, labels, deadline and deadline_s"
            raise ValueError(msg)
        return self


class Retry(OpsCommand):
    """Submit a failed or cancelled task again: a new task with the same definition."""

    verb: ClassVar[str] = "retry"

    task_id: Name
    """The task that failed or was cancelled."""
    new_id: Name | None = None
    """Name of the new task; absent: `<task_id>-r<n>`, with the first number that is free."""
    reason: Reason | None = None
    """Why, for the record."""

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names that the new task may get."""
        if self.new_id is not None:
            return (self.new_id,)
        return tuple(f"{self.task_id}-r{number}" for number in range(1, limits.MAX_RETRIES_NAMED + 1))


class SubmitMany(OpsCommand):
    """Put many tasks into the pool, all of them or none."""

    verb: ClassVar[str] = "submit_many"

    tasks: Annotated[list[Submit], Field(min_length=1, max_length=limits.MAX_SUBMIT_TASKS)]
    """The tasks, each with the fields of `submit`."""

    @field_validator("tasks")
    @classmethod
    def _one_command_id(cls, value: list[Submit]) -> list[Submit]:
        if any(each.command_id is not None for each in value):
            msg = "command_id belongs to the command, not to a task"
            raise ValueError(msg)
        return value


class Annotate(OpsCommand):
    """Note something beside a task or an agent, whatever its status."""

    verb: ClassVar[str] = "annotate"

    kind: Name
    """What kind of note it is, such as `review`."""
    task_id: Name | None = None
    """The task."""
    agent_id: Name | None = None
    """The agent, if it is about no task."""
    note: Note | None = None
    """A text for people."""
    data: SmallJsonDocument = None
    """Any JSON of at most 16 KiB."""

    @model_validator(mode="after")
    def _beside_one_thing(self) -> Self:
        if (self.task_id is None) == (self.agent_id is None):
            msg = "name either task_id or agent_id"
            raise ValueError(msg)
        return self


class OpsDeregister(OpsCommand):
    """Take an agent out of the pool; what it holds is taken from it."""

    verb: ClassVar[str] = "deregister"

    agent_id: Name
    """The agent."""
    reason: Reason | None = None
    """Why, for the record."""


class Forget(OpsCommand):
    """Deregister lost agents that hold nothing, so that they leave the views."""

    verb: ClassVar[str] = "forget"

    older_than_s: Annotated[float, Field(ge=0, le=limits.MAX_DEADLINE_S)]
    """Seconds since they were last heard, by the record."""
    reason: Reason | None = None
    """Why, for the record."""


class StealTasks(OpsCommand):
    """Move assigned tasks from one agent to another: the named ones, or a number of them."""

    verb: ClassVar[str] = "steal"

    model_config = ConfigDict(validate_by_name=False, validate_by_alias=True, serialize_by_alias=True)

    from_agent: Annotated[Name, Field(alias="from")]
    """The agent to steal from."""
    to_agent: Annotated[Name, Field(alias="to")]
    """The agent that receives the tasks."""
    task_ids: Annotated[list[Name], Field(min_length=1, max_length=limits.MAX_STEAL_TASKS)] | None = None
    """The tasks to move; each must be assigned and not started."""
    count: Annotated[int, Field(ge=1, le=limits.MAX_STEAL_TASKS)] | None = None
    """How many to move, the latest assigned first; absent: as many as the stealer would move, at least one."""
    reason: Reason | None = None
    """Why, for the record."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.task_ids is not None and self.count is not None:
            msg = "task_ids and count exclude each other"
            raise ValueError(msg)
        if self.from_agent == self.to_agent:
            msg = "from and to must differ"
            raise ValueError(msg)
        return self


class IntakeCommand(OpsCommand):
    """An operator's command on the intake of an agent, or of the pool when none is named."""

    agent_id: Name | None = None
    """The agent; absent: the whole pool."""
    reason: Reason | None = None
    """Why, for the record."""


class Drain(IntakeCommand):
    """No new grants; an agent is asked to hand over what it holds."""

    verb: ClassVar[str] = "drain"

    deadline_s: Annotated[float, Field(ge=0, le=limits.MAX_DEADLINE_S)] | None = None
    """Seconds after which the agent is no longer asked: what it still holds is taken from it."""

    @model_validator(mode="after")
    def _deadline_of_an_agent(self) -> Self:
        if self.deadline_s is not None and self.agent_id is None:
            msg = "deadline_s goes with agent_id"
            raise ValueError(msg)
        return self


class Pause(IntakeCommand):
    """No new grants."""

    verb: ClassVar[str] = "pause"


class Resume(IntakeCommand):
    """Allow new grants again."""

    verb: ClassVar[str] = "resume"


class Register(AgentCommand):
    """Join the pool, or update what the pool knows of the agent."""

    verb: ClassVar[str] = "register"

    session: Session | None = None
    """Chosen anew by each process. Another one than the current begins a new life of the agent."""

    capabilities: Capabilities = []
    """What the agent can do."""
    priority: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Preference as the target of steals."""
    capacity: Annotated[int, Field(ge=1, le=limits.MAX_CAPACITY)] = 1
    """How many leases it may hold at once."""
    labels: Labels = []
    """Free labels."""


class LoadReport(BaseModel):
    """Percent of the agent's machine in use."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    cpu: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Percent of the processors."""
    memory: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Percent of the memory."""


class VouchedTask(BaseModel):
    """A task that an agent vouches for: it works on it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task_id: Name
    """The task."""
    token: Token
    """The lease's fencing token."""


class Heartbeat(AgentCommand):
    """A sign of life for everything the agent holds, or for the tasks that it vouches for."""

    verb: ClassVar[str] = "heartbeat"

    load: LoadReport | None = None
    """How busy the agent's machine is."""
    tasks: Annotated[list[VouchedTask], Field(max_length=limits.MAX_CAPACITY)] | None = None
    """The tasks that the agent vouches for: only their leases are renewed; absent: all that it holds."""
    alive: bool = True
    """Whether this is a sign of life; if not, it reports the load alone and renews nothing."""

    @model_validator(mode="after")
    def _only_the_living_vouch(self) -> Self:
        if self.tasks is not None and not self.alive:
            msg = "tasks are vouched for by a sign of life; leave them out with alive: false"
            raise ValueError(msg)
        return self


class Claim(AgentCommand):
    """Ask for tasks."""

    verb: ClassVar[str] = "claim"

    max: Annotated[int, Field(ge=1, le=limits.MAX_CLAIM)] = 1
    """The largest number of leases to grant."""
    wait_s: Annotated[float, Field(ge=0, le=limits.MAX_CLAIM_WAIT_S)] = 0.0
    """Seconds to wait for a task if there is none."""


class ReadLease(OnTask):
    """Read a held lease again: after a steal, an assignment or a lost reply."""

    verb: ClassVar[str] = "lease"


class Start(OnTask):
    """Report that work on the task begins."""

    verb: ClassVar[str] = "start"


class Progress(OnTask):
    """Report progress, which renews the lease."""

    verb: ClassVar[str] = "progress"

    percent: Annotated[int, Field(ge=0, le=100)]
    """Progress in percent; it may be lower than before."""
    message: Note | None = None
    """A note for people and for the next holder."""
    checkpoint: JsonDocument = None
    """Where to continue: any JSON of at most 64 KiB, handed to the next holder."""


class Silence(OnTask):
    """Announce a silence."""

    verb: ClassVar[str] = "silence"

    for_s: Annotated[float, Field(gt=0, le=limits.MAX_SILENCE_S)]
    """Seconds of silence, at most an hour."""
    reason: Reason
    """Why."""


class Release(OnTask):
    """Return a task to the queue."""

    verb: ClassVar[str] = "release"

    checkpoint: JsonDocument = None
    """Where to continue: any JSON of at most 64 KiB, handed to the next holder."""
    reason: Reason | None = None
    """Why, for the record."""
    delay_s: Annotated[float, Field(ge=0, le=limits.MAX_DELAY_S)] = 0.0
    """Seconds for which the task is granted to no agent."""


class Block(OnTask):
    """Give up a task until an operator unblocks it."""

    verb: ClassVar[str] = "block"

    reason: Reason
    """Why."""
    question: Note | None = None
    """What has to be answered before it can go on; the next hand-off carries it."""


class Complete(OnTask):
    """Finish a task."""

    verb: ClassVar[str] = "complete"

    result: JsonDocument = None
    """The result: any JSON of at most 64 KiB."""


class Fail(OnTask):
    """Report that the attempt failed."""

    verb: ClassVar[str] = "fail"

    error: Note
    """What went wrong."""
    retryable: bool = True
    """Whether another attempt may succeed."""


class Deregister(AgentCommand):
    """Leave the pool and release everything held."""

    verb: ClassVar[str] = "deregister"


class ReportLoad(OpsCommand):
    """Report how busy an agent's machine is; no sign of life of the agent."""

    verb: ClassVar[str] = "load"

    agent_id: Name
    """The agent."""
    load: LoadReport
    """How busy the agent's machine is."""


AGENT_COMMANDS: dict[str, type[AgentCommand]] = {
    cls.verb: cls
    for cls in (
        Register, Heartbeat, Claim, ReadLease, Start, Progress, Silence, Release, Block, Complete, Fail, Deregister,
    )
}  # fmt: skip
OPS_COMMANDS: dict[str, type[OpsCommand]] = {
    cls.verb: cls
    for cls in (
        Submit, SubmitMany, Assign, Cancel, Requeue, Unblock, Revoke, OpsComplete, OpsFail, OpsBlock, Update, Retry,
        Annotate, StealTasks, Drain, Pause, Resume, ReportLoad, OpsDeregister, Forget,
    )
}  # fmt: skip


def is_sign_of_life(command: object) -> bool:
    """Return whether a command of an agent says that it lives, as all do but a report of the load alone."""
    return not isinstance(command, Heartbeat) or command.alive


def request_digest_source(command: Submit) -> dict[str, Any]:
    """Return what makes two submits the same request: the fields as sent, less the idempotency key."""
    return command.model_dump(mode="json", exclude_unset=True, exclude={"command_id"})
