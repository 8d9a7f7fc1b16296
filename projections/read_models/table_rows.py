"""Entities and events as rows of the tables in `tables`: a value for each column, in its order.

Every number fits 64 bits and no text holds a NUL character, for not every database takes them. The service writes
neither; a log that somebody else wrote into may have them, and is to be readable all the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from domain.events import EVENT_TYPES
from domain.timestamps import seconds_between
from projections.reports.audit import agent_of

if TYPE_CHECKING:
    from domain.agent import Agent
    from domain.recorded import Recorded
    from domain.steal import Steal
    from domain.task import Lease, Task
    from projections.reports.audit_rows import Row

_LARGEST = 2**63 - 1
_NUL, _INSTEAD = "\x00", "\ufffd"
_ESCAPED_NUL, _ESCAPED_INSTEAD = "\\u0000", "\\ufffd"

Values = tuple[Any, ...]
"""A row. Times are aware datetimes, JSON is text."""

_WITH_TOKEN = frozenset(kind for kind in EVENT_TYPES.values() if "token" in kind.model_fields)
_WHY = {kind: tuple(name for name in ("reason", "error") if name in kind.model_fields) for kind in EVENT_TYPES.values()}
"""Looked up, because a model takes its time to say that it has no such field."""
_NO_END: Values = (None,) * 5


def task_row(task: Task) -> Values:
    """Return a task's row."""
    definition, lease, outcome = task.definition, task.lease, task.outcome
    return (
        _text(task.task_id),
        task.status.value,
        _whole(task.attempt),
        _text(lease.agent_id) if lease else None,
        lease.token if lease else None,
        _whole(lease.percent) if lease else None,
        lease.expires_at if lease else None,
        _text(definition.title),
        definition.priority.value,
        _json(definition.labels),
        _json(definition.required_capabilities),
        definition.deadline,
        task.submitted_at,
        task.status_since,
        outcome.at if outcome and task.terminal else None,
        _whole(task.failures),
        _whole(task.expiries),
        _whole(task.steals),
        outcome.event if outcome else None,
        _text(outcome.actor) if outcome else None,
        _text(outcome.agent_id) if outcome else None,
        _text(outcome.detail) if outcome else None,
        _json(outcome.result) if outcome and outcome.result is not None else None,
        _json(definition.payload) if definition.payload is not None else None,
        task.handoff.model_dump_json().replace(_ESCAPED_NUL, _ESCAPED_INSTEAD) if task.handoff else None,
        task.position,
    )


def lease_row(task_id: str, lease: Lease, ended: str | None, last: Recorded) -> Values:
    """Return a lease's row after the `last` event on it; `ended`: how that event ended it, if it did."""
    end = _NO_END
    if ended is not None:
        held_s = seconds_between(lease.granted_at, last.time)
        end = (last.time, _text(last.actor), _text(reason_of(last)), last.position, held_s)
    return (
        lease.token,
        _text(task_id),
        _text(lease.agent_id),
        _whole(lease.attempt),
        ended or lease.status.value,
        lease.granted_at,
        lease.started_at,
        lease.expires_at,
        lease.lease_s,
        lease.grace_s,
        _whole(lease.reports),
        lease.renewals,
        _whole(lease.extensions),
        _whole(lease.percent),
        _text(lease.note),
        lease.last_beat_at,
        lease.escalated,
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
        _whole(agent.capacity),
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
        _whole(plan.source_tasks),
        _whole(plan.target_tasks),
        _whole(getattr(outcome, "moved", 0)) if outcome else None,
        _json(getattr(outcome, "skipped", ())) if outcome else None,
        _text(getattr(outcome, "reason", None)),
        recorded.time if steal.over else None,
        steal.position,
    )


def event_row(recorded: Recorded, body: bytes, skipped: str | None = None) -> Values:
    """Return the row of an event; `skipped`: why no fold takes it."""
    event = recorded.event
    kind: Any = type(event)
    token = event.token if kind in _WITH_TOKEN else None  # type: ignore[attr-defined] # the set says so
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
        token if token is None or -_LARGEST <= token <= _LARGEST else _whole(token),
        reason_of(recorded) if _WHY[kind] else None,
        recorded.verb,
        recorded.causation_id,
        min(recorded.version, _LARGEST),
        None if skipped is None else _text(skipped),
        text,
    )
    # What a text of the event holds, its body holds: escaped, for it is JSON.
    return row if _ESCAPED_NUL not in text else tuple(_without_nul(each) for each in row)


def unreadable_row(row: Row, reason: str) -> Values:
    """Return the row of a message that cannot be read; `row` is what an audit says of it."""
    told = (row.position, None, None, row.entity, _text(row.id), row.event, None, None, None, None, None, None, None)
    return (*told, _text(reason), None)


def reason_of(recorded: Recorded) -> str | None:
    """Return why an event happened, as far as it says so itself."""
    event = recorded.event
    for name in _WHY[type(event)]:
        reason = getattr(event, name)
        if isinstance(reason, str) and reason:
            return reason
    return None


def _text(text: str | None) -> str | None:
    return text.replace(_NUL, _INSTEAD) if text is not None and _NUL in text else text


def _without_nul(value: Any) -> Any:
    return value.replace(_NUL, _INSTEAD).replace(_ESCAPED_NUL, _ESCAPED_INSTEAD) if isinstance(value, str) else value


def _whole(number: int) -> int:
    return number if -_LARGEST <= number <= _LARGEST else (_LARGEST if number > 0 else -_LARGEST)


def _json(value: Any) -> str:
    if value == ():
        return "[]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace(_ESCAPED_NUL, _ESCAPED_INSTEAD)
