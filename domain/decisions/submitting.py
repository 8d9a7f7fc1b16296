"""Submitting tasks: what a request resolves to, when it is the same one again, and trying an ended task again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace
from pydantic import ValidationError

from domain.commands.command_digest import definition_digest, definition_digest_as_sent
from domain.decisions import checks
from domain.errors import RefusalCode
from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.names import is_task_id
from domain.policies.lease import LeaseMode, LeasePolicy
from domain.policies.lease_fields import lease_field_mismatch
from domain.policies.retry import resolved_retry
from domain.policies.sweeping import DEFAULT_STALL_S
from domain.refusal import Refused, invalid_field
from domain.task import definition_of, submitted
from domain.timestamps import after, format_timestamp, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.commands.operator_commands import Retry
    from domain.commands.submit import Submit, SubmitMany
    from domain.decision import Decision
    from domain.draft import Draft
    from domain.task import Task

Was = Literal["new", "known", "ended"]
"""What a submit found: no task of that name, the same one, or the same one that has ended."""


_LATER_RULES = ("retry", "stall_s", "on_stall")
"""Fields of a definition that older logs do not have."""


def submit(draft: Draft, command: Submit) -> Decision:
    """Queue a new task. The same definition again records nothing; another one with the same id is refused."""
    task_id = command.task_id or draft.request.new_id
    return draft.decided({"task_id": task_id, "was": _submit(draft, task_id, command)})


def _submit(draft: Draft, task_id: str, command: Submit) -> Was:
    known = draft.task(task_id)
    if known is None:
        if command.deadline is not None and command.deadline < draft.now:
            raise invalid_field("deadline", f"has passed: it is {format_timestamp(draft.now)}")
        definition = _definition(draft, command, draft.now)
        not_before, deadline = definition.not_before, definition.deadline
        if not_before is not None and deadline is not None and not_before >= deadline:
            raise checks.waits_too_long(command, deadline)
        draft.record_task(task_id, definition)
        return "new"
    if not _is_same_definition(draft, command, known):
        raise Refused(
            RefusalCode.TASK_EXISTS,
            f"task {task_id} exists with another definition; choose another id",
            task_id=task_id,
            status=known.status.value,
        )
    return was_known(known)


def was_known(task: Task) -> Was:
    """Return what a submit found that made no task, because this one is it."""
    return "ended" if task.terminal else "known"


def submit_many(draft: Draft, command: SubmitMany) -> Decision:
    """Queue all of these tasks; when one of them is refused, none is queued."""
    tasks = []
    for number, each in enumerate(command.tasks):
        task_id = each.task_id or f"{draft.request.new_id}-{number}"
        tasks.append({"task_id": task_id, "was": _submit(draft, task_id, each)})
    return draft.decided({"tasks": tasks})


def retry(draft: Draft, command: Retry) -> Decision:
    """Queue a new task with the definition of one that failed or was cancelled; each names the other.

    A deadline that has passed is set anew: as long from now as it was from the first submission. It does not wait for
    the first one's `not_before`.
    """
    task = checks.known_task(draft, command.task_id)
    if task.status not in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
        raise checks.illegal_transition(task, "retry", "only a failed or cancelled task is retried")
    new_id = next((each for each in command.candidates if draft.task(each) is None), None)
    if new_id is None:
        known = draft.task(command.candidates[0])
        if command.new_id is not None and known is not None and known.definition.retry_of == task.task_id:
            return draft.decided({"task_id": command.new_id, "retry_of": task.task_id, "was": was_known(known)})
        raise Refused(
            RefusalCode.TASK_EXISTS,
            f"task {command.candidates[-1]} exists; choose another new_id",
            task_id=command.candidates[-1],
        )
    if not is_task_id(new_id):
        raise invalid_field("new_id", f"is needed, because {new_id} would be too long for an id")
    definition = task.definition
    deadline = definition.deadline
    if deadline is not None and deadline <= draft.now:
        deadline = after(draft.now, seconds_between(task.submitted_at, deadline))
    again = replace(definition, retry_of=task.task_id, deadline=deadline, not_before=None)
    draft.record_task(new_id, submitted(again))
    draft.record_task(task.task_id, ev.Noted(kind="retried", note=command.reason, retried_as=new_id))
    return draft.decided({"task_id": new_id, "retry_of": task.task_id, "was": "new"})


def _definition(draft: Draft, command: Submit, since: datetime) -> ev.Submitted:
    """Return the definition, with all defaults resolved; a relative deadline and a delay count from `since`."""
    lease = _lease_policy(draft.rules.lease, command.lease)
    return ev.Submitted(
        request_digest=definition_digest(command),
        title=command.title,
        payload=command.payload,
        priority=command.priority,
        labels=tuple(command.labels),
        required_capabilities=tuple(sorted(set(command.required_capabilities))),
        estimated_hours=command.estimated_hours,
        deadline=_deadline(draft, command, since),
        lease=lease,
        on_silence=command.on_silence,
        budgets=command.budgets,
        stall_s=_stall_s(draft, command, lease),
        on_stall=draft.rules.on_stall if command.on_stall is None else command.on_stall,
        not_before=command.not_before if not command.delay_s else after(since, command.delay_s),
        retry=resolved_retry(draft.rules.retry, command.retry),
    )


def _is_same_definition(draft: Draft, command: Submit, known: Task) -> bool:
    """Return whether the request is the one that submitted the task, or resolves to the definition that it has now."""
    recorded = known.definition
    if recorded.request_digest in {definition_digest(command), definition_digest_as_sent(command)}:
        return True
    definition = definition_of(_definition(draft, command, known.submitted_at))
    as_recorded: dict[str, Any] = {"request_digest": recorded.request_digest}
    if recorded.retry is None:
        # From before a task had these rules: a request that says nothing of them says the same.
        as_recorded |= {name: getattr(recorded, name) for name in _LATER_RULES if getattr(command, name) is None}
    return replace(definition, **as_recorded) == recorded


def _deadline(draft: Draft, command: Submit, since: datetime) -> datetime | None:
    """Return the task's deadline, else the pool's default counted from `since`."""
    if command.deadline is not None:
        return command.deadline
    wanted_s = draft.rules.default_deadline_s if command.deadline_s is None else command.deadline_s
    return None if wanted_s is None else after(since, wanted_s)


def _stall_s(draft: Draft, command: Submit, lease: LeasePolicy) -> float | None:
    """Return after how many seconds without an advance the task is stalled, or None for never."""
    wanted_s = draft.rules.stall_s if command.stall_s is None else command.stall_s
    if wanted_s is None and lease.mode is LeaseMode.ADAPTIVE:
        wanted_s = DEFAULT_STALL_S
    return wanted_s or None


def _lease_policy(default: LeasePolicy, wanted: LeasePolicy | None) -> LeasePolicy:
    """Return the pool's policy overridden by the task's own fields; raises Refused when they do not fit together."""
    if wanted is None:
        return default
    fields = dict(default) | {name: getattr(wanted, name) for name in wanted.model_fields_set}
    misfit = lease_field_mismatch(wanted, fields["mode"])
    if misfit is not None:
        raise invalid_field("lease", misfit)
    try:
        return LeasePolicy.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise invalid_field(".".join(("lease", *map(str, first["loc"]))), first["msg"]) from None
