"""What may need a person, as a page lists it, and what is said of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.actors import acting_agent
from domain.timestamps import format_timestamp, seconds_between
from projections.reports.time_text import duration
from projections.reports.wording import count

if TYPE_CHECKING:
    from datetime import datetime

    from domain.task import Task
    from projections.live.floods import Flood
    from projections.live.service_health import ServiceHealth

KINDS = (
    "writer_down", "blocked", "quarantined", "deadline", "stuck", "stalled", "unworkable", "lost_agent", "flood",
)  # fmt: skip
"""The worst first."""
ACTIONS: dict[str, tuple[str, ...]] = {
    "writer_down": (),
    "blocked": ("unblock", "cancel"),
    "quarantined": ("requeue", "cancel"),
    "deadline": ("cancel",),
    "stuck": ("requeue", "revoke", "cancel"),
    "stalled": ("revoke", "cancel"),
    "unworkable": (),
    "lost_agent": ("revoke",),
    "flood": ("pause",),
}
"""The verbs that a person may answer with; `revoke` of a lost agent is about each task that it still holds, `pause` of
a flood about the agent that writes it."""


class Need(NamedTuple):
    """Something that needs a person."""

    kind: str
    """One of `KINDS`."""
    key: str
    """The same for as long as it is the same need, such as `quarantined:T1`."""
    task_id: str | None
    agent_id: str | None
    since: datetime
    """Since when; of a deadline: the deadline."""
    title: str
    """The task's title, or what it is, in a few words."""
    detail: str
    """Why, in words."""
    question: str | None = None
    """What a blocked task needs to know."""
    actions: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    """Of a lost agent: what it still holds, or lost and no agent has taken since; of `unworkable`: one such task."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**self._asdict(), "since": format_timestamp(self.since)}


class Needs(NamedTuple):
    """The needs at a moment."""

    items: list[Need]
    """At most `MAX_NEEDS`, the worst first; of one kind, the oldest first."""
    more: int
    """How many are left out."""

    def as_json(self) -> dict[str, Any]:
        """Return them as JSON values: `{items, more}`."""
        return {"items": [each.as_json() for each in self.items], "more": self.more}


def need_of_task(kind: str, key: str, task: Task) -> Need:
    """Return the need that a task is: of a kind that names tasks, with its key."""
    lease, since = task.lease, task.status_since
    detail = (task.outcome.detail if task.outcome is not None else None) or ""
    if kind == "deadline":
        since = task.definition.deadline or since
        detail = f"{task.status.value.replace('_', ' ')}" + (f" with {lease.agent_id}" if lease is not None else "")
    elif lease is not None and kind == "stalled":
        since = lease.stalled_at or since
        moved = lease.advanced_at or lease.granted_at
        stood = duration(seconds_between(moved, since))
        detail = f"{lease.agent_id} is heard, and had stood at {lease.percent} % for {stood} when it was noticed"
    elif lease is not None:
        heard = lease.last_beat_at or lease.granted_at
        detail = (
            f"{lease.agent_id} was silent for {duration(max(seconds_between(heard, since), 0.0))}, at {lease.percent} %"
        )
    return Need(
        kind,
        key,
        task.task_id,
        task.holder,
        since,
        task.definition.title or task.task_id,
        detail,
        question=task.question if kind == "blocked" else None,
        actions=ACTIONS[kind],
    )


def need_of_service(health: ServiceHealth, since: datetime) -> Need:
    """Return the need that a service is which has not answered since a moment."""
    title = "the service does not answer: nothing is granted, and nothing expires"
    return Need("writer_down", "writer_down", None, None, since, title, health.why, actions=ACTIONS["writer_down"])


def need_of_flood(flood: Flood) -> Need:
    """Return the need that a flood is."""
    agent_id = acting_agent(flood.actor)
    title = f"{flood.actor or 'the service'} writes {flood.event.replace('_', ' ')} again and again"
    return Need(
        "flood",
        f"flood:{flood.actor}:{flood.event}",
        None,
        agent_id,
        flood.since,
        title,
        f"{count(flood.events, 'event')} so far",
        actions=ACTIONS["flood"] if agent_id is not None else (),
    )
