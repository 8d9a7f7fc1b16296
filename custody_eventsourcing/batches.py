"""Atomic batches, each with several inserts.

A broker that keeps one copy on disk handles one batch at a time, and a small one takes as long as a large one. So
inserts that arrive while a batch is in flight share the next one. No insert fails because of another: when the broker
refuses a shared batch, each insert is sent alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from handlers.ports import MAX_BATCH_MESSAGES, AppendConflictError, AppendRejectedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from handlers.ports import NewMessage

_MAX_BYTES = 8 * 1024 * 1024


class Write(NamedTuple):
    """A message to store. `expected`: position of the last one on its subject; 0 for none, None for no condition."""

    message: NewMessage
    expected: int | None
    number: int | None
    """The highest version or notification id on the subject once this is stored; None for subjects without numbers."""


class _Insert(NamedTuple):
    """An insert that waits for a batch."""

    writes: Sequence[Write]
    deadline: float
    first: asyncio.Future[int]
    """The position of its first message."""

    @property
    def subjects(self) -> set[str]:
        return {write.message.subject for write in self.writes}

    @property
    def size_bytes(self) -> int:
        return sum(len(write.message.body) for write in self.writes)


class Batches:
    """Collects inserts of several messages into batches for one stream; `send` stores writes as one batch."""

    def __init__(self, send: Callable[[Sequence[Write], float], Awaitable[int]]) -> None:
        self._send = send
        self._waiting: deque[_Insert] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def store(self, writes: Sequence[Write], deadline: float) -> int:
        """Store all or nothing; return the position of the first. Raises what `send` raises."""
        loop = asyncio.get_running_loop()
        insert = _Insert(writes, deadline, loop.create_future())
        self._waiting.append(insert)
        if self._sending is None:
            self._sending = loop.create_task(self._send_all())
        return await insert.first

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._send_together(self._next_batch())
        finally:
            self._sending = None

    def _next_batch(self) -> list[_Insert]:
        """Take the inserts that may share a batch: within its limits, and without a subject in common."""
        batch: list[_Insert] = []
        rest: deque[_Insert] = deque()
        subjects: set[str] = set()
        messages = size_bytes = 0
        for insert in self._waiting:
            if insert.first.done():
                continue
            messages_then = messages + len(insert.writes)
            bytes_then = size_bytes + insert.size_bytes
            fits = messages_then <= MAX_BATCH_MESSAGES and bytes_then <= _MAX_BYTES
            if batch and not (fits and subjects.isdisjoint(insert.subjects)):
                rest.append(insert)
                continue
            batch.append(insert)
            subjects |= insert.subjects
            messages, size_bytes = messages_then, bytes_then
        self._waiting = rest
        return batch

    async def _send_together(self, inserts: Sequence[_Insert]) -> None:
        if not inserts:
            return
        writes = [write for insert in inserts for write in insert.writes]
        try:
            position = await self._send(writes, min(insert.deadline for insert in inserts))
        except (AppendConflictError, AppendRejectedError) as error:
            if len(inserts) == 1:
                _fail(inserts, error)
                return
            for insert in inserts:
                await self._send_together([insert])
        except Exception as error:  # noqa: BLE001 # raised in `store`
            _fail(inserts, error)
        else:
            for insert in inserts:
                if not insert.first.done():
                    insert.first.set_result(position)
                position += len(insert.writes)


def _fail(inserts: Sequence[_Insert], error: Exception) -> None:
    for insert in inserts:
        if not insert.first.done():
            insert.first.set_exception(error)
