"""Who had a task at a moment, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.statuses import TaskStatus
from domain.timestamps import format_timestamp
from projections.reports.time_text import moment

if TYPE_CHECKING:
    from datetime import datetime

    from domain.task import Task


class CustodyAt(NamedTuple):
    """What a task was at a moment."""

    task_id: str
    position: int
    """The log's, at the moment."""
    now: datetime
    """The moment."""
    task: Task | None
    """None: it was not submitted yet."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; what did not apply then is null."""
        task, lease = self.task, None if self.task is None else self.task.lease
        return {
            "task_id": self.task_id,
            "position": self.position,
            "now": format_timestamp(self.now),
            "status": None if task is None else task.status.value,
            "status_since": None if task is None else format_timestamp(task.status_since),
            "attempt": None if task is None else task.attempt,
            "agent_id": None if lease is None else lease.agent_id,
            "token": None if lease is None else lease.token,
            "granted_at": None if lease is None else format_timestamp(lease.granted_at),
            "expires_at": None if lease is None else format_timestamp(lease.expires_at),
            "percent": None if lease is None else lease.percent,
        }

    def line(self) -> str:
        """Return the answer in words."""
        return f"{self.task_id} at {moment(self.now)}: {self._words()}"

    def _words(self) -> str:
        task = self.task
        if task is None:
            return "not submitted yet"
        lease = task.lease
        if lease is not None:
            state = f"{lease.percent} %" if task.status is TaskStatus.IN_PROGRESS else task.status.value
            return f"{lease.agent_id} had it since {self._since(lease.granted_at)}, token {lease.token}, {state}"
        last = task.last_lease if task.outcome is None or task.outcome.agent_id is None else task.outcome
        before = "" if last is None else f"; {last.agent_id} had it last, token {last.token}"
        return f"no agent had it, {task.status} since {self._since(task.status_since)}{before}"

    def _since(self, at: datetime) -> str:
        """Return a moment, without its date if that is the answer's."""
        text = moment(at)
        return text[11:] if text[:10] == moment(self.now)[:10] else text
