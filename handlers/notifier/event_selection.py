"""The projection of a log onto messages: each event that an endpoint wants, as a message to it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.events import Entity
from handlers.notifier.message import Message, cut, message_id
from projections.reports.wording import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from domain.recorded import Recorded
    from handlers.notifier.subscription import Subscription
    from projections.state.pool_state import PoolState

_AGENT_FIELDS = ("agent_id", "from_agent", "to_agent")
_TASKS_FIELD = "task_ids"


class Wanted(NamedTuple):
    """A subscription, and the position behind which it begins."""

    subscription: Subscription
    since: int


class EventSelection:
    """Collects messages while the log is folded; `state` is the fold."""

    def __init__(
        self,
        state: PoolState,
        wanted: Sequence[Wanted],
        observe: Callable[[Recorded], None] | None = None,
    ) -> None:
        """`observe` is called with each event that the state has folded."""
        self._state = state
        self._wanted = wanted
        self._observe = observe
        self._messages: list[Message] = []

    def apply(self, recorded: Recorded, body: bytes) -> None:
        """Take an event that the state has just folded; `body` is the stored message."""
        if self._observe is not None:
            self._observe(recorded)
        kind = kind_of(recorded)
        wanted = [
            each.subscription
            for each in self._wanted
            if recorded.position > each.since and each.subscription.may_want_event(kind)
        ]
        if not wanted:
            return
        labels, agents = labels_of(recorded, self._state), agents_of(recorded, self._state)
        data: dict[str, Any] | None = None
        for subscription in wanted:
            if subscription.concerns(labels, agents):
                data = data or event_data(recorded, self._state, labels)
                endpoint = subscription.endpoint
                told = message_id(
                    self._state.pool.pool_id, recorded.position, endpoint, hashlib.sha256(body).hexdigest()
                )
                self._messages.append(
                    Message(endpoint, told, recorded.position, recorded.event.type_name, recorded.time, data)
                )

    def skip(self, position: int, subject: str, body: bytes, reason: str, recorded: Recorded | None) -> None:
        """Take a message that the fold skips: it is no event, so it is told to no endpoint."""

    def take_changes(self) -> list[Message]:
        """Return the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages


def kind_of(recorded: Recorded) -> str:
    """Return an event's kind, such as `task.completed`."""
    return f"{recorded.entity.value}.{recorded.name}"


def labels_of(recorded: Recorded, state: PoolState) -> Collection[str]:
    """Return the labels of the tasks that an event concerns, as far as they are in memory."""
    if recorded.entity is Entity.TASK:
        return labels_of_task(recorded.entity_id, state)
    tasks: Sequence[str] = getattr(recorded.event, _TASKS_FIELD, ())
    return {label for task_id in tasks for label in labels_of_task(task_id, state)}


def labels_of_task(task_id: str, state: PoolState) -> Collection[str]:
    """Return the labels of a task; none if it is not in memory."""
    task = state.task(task_id)
    return () if task is None else task.definition.labels


def agents_of(recorded: Recorded, state: PoolState) -> Collection[str]:
    """Return the agents that an event names, that caused it, or that hold its task."""
    found = {getattr(recorded.event, name, None) for name in _AGENT_FIELDS}
    if recorded.entity is Entity.AGENT:
        found.add(recorded.entity_id)
    if recorded.actor.startswith("agent/"):
        found.add(recorded.actor.removeprefix("agent/"))
    task = state.task(recorded.entity_id) if recorded.entity is Entity.TASK else None
    if task is not None and task.lease is not None:
        found.add(task.lease.agent_id)
    return {each for each in found if each}


def event_data(recorded: Recorded, state: PoolState, labels: Collection[str]) -> dict[str, Any]:
    """Return what a message on an event says, as JSON values."""
    is_task = recorded.entity is Entity.TASK
    task = state.task(recorded.entity_id) if is_task else None
    title = "" if task is None else task.definition.title
    agent_id = recorded.entity_id if recorded.entity is Entity.AGENT else getattr(recorded.event, "agent_id", None)
    what = describe(recorded.event)
    about = f"{recorded.entity.value} {recorded.entity_id}" if recorded.entity is not Entity.POOL else "pool"
    named = f' "{title}"' if title else ""
    text = f"{about}{named}: {recorded.name.replace('_', ' ')} by {recorded.actor}{f': {what}' if what else ''}"
    return {
        "pool": state.pool.pool_id,
        "position": recorded.position,
        "kind": kind_of(recorded),
        "task_id": recorded.entity_id if is_task else None,
        "title": title,
        "labels": sorted(labels),
        "agent_id": agent_id,
        "actor": recorded.actor,
        "text": cut(text),
        "event": recorded.event.model_dump(mode="json"),
    }
