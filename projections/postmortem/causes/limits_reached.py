"""Limits that were reached: deadlines, budgets, renewals; and what holders and people decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.due import recovery_due_at
from domain.events import task as ev
from domain.timestamps import seconds_between
from projections.postmortem.causes.finding import Cause, Finding, count, finding, some
from projections.postmortem.causes.load import obstacles
from projections.reports.time_text import clock, duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.postmortem.collect import Collected, Seen


def limits(collected: Collected) -> Iterator[Finding]:
    """Every limit that a task came up against."""
    failures: dict[str, list[Seen]] = {}
    for seen in collected.seen:
        event, task_id = seen.recorded.event, seen.recorded.entity_id
        match event:
            case ev.Failed() if event.numbers is not None:
                yield _deadline(seen, event, event.numbers)
            case ev.Failed() if event.retryable:
                failures.setdefault(task_id, []).append(seen)
                budget = seen.after.definition.budgets.failures if seen.after is not None else event.failures
                title = f"{task_id} used up its budget of {count(budget, 'failure')}"
                yield finding(Cause.BUDGET, [seen], title, "", [f"the last error: {event.error}"])
            case ev.Failed():
                title = f"{event.agent_id or 'its holder'} gave {task_id} up for good"
                yield finding(Cause.GAVE_UP, [seen], title, "", [event.error])
            case ev.Quarantined():
                said = event.reason + (f"; the last error: {event.error}" if event.error else "")
                yield finding(Cause.BUDGET, [seen], f"{task_id} was quarantined: a budget is spent", "", [said])
            case ev.Requeued(cause=ev.Cause.FAILURE):
                failures.setdefault(task_id, []).append(seen)
            case ev.Escalated():
                title = f"{task_id} was escalated: {event.renewals} reports on one lease"
                yield finding(Cause.ESCALATED, [seen], title, "", [f"max_renewals is {event.max_renewals}"])
            case ev.Blocked():
                yield finding(Cause.BLOCKED, [seen], f"{task_id} was blocked", "", [_blocked(seen, event.reason)])
            case _:
                pass
    for task_id, found in failures.items():
        errors = [getattr(seen.recorded.event, "error", None) or "" for seen in found]
        title = f"{task_id} failed {'once' if len(found) == 1 else f'{len(found)} times'}, retryably"
        yield finding(Cause.FAILURES, found, title, "", errors)


def _blocked(seen: Seen, reason: str) -> str:
    holder = seen.before.lease.agent_id if seen.before is not None and seen.before.lease is not None else "its holder"
    return f"{holder}: {reason}"


def _deadline(seen: Seen, event: ev.Failed, numbers: ev.FailedNumbers) -> Finding:
    task = seen.before
    said = f"deadline {clock(numbers.deadline)}, failed {duration(numbers.overdue_s)} later"
    if task is None:
        where = ""
    elif task.lease is None:
        waited = duration(seconds_between(task.status_since, seen.at))
        where = f"; nobody held it: {task.status} for {waited}, attempt {task.attempt}; {_chances(seen)}"
    else:
        lease = task.lease
        heard = numbers.last_beat_at
        sign = f"last heard {duration(seconds_between(heard, seen.at))} before" if heard else "not heard on it"
        where = f"; {event.agent_id} held it, at {lease.percent} %, {sign}, attempt {task.attempt}"
    return finding(Cause.DEADLINE, [seen], f"{seen.recorded.entity_id} missed its deadline", "", [said + where])


def _chances(seen: Seen) -> str:
    if seen.chances is not None and seen.chances.able is not None:
        return f"{seen.chances.able} could have taken it"
    return f"nobody could take it: {obstacles(seen.chances)}"


def people(collected: Collected) -> Iterator[Finding]:
    """What operators decided about tasks that were under way."""
    decided: dict[str, list[Seen]] = {}
    for seen in collected.seen:
        event = seen.recorded.event
        if isinstance(event, ev.Revoked | ev.Cancelled) or (
            isinstance(event, ev.Requeued) and event.cause is ev.Cause.OPERATOR
        ):
            decided.setdefault(seen.recorded.actor, []).append(seen)
    for actor, found in decided.items():
        said = [
            f"{seen.recorded.name} {seen.recorded.entity_id}" + (f": {reason}" if (reason := _reason(seen)) else "")
            for seen in found
        ]
        title = f"{actor} intervened on {some([seen.recorded.entity_id for seen in found])}"
        yield finding(Cause.OPERATOR, found, title, "", said)


def _reason(seen: Seen) -> str | None:
    reason = getattr(seen.recorded.event, "reason", None)
    return reason if isinstance(reason, str) else None


def overdue(collected: Collected) -> Iterator[Finding]:
    """Leases that had run out when the last event happened, and were not judged yet."""
    last = {seen.recorded.entity_id: seen for seen in collected.seen if seen.after is not None}
    end = collected.seen[-1].at
    for task_id, seen in last.items():
        task = seen.after
        if task is None or task.lease is None or not task.ticking or task.lease.expires_at >= end:
            continue
        due = recovery_due_at(task, task.lease, collected.seen[-1].pool)
        over = duration(seconds_between(task.lease.expires_at, end))
        said = f"held by {task.lease.agent_id} until {clock(task.lease.expires_at)}, {over} before the end shown"
        judged = f"to be judged at {clock(due)}" if due >= end else f"due to be judged since {clock(due)}"
        yield finding(Cause.OVERDUE, [seen], f"{task_id} ran out and is not judged yet", "", [f"{said}; {judged}"])
