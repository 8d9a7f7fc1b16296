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


class Word(NamedTuple):
    """What a holder said of one task, as the command that says it again."""

    command: OnTask
    last: bool
    """Whether it ended the holder's work on the task."""
    keeps: bool
    """Whether it made the work safe: it came with a checkpoint."""
    accepted_late: bool = False
    """Whether it completed a task whose lease had expired."""


def words_of(group: Sequence[tuple[Recorded, Task | None]]) -> dict[int, Word]:
    """Return the words of a command by the position of the event that stands for each.

    A command on tasks is named `str(token)` in the tasks' place: a replay knows leases, not tasks. `started` and
    `recovered` come along with others; they are words only where nothing else was said of the task.
    """
    words: dict[int, Word] = {}
    implied: dict[str, tuple[int, Word]] = {}
    for recorded, before in group:
        event = recorded.event
        if isinstance(event, ev.Recovered):
            implied[recorded.entity_id] = recorded.position, _word(ReadLease, event.token)
        elif isinstance(event, ev.Started):
            implied[recorded.entity_id] = recorded.position, _word(Start, event.token)
        elif isinstance(event, ev.TaskEvent) and (word := _said(event, before)) is not None:
            implied.pop(recorded.entity_id, None)
            words[recorded.position] = word
    words.update(implied.values())
    return words


def _said(event: ev.TaskEvent, before: Task | None) -> Word | None:
    match event:
        case ev.Progressed():
            return _word(Progress, event.token, keeps=event.checkpoint is not None, percent=event.percent)
        case ev.Completed():
            return _word(Complete, event.token, last=True, accepted_late=event.late)
        case ev.Silenced():
            return _word(Silence, event.token, for_s=event.for_s, reason=_NOT_SAID)
        case ev.Released():
            return _word(Release, event.token, last=True, keeps=event.checkpoint is not None)
        case ev.Blocked():
            return _word(Block, event.token, last=True, reason=_NOT_SAID)
        case ev.LateProgress():
            return _word(Complete, event.token) if event.kind == "completion" else _late_report(event)
        case ev.Failed() | ev.Requeued() | ev.Quarantined():
            return _failure(event, before)
        case _:
            return None


def _late_report(event: ev.LateProgress) -> Word:
    return _word(Progress, event.token, keeps=event.checkpoint is not None, percent=event.percent or 0)


def _failure(event: ev.Failed | ev.Requeued | ev.Quarantined, before: Task | None) -> Word | None:
    """Return the failure that a holder told; the same events follow a release, which has its own."""
    lease = before.lease if before is not None else None
    if lease is None or event.token != lease.token:
        return None
    retryable = event.retryable if isinstance(event, ev.Failed) else True
    return _word(Fail, lease.token, last=True, error=_NOT_SAID, retryable=retryable)


def _word(
    kind: type[OnTask],
    token: int,
    *,
    last: bool = False,
    keeps: bool = False,
    accepted_late: bool = False,
    **fields: Any,
) -> Word:
    # What the log holds was checked when it was written.
    return Word(kind.model_construct(task_id=str(token), token=token, **fields), last, keeps, accepted_late)
