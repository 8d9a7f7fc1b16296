"""Entities and events as rows of the tables in `tables`: a value for each column, in the order of the columns.

Numbers are clamped to 64 bits and NUL characters are replaced, because not every database takes them. The service
writes neither; a log that another program appended to may hold them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from domain.handoffs import in_words
from domain.limits import MAX_INT64
from domain.timestamps import seconds_between
from projections.reports.audit_filter import agent_of
from projections.reports.audit_rows import event_reason

if TYPE_CHECKING:
    from domain.agent import Agent
    from domain.recorded import Recorded
    from domain.steal import Steal
    from domain.task import Lease, Task
    from projections.reports.audit_rows import Row

_NUL, _REPLACEMENT = "\x00", "\ufffd"
_ESCAPED_NUL, _ESCAPED_REPLACEMENT = "\\u0000", "\\ufffd"

Values = tuple[Any, ...]
"""A row. Times are aware datetimes, JSON is text."""

_NO_END: Values = (None,) * 5


def task_row(task: Task) -> Values:
    """Return a task's row."""
    definition, lease, outcome = task.definition, task.lease, task.outcome
    return (
        _text(task.task_id),
        task.status.value,
        _clamped(task.attempt),
        _text(lease.agent_id) if lease else None,
        task.token,
        _clamped(lease.percent) if lease else None,
        lease.expires_at if lease else None,
        _text(definition.title),
        definition.priority.value,
        _json(definition.labels),
        _json(definition.required_capabilities),
        definition.deadline,
        task.submitted_at,
        task.status_since,
        outcome.at if outcome and task.terminal else None,
        _clamped(task.failures),
        _clamped(task.expiries),
        _clamped(task.steals),
        outcome.event if outcome else None,
        _text(outcome.actor) if outcome else None,
        _text(outcome.agent_id) if outcome else None,
        _text(outcome.detail) if outcome else None,
        _json(outcome.result) if outcome and outcome.result is not None else None,
        _json(definition.payload) if definition.payload is not None else None,
        in_words(task.handoff).model_dump_json().replace(_ESCAPED_NUL, _ESCAPED_REPLACEMENT) if task.handoff else None,
        task.position,
        task.not_before,
    )


def lease_row(task_id: str, lease: Lease, ended: str | None, last: Recorded) -> Values:
    """Return a lease's row after the `last` event on it; `ended`: how that event ended it, if it did."""
    end = _NO_END
    if ended is not None:
        held_s = seconds_between(lease.granted_at, last.time)
        end = (last.time, _text(last.actor), _text(event_reason(last.event)), last.position, held_s)
    return (
        lease.token,
        _text(task_id),
        _text(lease.agent_id),
        _clamped(lease.attempt),
        ended or lease.status.value,
        lease.granted_at,
        lease.started_at,
        lease.expires_at,
        lease.lease_s,
        lease.grace_s,
        _clamped(lease.reports),
        lease.renewals,
        _clamped(lease.extensions),
        _clamped(lease.percent),
        _text(lease.note),
        lease.last_beat_at,
        lease.escalated,
        lease.stalled_at,
        *end,
        last.position,
    )


def agent_row(agent: Agent) -> Values:
    """Return an agent's row."""
    return (
        _text(agent.agent_id),
        agent.status.value,
        agent.intake.value,
        _json(sorted(agent.capabilities)),
        agent.priority,
        _clamped(agent.capacity),
        _json(agent.labels),
        agent.cpu,
        agent.memory,
        agent.last_recorded_at,
        agent.position,
    )


def steal_row(steal: Steal, recorded: Recorded) -> Values:
    """Return the row of a steal operation after its event `recorded`."""
    plan, outcome = steal.plan, steal.outcome
    return (
        _text(steal.operation_id),
        steal.status.value,
        _text(plan.from_agent),
        _text(plan.to_agent),
        _json(plan.task_ids),
        _text(plan.reason),
        steal.planned_at,
        _text(steal.planned_by),
        plan.score,
        _clamped(plan.source_tasks),
        _clamped(plan.target_tasks),
        _clamped(getattr(outcome, "moved", 0)) if outcome else None,
        _json(getattr(outcome, "skipped", ())) if outcome else None,
        _text(getattr(outcome, "reason", None)),
        recorded.time if steal.over else None,
        steal.position,
    )


def event_row(recorded: Recorded, body: bytes, skipped: str | None = None) -> Values:
    """Return the row of an event; `skipped`: why every fold skips it."""
    event = recorded.event
    kind: Any = type(event)
    token = event.__dict__.get("token")
    text = body.decode()
    row = (
        recorded.position,
        recorded.time,
        kind.type_name,
        recorded.entity.value,
        recorded.entity_id,
        kind.name,
        recorded.actor,
        agent_of(recorded),
        None if token is None else _clamped(token),
        event_reason(event),
        recorded.verb,
        recorded.causation_id,
        min(recorded.version, MAX_INT64),
        None if skipped is None else _text(skipped),
        text,
    )
    # A NUL in any text of the event is in its body too, escaped, because the body is JSON.
    return row if _ESCAPED_NUL not in text else tuple(_without_nul(each) for each in row)


def unreadable_event_row(row: Row, reason: str) -> Values:
    """Return the row of a message that cannot be read; `row` is its row in an audit."""
    values = (row.position, None, None, row.entity, _text(row.id), row.event, None, None, None, None, None, None, None)
    return (*values, _text(reason), None)


def _text(text: str | None) -> str | None:
    return text.replace(_NUL, _REPLACEMENT) if text is not None and _NUL in text else text


def _without_nul(value: Any) -> Any:
    return (
        value.replace(_NUL, _REPLACEMENT).replace(_ESCAPED_NUL, _ESCAPED_REPLACEMENT)
        if isinstance(value, str)
        else value
    )


def _clamped(number: int) -> int:
    return number if -MAX_INT64 <= number <= MAX_INT64 else (MAX_INT64 if number > 0 else -MAX_INT64)


def _json(value: Any) -> str:
    if value == ():
        return "[]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace(_ESCAPED_NUL, _ESCAPED_REPLACEMENT)
