"""One task's history as its page shows it: events in words, attempts, hand-offs, and where it is in its lifecycle."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from domain.events import task as ev
from domain.handoffs import handoff_document
from domain.lifecycles import LEASE_ENDING_EVENTS, TASK, TaskStatus
from domain.timestamps import format_timestamp
from projections.live.actions import task_actions
from projections.live.task_rows import task_row
from projections.queries.documents import task_document
from projections.reports.explain import explain
from projections.reports.history_entry import history_entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.task import Task
    from projections.state.pool_state import PoolState

MAX_EVENTS = 500
"""The newest events that are shown."""
MAX_ATTEMPTS = 100
MAX_HANDOFFS = 20
LARGE_POOL = 50_000
"""Live tasks from which on an explanation names no candidates."""
_HIDDEN = frozenset({TaskStatus.NEW, TaskStatus.UNHELD})
"""Statuses that no person sees: before the first event, and between two events of one append."""


class TaskStory:
    """What happened to a task, folded of its events; of many events the newest of each kind are kept."""

    def __init__(self) -> None:
        self.count = 0
        """Events so far."""
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._attempts: deque[dict[str, Any]] = deque(maxlen=MAX_ATTEMPTS)
        self._handoffs: deque[tuple[Recorded, ev.Handoff]] = deque(maxlen=MAX_HANDOFFS)
        self._held: dict[str, Any] | None = None

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow the task's events, in order."""
        for recorded in records:
            self.count += 1
            self._events.append(_event(recorded))
            self._follow_leases(recorded)
            event = recorded.event
            if isinstance(event, ev.Requeued | ev.Quarantined) and event.handoff is not None:
                self._handoffs.append((recorded, event.handoff))

    def document(self, now: datetime) -> dict[str, Any]:
        """Return the story as JSON values.

        `attempts`: the task's leases in order; who held it from when until when, how far they came, how it ended.
        """
        return {
            "events": [*self._events],
            "events_left_out": self.count - len(self._events),
            "attempts": [*self._attempts],
            "handoffs": [
                {
                    "position": recorded.position,
                    "at": format_timestamp(recorded.time),
                    "after": recorded.name,
                    **handoff_document(handoff, now),
                }
                for recorded, handoff in self._handoffs
            ],
        }

    def _follow_leases(self, recorded: Recorded) -> None:
        event, held = recorded.event, self._held
        if held is not None and recorded.name in LEASE_ENDING_EVENTS:
            held |= {"until": format_timestamp(recorded.time), "end": recorded.name, "why": _why(event)}
            self._held = None
        if isinstance(event, ev.Grant):
            self._held = {
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
            self._attempts.append(self._held)
        elif held is not None and isinstance(event, ev.Progressed):
            held |= {"percent": event.percent, "reports": event.reports}


def task_page(task: Task, story: TaskStory, state: PoolState, now: datetime) -> dict[str, Any]:
    """Return all about one task as JSON values.

    `{task, row, explain, lifecycle, actions}`: `query.task`'s document, `task_row`, the explanation, `lifecycle`, and
    the verbs that the service would not refuse; with what its story tells.
    """
    whole = state if not task.terminal and len(state.tasks) <= LARGE_POOL else None
    return {
        "task": task_document(task, now),
        "row": task_row(task, state, now),
        "explain": explain(task, state.pool, state.rules, now, state=whole).as_json(),
        "lifecycle": lifecycle(task.status.value),
        "actions": list(task_actions(task.status)),
        **story.document(now),
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


def _why(event: Any) -> str | None:
    why = getattr(event, "error", None) or getattr(event, "reason", None)
    return why if isinstance(why, str) else None


def _event(recorded: Recorded) -> dict[str, Any]:
    """Return an event without its documents, of which a long history would have megabytes."""
    document = history_entry(recorded).as_json()
    del document["data"]
    return {**document, "at": document["time"]}
