"""Limits that were reached (deadlines, budgets, renewals), and what holders and operators decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.actors import is_operator
from domain.due import recovery_due_at
from domain.events import task as ev
from domain.timestamps import seconds_between
from projections.postmortem.causes.finding import Cause, Finding, finding, first_few
from projections.postmortem.causes.load import obstacles
from projections.reports.time_text import clock, duration
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.postmortem.observed_events import CollectedEvents, ObservedEvent


def limits(collected: CollectedEvents) -> Iterator[Finding]:
    """Find deadlines, spent budgets, failures, stalled and blocked tasks."""
    failures: dict[str, list[ObservedEvent]] = {}
    for observed in collected.events:
        event, task_id = observed.recorded.event, observed.recorded.entity_id
        match event:
            case ev.Failed() if event.numbers is not None:
                yield _deadline(observed, event, event.numbers)
            case ev.Failed() if event.retryable:
                failures.setdefault(task_id, []).append(observed)
                budget = observed.after.definition.budgets.failures if observed.after is not None else event.failures
                title = f"{task_id} used up its budget of {count(budget, 'failure')}"
                yield finding(Cause.BUDGET, [observed], title, [f"the last error: {event.error}"])
            case ev.Failed():
                by = observed.recorded.actor if is_operator(observed.recorded.actor) else event.agent_id
                title = f"{by or 'its holder'} gave {task_id} up for good"
                yield finding(Cause.GAVE_UP, [observed], title, [event.error])
            case ev.Quarantined():
                said = event.reason + (f"; the last error: {event.error}" if event.error else "")
                yield finding(Cause.BUDGET, [observed], f"{task_id} was quarantined: a budget is spent", [said])
            case ev.Requeued(cause=ev.Cause.FAILURE):
                failures.setdefault(task_id, []).append(observed)
            case ev.Stalled():
                title = f"{event.agent_id} was heard and did not advance {task_id}"
                said = f"at {event.percent} % since {clock(event.advanced_at)}; stall_s is {event.stall_s:g}"
                yield finding(Cause.STALLED, [observed], title, [said])
            case ev.Blocked():
                yield finding(Cause.BLOCKED, [observed], f"{task_id} was blocked", [_blocked(observed, event.reason)])
            case _:
                pass
    for task_id, found in failures.items():
        errors = [getattr(observed.recorded.event, "error", None) or "" for observed in found]
        title = f"{task_id} failed {'once' if len(found) == 1 else f'{len(found)} times'}, retryably"
        yield finding(Cause.FAILURES, found, title, errors)


def _blocked(observed: ObservedEvent, reason: str) -> str:
    before = observed.before
    if is_operator(observed.recorded.actor):
        return f"{observed.recorded.actor}: {reason}"
    holder = None if before is None else before.holder
    return f"{holder or 'its holder'}: {reason}"


def _deadline(observed: ObservedEvent, event: ev.Failed, numbers: ev.FailedNumbers) -> Finding:
    task = observed.before
    said = f"deadline {clock(numbers.deadline)}, failed {duration(numbers.overdue_s)} later"
    if task is None:
        where = ""
    elif task.lease is None:
        waited = duration(seconds_between(task.status_since, observed.at))
        where = f"; it had no holder: {task.status} for {waited}, attempt {task.attempt}; {_who_could_take(observed)}"
    else:
        lease = task.lease
        heard = numbers.last_beat_at
        sign = f"last heard {duration(seconds_between(heard, observed.at))} before" if heard else "not heard on it"
        where = f"; {event.agent_id} held it, at {lease.percent} %, {sign}, attempt {task.attempt}"
    return finding(Cause.DEADLINE, [observed], f"{observed.recorded.entity_id} missed its deadline", [said + where])


def _who_could_take(observed: ObservedEvent) -> str:
    if observed.availability is not None and observed.availability.best_agent is not None:
        return f"{observed.availability.best_agent} could have taken it"
    return f"no agent could take it: {obstacles(observed.availability)}"


_DECIDED = (ev.Cancelled, ev.Revoked, ev.Requeued, ev.Completed, ev.Failed, ev.Blocked)


def operator_decisions(collected: CollectedEvents) -> Iterator[Finding]:
    """Find operators' interventions."""
    decided: dict[str, list[ObservedEvent]] = {}
    for observed in collected.events:
        event = observed.recorded.event
        # What follows from a decision in the same append is named by its own cause.
        follows = isinstance(event, ev.Requeued) and event.cause is not ev.Cause.OPERATOR
        if isinstance(event, _DECIDED) and is_operator(observed.recorded.actor) and not follows:
            decided.setdefault(observed.recorded.actor, []).append(observed)
    for actor, found in decided.items():
        said = [
            f"{observed.recorded.name} {observed.recorded.entity_id}"
            + (f": {reason}" if (reason := _reason(observed)) else "")
            for observed in found
        ]
        title = f"{actor} intervened on {first_few([observed.recorded.entity_id for observed in found])}"
        yield finding(Cause.OPERATOR, found, title, said)


def _reason(observed: ObservedEvent) -> str | None:
    reason = getattr(observed.recorded.event, "reason", None)
    return reason if isinstance(reason, str) else None


def overdue(collected: CollectedEvents) -> Iterator[Finding]:
    """Find leases that were past their expiry at the last event, and not judged yet."""
    last = {observed.recorded.entity_id: observed for observed in collected.events if observed.after is not None}
    end = collected.events[-1].at
    for task_id, observed in last.items():
        task = observed.after
        if task is None or task.lease is None or not task.ticking or task.lease.expires_at >= end:
            continue
        due = recovery_due_at(task, task.lease, collected.events[-1].pool)
        over = duration(seconds_between(task.lease.expires_at, end))
        said = f"held by {task.lease.agent_id} until {clock(task.lease.expires_at)}, {over} before the end shown"
        judged = f"to be judged at {clock(due)}" if due >= end else f"due to be judged since {clock(due)}"
        yield finding(Cause.OVERDUE, [observed], f"{task_id} ran out and is not judged yet", [f"{said}; {judged}"])
