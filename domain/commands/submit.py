"""Submitting: what a task is."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from domain import limits
from domain.commands.command import OpsCommand, require_one_at_most
from domain.json_values import Capabilities, JsonDocument, Labels, TaskId, UtcDatetime, check_text
from domain.policies.lease import LeasePolicy
from domain.policies.lease_fields import lease_field_mismatch
from domain.policies.retry import RetryPolicy, retry_field_mismatch
from domain.values import Budgets, OnSilence, OnStall, Priority


class Submit(OpsCommand):
    """Put a task into the pool."""

    verb: ClassVar[str] = "submit"

    task_id: TaskId | None = None
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
    """The same, as a length of time from now, in seconds; absent: the pool's default, if it has one."""
    lease: LeasePolicy | None = None
    """Lease policy of this task; absent fields are as in the pool's policy."""
    on_silence: Annotated[OnSilence, Field(strict=False)] = OnSilence.REQUEUE
    """What happens to the task when its holder falls silent."""
    budgets: Budgets = Budgets()
    """How often attempts may end unfinished, by cause."""
    stall_s: Annotated[float, Field(ge=0, le=limits.MAX_STALL_S)] | None = None
    """How long percent and checkpoint may stay as they are, in seconds; then it is stalled, though its holder is heard;
    0: for ever; absent: the pool's default, 1,800 in lease mode `adaptive` and for ever in the others."""
    on_stall: Annotated[OnStall, Field(strict=False)] | None = None
    """What happens to a stalled task: it is flagged, or taken from its holder and queued again; absent: the pool's
    default, `flag`."""
    not_before: UtcDatetime | None = None
    """Moment (RFC 3339) before which the task is granted to no agent."""
    delay_s: Annotated[float, Field(ge=0, le=limits.MAX_DELAY_S)] | None = None
    """The same, as a length of time from now, in seconds."""
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
    def _one_deadline_and_one_delay(self) -> Self:
        require_one_at_most(self, "deadline", "deadline_s")
        require_one_at_most(self, "not_before", "delay_s")
        return self


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


def request_digest_source(command: Submit) -> dict[str, Any]:
    """Return what makes two submits the same request: the fields as sent, less the idempotency key."""
    return command.model_dump(mode="json", exclude_unset=True, exclude={"command_id"})
