"""From the events of one recorded command back to what its agent said of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.commands import Block, Complete, Fail, Progress, ReadLease, Release, Silence, Start
from domain.events import task as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.commands import OnTask
    from domain.recorded import Recorded
    from domain.task import Task

_NOT_SAID = "-"
"""Stands for a text that no rule looks at."""


class ReconstructedCommand(NamedTuple):
    """What a holder said of one task, as the command that says it again."""

    command: OnTask
    ends_work: bool
    """Whether it ended the holder's work on the task."""
    saves_work: bool
    """Whether it made the work safe: it came with a checkpoint."""
    accepted_late: bool = False
    """Whether it completed a task whose lease had expired."""


def reconstruct_commands(group: Sequence[tuple[Recorded, Task | None]]) -> dict[int, ReconstructedCommand]:
    """Return the commands of a command by the position of the event that stands for each.

    A command on tasks is named `str(token)` in the tasks' place: a replay knows leases, not tasks. `started` and
    `recovered` come along with others; they are commands only where nothing else was said of the task.
    """
    commands: dict[int, ReconstructedCommand] = {}
    implied: dict[str, tuple[int, ReconstructedCommand]] = {}
    for recorded, before in group:
        event = recorded.event
        if isinstance(event, ev.Recovered):
            implied[recorded.entity_id] = recorded.position, _command(ReadLease, event.token)
        elif isinstance(event, ev.Started):
            implied[recorded.entity_id] = recorded.position, _command(Start, event.token)
        elif isinstance(event, ev.TaskEvent) and (said := _told(event, before)) is not None:
            implied.pop(recorded.entity_id, None)
            commands[recorded.position] = said
    commands.update(implied.values())
    return commands


def _told(event: ev.TaskEvent, before: Task | None) -> ReconstructedCommand | None:
    match event:
        case ev.Progressed():
            return _command(Progress, event.token, saves_work=event.checkpoint is not None, percent=event.percent)
        case ev.Completed():
            return _command(Complete, event.token, ends_work=True, accepted_late=event.late)
        case ev.Silenced():
            return _command(Silence, event.token, for_s=event.for_s, reason=_NOT_SAID)
        case ev.Released():
            return _command(Release, event.token, ends_work=True, saves_work=event.checkpoint is not None)
        case ev.Blocked():
            return _command(Block, event.token, ends_work=True, reason=_NOT_SAID)
        case ev.LateProgress():
            return _command(Complete, event.token) if event.kind == "completion" else _late_report(event)
        case ev.Failed() | ev.Requeued() | ev.Quarantined():
            return _failure(event, before)
        case _:
            return None


def _late_report(event: ev.LateProgress) -> ReconstructedCommand:
    return _command(Progress, event.token, saves_work=event.checkpoint is not None, percent=event.percent or 0)


def _failure(event: ev.Failed | ev.Requeued | ev.Quarantined, before: Task | None) -> ReconstructedCommand | None:
    """Return the failure that a holder told; the same events follow a release, which has its own."""
    lease = before.lease if before is not None else None
    if lease is None or event.token != lease.token:
        return None
    retryable = event.retryable if isinstance(event, ev.Failed) else True
    return _command(Fail, lease.token, ends_work=True, error=_NOT_SAID, retryable=retryable)


def _command(
    kind: type[OnTask],
    token: int,
    *,
    ends_work: bool = False,
    saves_work: bool = False,
    accepted_late: bool = False,
    **fields: Any,
) -> ReconstructedCommand:
    # What the log holds was checked when it was written.
    return ReconstructedCommand(
        kind.model_construct(task_id=str(token), token=token, **fields), ends_work, saves_work, accepted_late
    )
