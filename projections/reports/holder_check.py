"""Checking holders and tokens from the events alone, independently of the fold that `verify` uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.actors import acting_agent
from domain.events import task as ev
from domain.lifecycles import LEASE_ENDING_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.recorded import Recorded


class Holder(NamedTuple):
    """An agent, and the token under which it holds a task."""

    agent_id: str
    token: int


class HolderCheck:
    """Keeps the holder of every held task, and finds events that contradict it."""

    def __init__(self) -> None:
        self.grants = 0
        self._holders: dict[str, Holder] = {}
        self._highest_token = 0

    @property
    def count(self) -> int:
        """The number of held tasks."""
        return len(self._holders)

    def check(self, recorded: Recorded) -> Iterator[str]:
        """Take one event; yield what is wrong with it, in words."""
        event, task_id = recorded.event, recorded.entity_id
        if not isinstance(event, ev.TaskEvent) or isinstance(event, ev.LateProgress):
            return
        holder = self._holders.get(task_id)
        if isinstance(event, ev.Grant):
            yield from self._granted(recorded.position, task_id, event, holder)
        else:
            yield from _on_held_task(event, holder, recorded.actor)
            if event.name in LEASE_ENDING_EVENTS:
                self._holders.pop(task_id, None)

    def _granted(self, position: int, task_id: str, event: ev.Grant, holder: Holder | None) -> Iterator[str]:
        self.grants += 1
        if event.token != position:
            yield f"{event.name} grants token {event.token} at position {position}"
        if event.token <= self._highest_token:
            yield f"{event.name} grants token {event.token}, and {self._highest_token} was granted before"
        if isinstance(event, ev.Leased) and holder is not None:
            yield f"granted to {event.agent_id} while {holder.agent_id} holds it"
        if isinstance(event, ev.Stolen) and (holder is None or holder.agent_id != event.from_agent):
            yield f"stolen from {event.from_agent}, but held by {holder.agent_id if holder else 'no agent'}"
        self._highest_token = max(self._highest_token, event.token)
        self._holders[task_id] = Holder(event.agent_id, event.token)


def _on_held_task(event: ev.TaskEvent, holder: Holder | None, actor: str) -> Iterator[str]:
    token = getattr(event, "token", None)
    late = isinstance(event, ev.Completed) and event.late
    elsewhere = isinstance(event, ev.Completed | ev.Blocked) and event.token is None
    if elsewhere and holder is not None:
        yield f"{event.name} without a token while {holder.agent_id} holds it"
    if isinstance(event, ev.HeldEvent | ev.Completed | ev.Blocked) and not late and not elsewhere:
        if holder is None:
            yield f"{event.name}, but the task has no holder"
        elif token != holder.token:
            yield f"{event.name} under token {token}, and the holder's is {holder.token}"
        elif acting_agent(actor) not in {None, holder.agent_id}:
            yield f"{event.name} by {actor}, and {holder.agent_id} holds it"
    if late and holder is not None:
        yield f"completed late while {holder.agent_id} holds it"
