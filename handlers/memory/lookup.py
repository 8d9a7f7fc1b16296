"""Look-ups in the log of what has left memory: finished tasks, deregistered agents, events of old outcomes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from domain.agent import Agent, evolve_agent
from domain.errors import FoldError
from domain.events import Entity
from domain.lifecycles import IllegalTransitionError
from domain.task import Task, evolve_task
from handlers.ports import UnreadableEventError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from domain.draft import EntityKey, EntityState
    from domain.recorded import Recorded
    from handlers.ports import Codec, ReadableLog, StoredMessage

_E = TypeVar("_E")

MAX_REQUESTS = 500
"""Requests to the broker at once: more would time out waiting behind each other."""
_FIRST_EVENT = {Entity.TASK: "submitted", Entity.AGENT: "registered"}


class Lookup:
    """Reads single entities from one pool's log."""

    def __init__(self, pool_id: str, log: ReadableLog, codec: Codec) -> None:
        self._prefix = f"custody.{pool_id}.evt."
        self._log = log
        self._codec = codec
        self._slots = asyncio.Semaphore(MAX_REQUESTS)

    async def entity(self, key: EntityKey) -> EntityState | None:
        """Return a task or an agent as the log has it, None if the log never had it. Raises LogUnavailableError."""
        entity, entity_id = key
        async with self._slots:
            first = await self._log.last_by_subject(f"{self._prefix}{entity.value}.{entity_id}.{_FIRST_EVENT[entity]}")
        if first is None:
            return None
        records = await self.records(key)
        return fold_agent(records) if entity is Entity.AGENT else fold_task(records)

    async def records(self, key: EntityKey) -> list[Recorded]:
        """Return every readable event of an entity, in order. Raises LogUnavailableError."""
        entity, entity_id = key
        async with self._slots:
            messages = await self._log.history(f"{self._prefix}{entity.value}.{entity_id}.>")
        return self._decoded(messages)

    async def at(self, positions: Iterable[int]) -> list[Recorded]:
        """Return the events at these positions. Raises LogUnavailableError."""
        async with self._slots:
            messages = [await self._log.get(position) for position in positions]
        return self._decoded([message for message in messages if message is not None])

    def _decoded(self, messages: Sequence[StoredMessage]) -> list[Recorded]:
        records = []
        for message in messages:
            try:
                records.append(self._codec.decode(message))
            except UnreadableEventError:
                continue
        return records


def fold_task(records: Iterable[Recorded], *, until: int | None = None) -> Task | None:
    """Return a task as its events leave it, up to a position."""
    return _fold(records, evolve_task, until)


def fold_agent(records: Iterable[Recorded], *, until: int | None = None) -> Agent | None:
    """Return an agent as its events leave it, up to a position."""
    return _fold(records, evolve_agent, until)


def _fold(records: Iterable[Recorded], evolve: Callable[[_E | None, Recorded], _E], until: int | None) -> _E | None:
    entity: _E | None = None
    for recorded in records:
        if until is not None and recorded.position > until:
            break
        with contextlib.suppress(FoldError, IllegalTransitionError):  # every fold skips such an event
            entity = evolve(entity, recorded)
    return entity
