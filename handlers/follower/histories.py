"""Histories of single tasks and agents, read from the log once and then only further."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from domain.events import Entity
from projections.live.recent import event_line
from projections.live.task_story import TaskStory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from domain.recorded import Recorded
    from handlers.memory.log_reads import LogReads
    from handlers.ports import StoredMessage

    class Story(Protocol):
        """What events are folded into."""

        count: int

        def observe(self, records: Sequence[Recorded]) -> None:
            """Follow events, in order."""
            ...


KEPT = 32
"""Histories that are kept, of each kind."""
MAX_AGENT_EVENTS = 200

_S = TypeVar("_S", bound="Story")


class AgentStory:
    """The newest events about an agent."""

    def __init__(self) -> None:
        self.count = 0
        self._lines: deque[dict[str, Any]] = deque(maxlen=MAX_AGENT_EVENTS)

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow the agent's events, in order."""
        self.count += len(records)
        self._lines.extend(event_line(each) for each in records[-MAX_AGENT_EVENTS:])

    def document(self) -> dict[str, Any]:
        """Return the story as JSON values."""
        return {"events": [*self._lines], "events_left_out": self.count - len(self._lines)}


class _Kept(Generic[_S]):
    def __init__(self, story: _S) -> None:
        self.story = story
        self.through = 0
        self.reading = asyncio.Lock()


class Histories(Generic[_S]):
    """The histories of one kind of entity."""

    def __init__(self, reads: LogReads, entity: Entity, new_story: Callable[[], _S]) -> None:
        self._reads = reads
        self._entity = entity
        self._new_story = new_story
        self._kept: OrderedDict[str, _Kept[_S]] = OrderedDict()

    async def of(self, entity_id: str, until: int | None = None) -> _S | None:
        """Return the story of an entity up to a position, or to its newest event; None if it has no events by then.

        Raises LogUnavailableError.
        """
        subject = f"{self._reads.subject(self._entity, entity_id)}.>"
        newest = await self._reads.last(subject)
        if newest is None:
            return None
        if until is not None and until < newest.position:
            # Of the past, which is looked at rarely, nothing is kept.
            found = _Kept(self._new_story())
            await self._read(found, subject, until)
        else:
            found = self._kept.get(entity_id) or _Kept(self._new_story())
            self._kept[entity_id] = found
            self._kept.move_to_end(entity_id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            async with found.reading:
                await self._read(found, subject, newest.position)
        return found.story if found.story.count else None

    async def _read(self, kept: _Kept[_S], subject: str, until: int) -> None:
        if until <= kept.through:
            return

        def fold(messages: Sequence[StoredMessage], records: list[Recorded]) -> None:
            kept.story.observe(records)
            # Noted as it is read: a read that breaks off half-way goes on where it was.
            kept.through = messages[-1].position

        await self._reads.take_slices([subject], kept.through, until, fold)
        kept.through = max(kept.through, until)


def task_histories(reads: LogReads) -> Histories[TaskStory]:
    """Return the histories of tasks."""
    return Histories(reads, Entity.TASK, TaskStory)


def agent_histories(reads: LogReads) -> Histories[AgentStory]:
    """Return the histories of agents."""
    return Histories(reads, Entity.AGENT, AgentStory)
