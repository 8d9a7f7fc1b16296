"""The morning report's fold over a stretch of the log: a slice in a turn of the event loop, and where it stopped."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from handlers.ports import UnreadableEventError
from projections.live.morning import LEFT_OUT, Morning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.recorded import Recorded
    from handlers.follower.follower import Follower
    from handlers.ports import StoredMessage

SLICE = 500
"""Messages taken in one turn of the event loop: some milliseconds, for most are not decoded."""


class MorningFold:
    """Folds the events behind a position, and goes on where it stopped."""

    def __init__(self, follower: Follower, begin: int) -> None:
        """`begin`: the position behind which it begins."""
        self.morning = Morning()
        self.begin = begin
        self.through = begin
        """The position of the last event that was folded or left out."""
        self.memory = follower.memory
        """The follower's at the beginning; another one is of another log."""
        self._log = follower.log
        self._codec = follower.codec

    async def advance(self, until: int, limit_s: float) -> bool:
        """Fold on to a position, for about so long; return whether it is reached. It always takes at least one slice.

        It may be broken off at any `await`, and be called again. Raises LogUnavailableError, LogTruncatedError.
        """
        if until <= self.through:
            return True
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + limit_s
        async with aclosing(self._log.read(after=self.through, until=until)) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), SLICE):
                    messages = chunk[start : start + SLICE]
                    self.morning.observe(self._records(messages))
                    self.through = messages[-1].position
                    await asyncio.sleep(0)
                    if loop.time() >= ends_at and self.through < until:
                        return False
        return True

    def _records(self, messages: Sequence[StoredMessage]) -> list[Recorded]:
        """Return the events that the report is about, of those that can be read."""
        records = []
        for message in messages:
            if message.subject.rpartition(".")[2] in LEFT_OUT:
                continue
            try:
                records.append(self._codec.decode(message))
            except UnreadableEventError:
                continue
        return records
