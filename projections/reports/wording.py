"""Events in words: one line each, with the numbers that they were decided by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic_core

from domain.events import agent as ag
from domain.events import pool as po
from domain.events import steal as st
from domain.events import task as ev
from domain.timestamps import seconds_between
from projections.reports.time_text import duration, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.events import Event
    from domain.pool import TailLoss

_LONGEST_VALUE = 80


def describe(event: Event) -> str:
    """Return an event in words; empty if its name says everything."""
    wording = _WORDINGS.get(type(event))
    return "" if wording is None else wording(event)


def short_json(value: Any) -> str:
    """Return a value as compact JSON, cut at a length that fits into a line."""
    text = pydantic_core.to_json(value).decode()
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `3 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def lost_positions(loss: po.TailLost | TailLoss) -> str:
    """Return in words what the log lost."""
    if loss.survived_to is None:
        return f"what was acknowledged at position {loss.acknowledged_to}, and some before it, is lost"
    lost = f"positions {loss.survived_to + 1} to {loss.acknowledged_to} are lost"
    return lost if loss.filled_to == loss.acknowledged_to else f"{lost}, and what came after them"


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _terms(event: Any) -> str:
    return f"until {moment(event.expires_at)} (term {duration(event.lease_s)}, grace {duration(event.grace_s)})"


def _submitted(event: ev.Submitted) -> str:
    parts = [f'"{event.title}"' if event.title else "", f"priority {event.priority}", f"lease {event.lease.mode}"]
    if event.labels:
        parts.append(f"labels {', '.join(event.labels)}")
    if event.required_capabilities:
        parts.append(f"needs {', '.join(event.required_capabilities)}")
    if event.deadline:
        parts.append(f"deadline {moment(event.deadline)}")
    if event.not_before:
        parts.append(f"not before {moment(event.not_before)}")
    if event.retry_of:
        parts.append(f"{event.retry_of} again")
    return ", ".join(part for part in parts if part)


def _progressed(event: ev.Progressed) -> str:
    note = f' "{event.message}"' if event.message else ""
    saved = ", with a checkpoint" if event.checkpoint is not None else ""
    told = f", told to {event.directive.replace('_', ' ')}" if event.directive != "continue" else ""
    return f"{event.percent} %{note}{saved} (report {event.reports}){told}; held {_terms(event)}"


def _silence(numbers: ev.SilenceNumbers) -> str:
    parts = [
        f"silent for {duration(numbers.silence_s)}",
        count(numbers.reports, "report"),
    ]
    if numbers.hard_cap:
        parts.append("its lease had reached its longest life, so its report interval did not count")
    elif numbers.median_interval_s is not None:
        parts.append(
            f"median interval {duration(numbers.median_interval_s)} × {numbers.silence_multiplier:g}"
            f" = {duration(numbers.tolerated_silence_s)} tolerated"
        )
    parts.append(f"lease until {moment(numbers.expires_at)} + grace {duration(numbers.grace_s)}")
    if numbers.not_before is not None:
        parts.append(f"not judged before {moment(numbers.not_before)}")
    return ", ".join(parts)


def _silenced(event: ev.Silenced) -> str:
    return f"quiet for {duration(event.for_s)}{_because(event.reason)}; until {moment(event.until)}"


def _stuck(event: ev.Stuck) -> str:
    threshold_s = event.numbers.stuck_threshold_s
    rule = f"its last beat is older than {duration(threshold_s)}" if threshold_s is not None else "its lease ran out"
    clock = "until its lease is due" if event.clock_runs else "on a stopped clock"
    return f"{event.agent_id} keeps it {clock}, for {rule}: {_silence(event.numbers)}"


def _stalled(event: ev.Stalled) -> str:
    limit = f"at {event.percent} % since {moment(event.advanced_at)}; the limit is {duration(event.stall_s)}"
    return f"{event.agent_id} is heard and does not advance: {limit}"


def _extended(event: ev.Extended) -> str:
    by_s = seconds_between(event.previous_expires_at, event.expires_at)
    evidence = f" ({'; '.join(event.evidence)})" if event.evidence else ""
    until = moment(event.expires_at)
    return f"{event.probe} found evidence{evidence}: {duration(by_s)} more, until {until}, extension {event.extensions}"


def _handoff(handoff: ev.Handoff | None) -> str:
    return f"; hand-off at {handoff.progress} %" if handoff is not None else ""


def _requeued(event: ev.Requeued) -> str:
    waits = f"; not before {moment(event.not_before)}" if event.not_before is not None else ""
    return (
        f"attempt {event.attempt}, after {event.cause}{_because(event.error or event.reason)}"
        f"{_handoff(event.handoff)}{waits}"
    )


def _completed(event: ev.Completed) -> str:
    late = ", late: after its lease had expired" if event.late else ""
    result = f", result {short_json(event.result)}" if event.result is not None else ""
    if event.agent_id is None or event.duration_s is None:
        return f"without a holder{result}"
    # Its holder, who need not be the one that completed it.
    return f"held by {event.agent_id} for {duration(event.duration_s)}{late}{result}"


def _blocked(event: ev.Blocked) -> str:
    return event.reason + (f'; to be answered: "{event.question}"' if event.question else "")


def _unblocked(event: ev.Unblocked) -> str:
    answer = f'answer: "{event.answer}"' if event.answer else ""
    return "; ".join(part for part in (event.reason, answer) if part)


def _failed(event: ev.Failed) -> str:
    holder = f" (held by {event.agent_id})" if event.agent_id else ""
    failure = f", failure {event.failures}" if event.failures else ""
    numbers, late = event.numbers, ""
    if numbers is not None:
        late = f"; deadline {moment(numbers.deadline)} passed {duration(numbers.overdue_s)} before"
    return f"{event.error}{holder}{failure}{late}"


def _late_progress(event: ev.LateProgress) -> str:
    percent = f" {event.percent} %" if event.percent is not None else ""
    note = f' "{event.message}"' if event.message else ""
    return f"evidence from former holder {event.agent_id}: {event.kind}{percent}{note}; it changes at most the hand-off"


def _noted(event: ev.Noted | ag.AgentNoted) -> str:
    note = f': "{event.note}"' if event.note else ""
    data = f", {short_json(event.data)}" if event.data is not None else ""
    again = f", as {event.retried_as}" if isinstance(event, ev.Noted) and event.retried_as else ""
    return f"{event.kind}{again}{note}{data}"


def _updated(event: ev.Updated) -> str:
    parts = [
        f"priority {event.priority}" if event.priority else "",
        f'title "{event.title}"' if event.title is not None else "",
        f"labels {', '.join(event.labels) or 'none'}" if event.labels is not None else "",
        f"deadline {moment(event.deadline)}" if event.deadline else "",
        "no deadline" if event.no_deadline else "",
        f"granted to no agent before {moment(event.not_before)}" if event.not_before else "",
    ]
    return ", ".join(part for part in parts if part)


def _registered(event: ag.Registered) -> str:
    able = ", ".join(event.capabilities) or "none"
    session = f", session {event.session}" if event.session is not None else ""
    return f"capacity {event.capacity}, priority {event.priority:g}, capabilities {able}{session}"


def _heartbeat(event: ag.Heartbeat) -> str:
    return _load(event.load) if event.load is not None else ""


def _load(load: ag.SystemLoad) -> str:
    return f"cpu {load.cpu:g} %, memory {load.memory:g} %"


def _planned(event: st.Planned) -> str:
    score = f", score {event.score:.3g}" if event.score is not None else ""
    if event.gain_s is not None:
        score = f", to begin {duration(event.gain_s)} sooner in all"
    return (
        f"{', '.join(event.task_ids)} from {event.from_agent}"
        f" ({count(event.source_tasks, 'task')}, cpu {event.source_cpu:g} %)"
        f" to {event.to_agent} ({count(event.target_tasks, 'task')}, cpu {event.target_cpu:g} %)"
        f"{score}{_because(event.reason)}"
    )


def _skipped(task_ids: tuple[str, ...]) -> str:
    return f"; could not move: {', '.join(task_ids)}" if task_ids else ""


def _moved(event: st.StealCompleted) -> str:
    return (
        f"{event.moved} moved; source {event.source_tasks_before} → {event.source_tasks_after} tasks, target"
        f" {event.target_tasks_before} → {event.target_tasks_after}{_skipped(event.skipped)}"
    )


def _reason(event: Any) -> str:
    return event.reason or ""


_WORDINGS: dict[type[Event], Callable[[Any], str]] = {
    ev.Submitted: _submitted,
    ev.Leased: lambda event: f"to {event.agent_id}, attempt {event.attempt}, {_terms(event)}",
    ev.Progressed: _progressed,
    ev.Renewed: lambda event: f"holder heard by another command; held {_terms(event)}",
    ev.Silenced: _silenced,
    ev.Extended: _extended,
    ev.Escalated: lambda event: f"{event.renewals} reports on one lease; the limit is {event.max_renewals}",
    ev.Stalled: _stalled,
    ev.Stolen: lambda event: (
        f"from {event.from_agent} (token {event.previous_token}) to {event.agent_id} by steal {event.operation_id},"
        f" attempt {event.attempt}, {_terms(event)}"
    ),
    ev.Released: lambda event: f"given back{_because(event.reason)}",
    ev.Revoked: lambda event: f"taken from {event.agent_id or 'its holder'}{_because(event.reason)}",
    ev.Expired: lambda event: f"lease of {event.agent_id} ended: {_silence(event.numbers)}",
    ev.Stuck: _stuck,
    ev.Recovered: lambda event: f"holder heard again; held {_terms(event)}",
    ev.Blocked: _blocked,
    ev.Unblocked: _unblocked,
    ev.Quarantined: lambda event: f"waits for an operator: {event.error or event.reason}{_handoff(event.handoff)}",
    ev.Requeued: _requeued,
    ev.Completed: _completed,
    ev.Failed: _failed,
    ev.Cancelled: lambda event: (
        f"held by {event.agent_id}{_because(event.reason)}" if event.agent_id else event.reason or ""
    ),
    ev.LateProgress: _late_progress,
    ev.Noted: _noted,
    ev.Updated: _updated,
    ag.AgentNoted: _noted,
    ag.Registered: _registered,
    ag.Heartbeat: _heartbeat,
    ag.LoadReported: lambda event: f"{_load(event.load)}; no sign of life",
    ag.AgentDraining: lambda event: (
        (event.reason or "") + (f"; until {moment(event.deadline)}" if event.deadline is not None else "")
    ).removeprefix("; "),
    ag.AgentPaused: _reason,
    ag.AgentResumed: _reason,
    ag.Lost: lambda event: f"not heard for {duration(event.silence_s)}; the limit is {duration(event.threshold_s)}",
    ag.Deregistered: lambda event: f"{count(event.released, 'task')} given back{_because(event.reason)}",
    st.Planned: _planned,
    st.Executing: lambda event: ", ".join(event.task_ids),
    st.StealCompleted: _moved,
    st.StealFailed: lambda event: f"{event.reason}{_skipped(event.skipped)}",
    po.Opened: lambda event: f"by {event.software}",
    po.Led: lambda event: f"by {event.leader}",
    po.Rearmed: lambda event: (
        f"{event.reason}: blind for {duration(event.blind_s)}, so no lease is judged before {moment(event.not_before)}"
    ),
    po.TailLost: lambda event: f"{lost_positions(event)}; filled up to {event.filled_to}",
    po.ExpiryHeld: _reason,
    po.ExpiryResumed: _reason,
    po.PoolDraining: _reason,
    po.PoolPaused: _reason,
    po.PoolResumed: _reason,
}
