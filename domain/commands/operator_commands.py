"""The commands of operators and services: people, boards and programs that give work and intervene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from domain import limits
from domain.commands.command import Blocking, Completing, Failing, LoadReport, OpsCommand, require_one_at_most
from domain.commands.submit import Submit, SubmitMany
from domain.json_values import Label, Labels, Name, Note, Reason, SmallJsonDocument, TaskId, UtcDatetime, check_text
from domain.statuses import REQUEUEABLE, TaskStatus
from domain.values import Priority

if TYPE_CHECKING:
    from domain.task import Task


class OpsOnTask(OpsCommand):
    """An operator's command on one task."""

    task_id: TaskId
    """The task."""


class Assign(OpsOnTask):
    """Grant a queued task to an agent: the named one, else the best by score."""

    verb: ClassVar[str] = "assign"

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
    task_id: Annotated[TaskId | None, Field(validate_default=True)] = None
    """The task; absent: all that fit the filter."""
    reason: Reason | None = None
    """Why, for the record."""

    @property
    def filters(self) -> bool:
        """Whether it is about all tasks that fit the filter."""
        return self.task_id is None

    def fits(self, task: Task) -> bool:
        """Return whether a task that has not ended fits the filter."""
        return not task.terminal and task.fits(self.status, self.priority, self.label)

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
        return task.status in REQUEUEABLE and super().fits(task)


class Unblock(OpsOnTask):
    """Return a blocked task to the queue."""

    verb: ClassVar[str] = "unblock"

    reason: Reason | None = None
    """Why, for the record."""
    answer: Note | None = None
    """The answer to the question that the task was blocked with; the next hand-off carries both."""


class OpsComplete(Completing, OpsOnTask):
    """Complete a task that was done elsewhere, in any status that is not final."""

    verb: ClassVar[str] = "complete"


class OpsFail(Failing, OpsOnTask):
    """Say that a task failed elsewhere, in any status that is not final."""

    verb: ClassVar[str] = "fail"


class OpsBlock(Blocking, OpsOnTask):
    """Set a task aside until it is unblocked, in any status that is not final."""

    verb: ClassVar[str] = "block"


class Revoke(OpsOnTask):
    """Take a task from its holder."""

    verb: ClassVar[str] = "revoke"

    reason: Reason | None = None
    """Why, for the record."""


class Update(OpsOnTask):
    """Change what a task that has not ended is; what is left out stays as it is."""

    verb: ClassVar[str] = "update"

    priority: Annotated[Priority, Field(strict=False)] | None = None
    """Order in the backlog; `urgent` means `critical`."""
    title: Annotated[str, Field(max_length=limits.MAX_TITLE_CHARS), AfterValidator(check_text)] | None = None
    """One line for people."""
    labels: Labels | None = None
    """Free labels, instead of those before."""
    deadline: UtcDatetime | None = None
    """Moment (RFC 3339) after which the task fails, whatever its status."""
    deadline_s: Annotated[float, Field(ge=0, le=limits.MAX_DEADLINE_S)] | None = None
    """The same, as a length of time from now, in seconds."""
    no_deadline: bool = False
    """Take its deadline away."""
    not_before: UtcDatetime | None = None
    """Moment (RFC 3339) before which a queued task is granted to no agent, instead of the one before."""
    delay_s: Annotated[float, Field(ge=0, le=limits.MAX_DELAY_S)] | None = None
    """The same, as a length of time from now, in seconds; 0: it waits no longer."""

    @model_validator(mode="after")
    def _one_moment_each(self) -> Self:
        require_one_at_most(self, "deadline", "deadline_s")
        require_one_at_most(self, "not_before", "delay_s")
        if self.no_deadline and (self.deadline is not None or self.deadline_s is not None):
            msg = "no_deadline excludes deadline and deadline_s"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        changeable = ("priority", "title", "labels", "deadline", "deadline_s", "not_before", "delay_s", "no_deadline")
        if not self.no_deadline and all(getattr(self, name) is None for name in changeable[:-1]):
            msg = f"name at least one of {', '.join(changeable[:-1])} and {changeable[-1]}"
            raise ValueError(msg)
        return self


class Retry(OpsCommand):
    """Submit a failed or cancelled task again: a new task with the same definition."""

    verb: ClassVar[str] = "retry"

    task_id: TaskId
    """The task that failed or was cancelled."""
    new_id: TaskId | None = None
    """Name of the new task; absent: `<task_id>-r<n>`, with the first number that is free."""
    reason: Reason | None = None
    """Why, for the record."""

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names that the new task may get."""
        if self.new_id is not None:
            return (self.new_id,)
        return tuple(f"{self.task_id}-r{number}" for number in range(1, limits.MAX_RETRIES_NAMED + 1))


class Annotate(OpsCommand):
    """Note something beside a task or an agent, whatever its status."""

    verb: ClassVar[str] = "annotate"

    kind: Name
    """What kind of note it is, such as `review`."""
    task_id: TaskId | None = None
    """The task."""
    agent_id: Name | None = None
    """The agent, if it is about no task."""
    note: Note | None = None
    """A text for people."""
    data: SmallJsonDocument = None
    """Any JSON of at most 16 KiB."""

    @model_validator(mode="after")
    def _names_one_entity(self) -> Self:
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
    """How long they were not heard, by the record, in seconds."""
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
    task_ids: Annotated[list[TaskId], Field(min_length=1, max_length=limits.MAX_STEAL_TASKS)] | None = None
    """The tasks to move; each must be assigned and not started."""
    count: Annotated[int, Field(ge=1, le=limits.MAX_STEAL_TASKS)] | None = None
    """How many to move, the latest assigned first; absent: half the difference, from 1 to `steal_max_batch`."""
    reason: Reason | None = None
    """Why, for the record."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require_one_at_most(self, "task_ids", "count")
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
    """When the agent is no longer asked, in seconds from now: what it still holds is taken from it."""

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


class ReportLoad(OpsCommand):
    """Report how busy an agent's machine is; no sign of life of the agent."""

    verb: ClassVar[str] = "load"

    agent_id: Name
    """The agent."""
    load: LoadReport
    """How busy the agent's machine is."""


OPS_COMMANDS: dict[str, type[OpsCommand]] = {
    cls.verb: cls
    for cls in (
        Submit, SubmitMany, Assign, Cancel, Requeue, Unblock, Revoke, OpsComplete, OpsFail, OpsBlock, Update, Retry,
        Annotate, StealTasks, Drain, Pause, Resume, ReportLoad, OpsDeregister, Forget,
    )
}  # fmt: skip
