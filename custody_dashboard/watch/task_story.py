"""One task's history as its page shows it: events in words, attempts, hand-offs, and where it is in its lifecycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.events import task as ev
from domain.handoffs import handoff_document
from domain.lifecycles import LEASE_ENDING_EVENTS, TASK, TaskStatus
from domain.timestamps import format_timestamp
from projections.reports.history_entry import history_entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.recorded import Recorded

MAX_EVENTS = 500
"""The newest events that are shown."""
MAX_ATTEMPTS = 100
MAX_HANDOFFS = 50
_HIDDEN = frozenset({TaskStatus.NEW, TaskStatus.UNHELD})
"""Statuses that no person sees: before the first event, and between two events of one append."""


def story(records: Sequence[Recorded], now: datetime) -> dict[str, Any]:
    """Return what happened to a task, by all its events; the newest ones of each kind if there are many."""
    shown, attempts, handoffs = records[-MAX_EVENTS:], attempts_of(records), _handoffs(records, now)
    return {
        "events": [_event(each) for each in shown],
        "events_left_out": len(records) - len(shown),
        "attempts": attempts[-MAX_ATTEMPTS:],
        "handoffs": handoffs[-MAX_HANDOFFS:],
    }


def lifecycle(status: str) -> dict[str, Any]:
    """Return the states of a task, the ways between them with the events that take them, and the state it is in."""
    ways: dict[tuple[str, str], set[str]] = {}
    for source, event, target in TASK.items():
        if target is TaskStatus.UNHELD:
            # What leads out of it is in the same append.
            for middle, later, end in TASK.items():
                if middle is TaskStatus.UNHELD and end not in _HIDDEN:
                    ways.setdefault((source.value, end.value), set()).add(f"{event}, {later}")
        else:
            ways.setdefault((source.value, target.value), set()).add(event)
    hidden = {each.value for each in _HIDDEN}
    return {
        "states": [each.value for each in TaskStatus if each not in _HIDDEN],
        "transitions": [
            [source, target, sorted(events)]
            for (source, target), events in ways.items()
            if source != target and not hidden & {source, target}
        ],
        "at": status,
    }


def attempts_of(records: Sequence[Recorded]) -> list[dict[str, Any]]:
    """Return a task's leases in order: who held it from when until when, how far they came, and how it ended."""
    attempts: list[dict[str, Any]] = []
    held: dict[str, Any] | None = None
    for recorded in records:
        event = recorded.event
        if held is not None and recorded.name in LEASE_ENDING_EVENTS:
            held |= {"until": format_timestamp(recorded.time), "end": recorded.name, "why": _why(event)}
            held = None
        if isinstance(event, ev.Grant):
            held = {
                "attempt": event.attempt,
                "token": event.token,
                "agent_id": event.agent_id,
                "from": format_timestamp(recorded.time),
                "until": None,
                "end": None,
                "why": None,
                "percent": None,
                "reports": 0,
            }
            attempts.append(held)
        elif held is not None and isinstance(event, ev.Progressed):
            held |= {"percent": event.percent, "reports": event.reports}
    return attempts


def _why(event: Any) -> str | None:
    why = getattr(event, "error", None) or getattr(event, "reason", None)
    return why if isinstance(why, str) else None


def _handoffs(records: Sequence[Recorded], now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "position": each.position,
            "at": format_timestamp(each.time),
            "after": each.name,
            **handoff_document(each.event.handoff, now),
        }
        for each in records
        if isinstance(each.event, ev.Requeued | ev.Quarantined) and each.event.handoff is not None
    ]


def _event(recorded: Recorded) -> dict[str, Any]:
    """Return an event without its documents, of which a long history would have megabytes."""
    document = history_entry(recorded).as_json()
    del document["data"]
    return {**document, "at": document["time"]}
