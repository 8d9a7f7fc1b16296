"""Who holds what, told from the events alone: a second account beside the fold, for checking it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.actors import acting_agent
from domain.events import task as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.recorded import Recorded

_ENDS = (
    ev.Released, ev.Revoked, ev.Expired, ev.Blocked, ev.Completed, ev.Failed, ev.Cancelled, ev.Requeued, ev.Quarantined,
)  # fmt: skip
_EVIDENCE = (ev.LateProgress,)


class Holder(NamedTuple):
    """An agent with the token it holds a task under."""

    agent_id: str
    token: int


class Holders:
    """The holder of every held task."""

    def __init__(self) -> None:
        self.grants = 0
        self._holders: dict[str, Holder] = {}
        self._highest_token = 0

    @property
    def count(self) -> int:
        """How many tasks are held."""
        return len(self._holders)

    def follow(self, recorded: Recorded) -> Iterator[str]:
        """Follow one event; yield what is wrong with it, in words."""
        event, task_id = recorded.event, recorded.entity_id
        if not isinstance(event, ev.TaskEvent) or isinstance(event, _EVIDENCE):
            return
        holder = self._holders.get(task_id)
        if isinstance(event, ev.Leased | ev.Stolen):
            yield from self._granted(recorded.position, task_id, event, holder)
        else:
            yield from _spoken(event, holder, recorded.actor)
            if isinstance(event, _ENDS):
                self._holders.pop(task_id, None)

    def _granted(
        self, position: int, task_id: str, event: ev.Leased | ev.Stolen, holder: Holder | None
    ) -> Iterator[str]:
        self.grants += 1
        if event.token != position:
            yield f"{event.name} grants token {event.token} at position {position}"
        if event.token <= self._highest_token:
            yield f"{event.name} grants token {event.token}, and {self._highest_token} was granted before"
        if isinstance(event, ev.Leased) and holder is not None:
            yield f"granted to {event.agent_id} while {holder.agent_id} holds it"
        if isinstance(event, ev.Stolen) and (holder is None or holder.agent_id != event.from_agent):
            yield f"stolen from {event.from_agent}, and {holder.agent_id if holder else 'nobody'} holds it"
        self._highest_token = max(self._highest_token, event.token)
        self._holders[task_id] = Holder(event.agent_id, event.token)


def _spoken(event: ev.TaskEvent, holder: Holder | None, actor: str) -> Iterator[str]:
    token = getattr(event, "token", None)
    late = isinstance(event, ev.Completed) and event.late
    if isinstance(event, ev.HeldEvent | ev.Completed) and not late:
        if holder is None:
            yield f"{event.name}, and nobody holds it"
        elif token != holder.token:
            yield f"{event.name} under token {token}, and the holder's is {holder.token}"
        elif acting_agent(actor) not in {None, holder.agent_id}:
            yield f"{event.name} by {actor}, and {holder.agent_id} holds it"
    if late and holder is not None:
        yield f"completed late while {holder.agent_id} holds it"
