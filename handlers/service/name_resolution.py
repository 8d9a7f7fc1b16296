"""Finds in the log the entities that a command names and that have left memory, before the command is queued.

Commands that name the same unknown entity are queued in the order in which they came: a look-up may take longer than
the next one, and a `cancel` must not overtake the `submit` before it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from handlers.ports import LogUnavailableError
from handlers.writer.jobs import FAULT, OVERLOADED, unavailable

if TYPE_CHECKING:
    from domain.entities import EntityKey
    from handlers.memory.lookup import Lookup
    from handlers.service.guarded_tasks import GuardedTasks
    from handlers.writer.jobs import Job
    from handlers.writer.writer import Writer

MAX_RESOLVING_BYTES = 64 * 1024 * 1024
"""Bytes of the commands that may wait for a look-up at once."""


class NameResolution:
    """Brings named entities back into memory, then queues the job."""

    def __init__(self, writer: Writer, lookup: Lookup, tasks: GuardedTasks) -> None:
        self._writer = writer
        self._lookup = lookup
        self._tasks = tasks
        self._bytes = 0
        self._latest: dict[EntityKey, asyncio.Event] = {}
        """By entity that is looked up: set once the last job that names it is queued or refused."""

    def submit(self, job: Job) -> None:
        """Queue a job; first look up what it names, unless all of that is in memory and not being looked up."""
        if self._writer.memory.state.knows_all(job.names) and self._latest.keys().isdisjoint(job.names):
            self._writer.submit(job)
        else:
            self.resolve(job)

    def resolve(self, job: Job) -> None:
        """Look up what a job names and memory lacks, then queue it."""
        if self._tasks.full or self._bytes + job.size > MAX_RESOLVING_BYTES:
            self._writer.refuse(job, OVERLOADED)
            return
        self._bytes += job.size
        state = self._writer.memory.state
        earlier = [self._latest[name] for name in job.names if name in self._latest]
        mine = asyncio.Event()
        names = [name for name in job.names if name in self._latest or not state.knows(name)]
        self._latest |= dict.fromkeys(names, mine)
        self._tasks.spawn(self._resolve(job, earlier, names, mine), lambda: self._writer.refuse(job, FAULT))

    async def _resolve(
        self, job: Job, earlier: list[asyncio.Event], names: list[EntityKey], mine: asyncio.Event
    ) -> None:
        try:
            for event in earlier:
                await event.wait()
            await self._find(job)
        finally:
            self._bytes -= job.size
            mine.set()
            for name in names:
                if self._latest.get(name) is mine:
                    del self._latest[name]

    async def _find(self, job: Job) -> None:
        memory = self._writer.memory
        state = memory.state
        while True:
            job.begin_look_up(state.committed_position)
            names = [name for name in job.names if not state.knows(name)]
            try:
                # One after the other, a thousand new tasks would wait for a thousand answers of the broker.
                entities = await asyncio.gather(*map(self._lookup.entity, names))
            except LogUnavailableError:
                message = "the broker did not answer a look-up in time; nothing was done; try again"
                self._writer.refuse(job, unavailable(message))
                return
            if state.ended.evicted_through <= job.looked_up_at:
                break
            # Meanwhile what was found may have changed, come into memory and left it again.
        found = zip(names, entities, strict=True)
        job.end_look_up(name for name, entity in found if entity is None or not memory.load_ended(name, entity))
        self._writer.submit(job)
