"""The pool as a dashboard sees it: a projection of the feed that the broker republishes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domain.errors import FoldError
from domain.lifecycles import TERMINAL, IllegalTransitionError, TaskStatus
from handlers.ports import StoredMessage, UnreadableEventError, evt_prefix
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import feed_prefix
from infra.nats.wire_format import SEQUENCE
from projections.state.pool_state import PoolState

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.msg import Msg

    from domain.recorded import Recorded
    from domain.rules import Rules
    from domain.task import Task
    from handlers.ports import Codec
    from infra.nats.connection import NatsConnection

AT_REST = TERMINAL | {TaskStatus.QUARANTINED}
"""Statuses in which the demo expects every task to end."""


class FeedProjection:
    """Folds the feed; gaps in its positions are filled from the stream."""

    def __init__(
        self,
        connection: NatsConnection,
        pool: str,
        rules: Rules,
        codec: Codec,
        on_event: Callable[[Recorded, Task | None], None],
    ) -> None:
        self.state = PoolState(pool, rules)
        self.status_of: dict[str, TaskStatus] = {}
        self.at_rest = 0
        """How many tasks are in a status of `AT_REST`."""
        self._connection = connection
        self._pool = pool
        self._codec = codec
        self._on_event = on_event
        """Called with each event, and the task as it was before."""
        self._feed: asyncio.Queue[Msg] = asyncio.Queue()

    async def listen(self) -> None:
        """Subscribe to the feed; call it before the pool is served, so that no event is missed."""
        client = self._connection.client
        await client.subscribe(f"{feed_prefix(self._pool)}>", cb=self._feed.put)
        await client.flush()

    async def run(self) -> None:
        """Follow the feed until cancelled; the stream must exist. Raises LogUnavailableError."""
        log = await NatsEventLog.open(self._connection, self._pool)
        try:
            while True:
                message = await self._feed.get()
                headers = message.headers or {}
                position = int(headers[SEQUENCE])
                if position > self.state.position + 1:
                    async for chunk in log.read(after=self.state.position, until=position):
                        for stored in chunk:
                            self._fold(stored)
                elif position == self.state.position + 1:
                    subject = message.subject.replace(feed_prefix(self._pool), evt_prefix(self._pool), 1)
                    self._fold(StoredMessage(position, subject, message.data, headers))
        finally:
            await log.close()

    def _fold(self, stored: StoredMessage) -> None:
        try:
            recorded = self._codec.decode(stored)
            before = self.state.task(recorded.entity_id)
            self.state.fold(recorded)
        except (UnreadableEventError, FoldError, IllegalTransitionError):
            self.state.skip(stored.position)
            return
        task = self.state.task(recorded.entity_id)
        if task is not None:
            self.at_rest += (task.status in AT_REST) - (self.status_of.get(task.task_id) in AT_REST)
            self.status_of[task.task_id] = task.status
        self._on_event(recorded, before)
