"""Reconstructing, from the events of one recorded command, the commands on tasks that lead to them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.commands.agent_commands import Block, Complete, Fail, Progress, ReadLease, Release, Silence, Start
from domain.events import task as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.commands.agent_commands import OnTask
    from domain.recorded import Recorded
    from domain.task import Task

_PLACEHOLDER = "-"
"""For a text that no rule depends on."""


class ReconstructedCommand(NamedTuple):
    """A holder's command on one task."""

    command: OnTask
    ends_work: bool
    """Whether it ended the holder's work on the task."""
    saves_work: bool
    """Whether it saved the work, by a checkpoint."""
    accepted_late: bool = False
    """Whether it completed the task after the lease had expired."""


def reconstruct_commands(group: Sequence[tuple[Recorded, Task | None]]) -> dict[int, ReconstructedCommand]:
    """Return the reconstructed commands, each under the position of the event that shows it.

    Their `task_id` is the lease's token as text: a replay knows leases, not tasks. `started` and `recovered` may
    accompany other events; they stand for a command only if no other event of the group is about the task.
    """
    commands: dict[int, ReconstructedCommand] = {}
    implied: dict[str, tuple[int, ReconstructedCommand]] = {}
    for recorded, before in group:
        event = recorded.event
        if isinstance(event, ev.Recovered):
            implied[recorded.entity_id] = recorded.position, _command(ReadLease, event.token)
        elif isinstance(event, ev.Started):
            implied[recorded.entity_id] = recorded.position, _command(Start, event.token)
        elif isinstance(event, ev.TaskEvent) and (command := _shown_by(event, before)) is not None:
            implied.pop(recorded.entity_id, None)
            commands[recorded.position] = command
    commands.update(implied.values())
    return commands


def _shown_by(event: ev.TaskEvent, before: Task | None) -> ReconstructedCommand | None:
    match event:
        case ev.Progressed():
            saves_work = event.checkpoint is not None
            return _command(
                Progress, event.token, saves_work=saves_work, percent=event.percent, checkpoint=event.checkpoint
            )
        case ev.Completed(token=int(token)):
            return _command(Complete, token, ends_work=True, accepted_late=event.late)
        case ev.Silenced():
            return _command(Silence, event.token, for_s=event.for_s, reason=_PLACEHOLDER)
        case ev.Released():
            return _command(Release, event.token, ends_work=True, saves_work=event.checkpoint is not None)
        case ev.Blocked(token=int(token)):
            return _command(Block, token, ends_work=True, reason=_PLACEHOLDER)
        case ev.LateProgress():
            return _command(Complete, event.token) if event.kind == "completion" else _late_report(event)
        case ev.Failed() | ev.Requeued() | ev.Quarantined():
            return _failure(event, before)
        case _:
            return None


def _late_report(event: ev.LateProgress) -> ReconstructedCommand:
    return _command(Progress, event.token, saves_work=event.checkpoint is not None, percent=event.percent or 0)


def _failure(event: ev.Failed | ev.Requeued | ev.Quarantined, before: Task | None) -> ReconstructedCommand | None:
    """Return the failure that a holder reported; None where the event follows a release, which has its own event."""
    lease = before.lease if before is not None else None
    if lease is None or event.token != lease.token:
        return None
    retryable = event.retryable if isinstance(event, ev.Failed) else True
    return _command(Fail, lease.token, ends_work=True, error=_PLACEHOLDER, retryable=retryable)


def _command(
    kind: type[OnTask],
    token: int,
    *,
    ends_work: bool = False,
    saves_work: bool = False,
    accepted_late: bool = False,
    **fields: Any,
) -> ReconstructedCommand:
    # Not validated again: the log holds only what was valid when it was written.
    return ReconstructedCommand(
        kind.model_construct(task_id=str(token), token=token, **fields), ends_work, saves_work, accepted_late
    )
