"""Snapshots in memory."""

import asyncio

from handlers.ports import LogUnavailableError
from projections.state.state_image import SnapshotError


class MemorySnapshots:
    """The `SnapshotStore` port on a dict."""

    def __init__(self) -> None:
        self.documents: dict[int, bytes] = {}
        self.failing = False
        self.asked: list[int] = []
        self.stored = asyncio.Event()
        """A snapshot was stored, or should have been."""

    async def positions(self, until: int) -> list[int]:
        if self.failing:
            raise LogUnavailableError("no broker")
        return sorted((position for position in self.documents if position <= until), reverse=True)

    async def get(self, position: int) -> bytes:
        self.asked.append(position)
        if position not in self.documents:
            raise SnapshotError("its part 0 is missing")
        return self.documents[position]

    async def put(self, position: int, document: bytes) -> None:
        self.stored.set()
        if self.failing:
            raise LogUnavailableError("no broker")
        self.documents[position] = document
