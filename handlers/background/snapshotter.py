"""Stores a snapshot of the served pool every so many events, beside the writer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from handlers.memory.snapshots import GradualImage, encode
from handlers.ports import LogUnavailableError
from projections.state.state_image import SnapshotError

if TYPE_CHECKING:
    from handlers.memory.snapshots import Snapshots
    from handlers.ports import Clock
    from handlers.writer.pool_access import PoolAccess

_LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 5.0
MIN_INTERVAL_S = 60.0
"""The least time between two snapshots, however many events came."""


class Snapshotter:
    """Stores one pool's snapshots; `last_position` is that of the one it began with."""

    def __init__(self, pool: PoolAccess, snapshots: Snapshots, clock: Clock, *, last_position: int) -> None:
        self._pool = pool
        self._snapshots = snapshots
        self._clock = clock
        self.last_position = last_position

    async def run(self) -> None:
        """Store snapshots until cancelled. A failure is a warning: the log has everything."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            if self._pool.state.committed_position - self.last_position < self._snapshots.every:
                continue
            try:
                await self.take()
            except (SnapshotError, LogUnavailableError) as error:
                _LOG.warning("no snapshot is stored: %s", error)
            await self._clock.sleep(MIN_INTERVAL_S - LOOK_EVERY_S)

    async def take(self) -> int:
        """Store a snapshot of what is acknowledged; return its position. Raises SnapshotError, LogUnavailableError."""
        image = await (await self._pool.read(GradualImage)).finished()
        document = await asyncio.to_thread(encode, image, self._snapshots.build)
        await self._snapshots.store.put(image.state.position, document)
        self.last_position = image.state.position
        _LOG.info("stored a snapshot of position %d, %d bytes", self.last_position, len(document))
        return self.last_position
