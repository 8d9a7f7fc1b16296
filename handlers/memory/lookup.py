"""Look-ups in the log of what has left memory: finished tasks, deregistered agents, events of old outcomes.

A look-up costs what it reads. One that is under way serves every caller that asks for the same, and results are kept
within bounds (`SharedResults`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from domain.agent import evolve_agent
from domain.errors import FoldError
from domain.events import Entity
from domain.events import agent as agent_ev
from domain.events import task as ev
from domain.lifecycles import IllegalTransitionError
from domain.task import Task, evolve_task
from handlers.memory.log_reads import KeptSize, LogReads
from handlers.memory.shared_results import NOT_KEPT, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from domain.entities import EntityKey, EntityState
    from domain.recorded import Recorded
    from handlers.ports import Codec, ReadableLog, StoredMessage

_E = TypeVar("_E")

_FIRST_EVENT = {Entity.TASK: ev.Submitted.name, Entity.AGENT: agent_ev.Registered.name}


class _Known(NamedTuple):
    """An entity as the log had it up to a position."""

    entity: EntityState | None
    through: int
    """Position of the newest message that was folded, or skipped as every fold skips it."""
    size: KeptSize


class Lookup:
    """Looks up entities and events in one pool's log."""

    def __init__(
        self, pool_id: str, log: ReadableLog, codec: Codec, committed_position: Callable[[], int] | None = None
    ) -> None:
        """`committed_position` returns the one up to which the log is known to have acknowledged what it holds."""
        self.reads = LogReads(pool_id, log, codec, committed_position)

    async def entity(self, key: EntityKey) -> EntityState | None:
        """Return a task or an agent as the log has it, None if the log never had it. Raises LogUnavailableError.

        True of a moment after the call.
        """
        entity, entity_id = key
        shared = self.reads.shared
        known: _Known | None = shared.kept(key)
        subject = self.reads.subject(entity, entity_id)
        if known is None and await self.reads.last(f"{subject}.{_FIRST_EVENT[entity]}") is None:
            return None
        newest = await self.reads.last(f"{subject}.>")
        if newest is None:
            return None
        end = newest.position
        while known is None or known.through < end:
            known = await shared.share(key, lambda: self._fold_until(key, shared.kept(key), end))
        return known.entity

    async def was_there(self, key: EntityKey) -> bool:
        """Return whether the log has an event of an entity. Raises LogUnavailableError."""
        return await self.reads.last(f"{self.reads.subject(*key)}.>") is not None

    async def records(self, key: EntityKey) -> list[Recorded]:
        """Return every readable event of an entity, in order. Raises LogUnavailableError."""
        subject = f"{self.reads.subject(*key)}.>"
        newest = await self.reads.last(subject)
        records: list[Recorded] = []
        if newest is not None:
            await self.reads.take_slices([subject], 0, newest.position, lambda _, decoded: records.extend(decoded))
        return records

    async def at(self, positions: Sequence[int]) -> list[Recorded]:
        """Return the events at these positions that can be read, in their order. Raises LogUnavailableError."""

        async def read() -> Found[list[Recorded]]:
            found = [await self.reads.get(position) for position in positions]
            records: list[Recorded] = []
            await self.reads.take_slices_of(
                [message for message in found if message is not None], lambda _, decoded: records.extend(decoded)
            )
            return Found(records, NOT_KEPT)

        records: list[Recorded] = await self.reads.shared.share(("at", *positions), read)
        return records

    async def task_at(self, task_id: str, position: int) -> Task | None:
        """Return a task exactly as it was at a position, None if it was not there yet. Raises LogUnavailableError."""

        async def read() -> Found[Task | None]:
            found = await self._fold_until((Entity.TASK, task_id), None, position)
            return Found(cast("Task | None", found.value.entity), found.size)

        task: Task | None = await self.reads.shared.get(("task", task_id, position), read)
        return task

    async def grant(self, task_id: str, token: int) -> Recorded | None:
        """Return the event that granted a task under a token, None if there is none. Raises LogUnavailableError."""
        for recorded in await self.at((token,)):
            if recorded.entity_id == task_id and isinstance(recorded.event, ev.Grant):
                return recorded
        return None

    async def _fold_until(self, key: EntityKey, known: _Known | None, position: int) -> Found[_Known]:
        """Fold an entity's history up to a position, from what is known of it."""
        evolve: Callable[[Any, Recorded], Any] = evolve_agent if key[0] is Entity.AGENT else evolve_task
        entity: Any
        entity, after, size = known if known is not None else (None, 0, KeptSize())

        def fold(messages: Sequence[StoredMessage], records: list[Recorded]) -> None:
            nonlocal entity
            size.add(messages)
            entity = _fold(records, evolve, entity)

        await self.reads.take_slices([f"{self.reads.subject(*key)}.>"], after, position, fold)
        return Found(_Known(entity, position, size), size.kept)


def fold_task(records: Iterable[Recorded]) -> Task | None:
    """Return a task as its events leave it."""
    return _fold(records, evolve_task, None)


def _fold(records: Iterable[Recorded], evolve: Callable[[_E | None, Recorded], _E], entity: _E | None) -> _E | None:
    for recorded in records:
        with contextlib.suppress(FoldError, IllegalTransitionError):  # every fold skips such an event
            entity = evolve(entity, recorded)
    return entity
