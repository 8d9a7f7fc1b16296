"""Reading the log's chunks in the background, while earlier ones are folded and written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from handlers.ports import LogUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from handlers.ports import StoredMessage


class ChunkReader:
    """Reads one chunk ahead. An error that ends the reading is kept for `raise_failure`."""

    def __init__(self, chunks: AsyncGenerator[Sequence[StoredMessage], None], on_first: Callable[[], None]) -> None:
        """`on_first` is called when the first chunk is taken."""
        self._chunks = chunks
        self._on_first: Callable[[], None] | None = on_first
        self._next: asyncio.Future[Sequence[StoredMessage] | None] | None = None
        self._failure: LogUnavailableError | None = None
        self.ended = False
        """Whether there will be no more chunks: the range was read, or the log became unavailable."""

    def next(self) -> asyncio.Future[Sequence[StoredMessage] | None]:
        """Return a future that is done once `take` has a chunk or the end to give."""
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._chunks, None))
        return self._next

    def take(self) -> Sequence[StoredMessage]:
        """Return the next chunk if it was read, else nothing."""
        if self._next is None or not self._next.done():
            return ()
        coming, self._next = self._next, None
        try:
            chunk = coming.result()
        except LogUnavailableError as error:
            chunk, self._failure = None, error
        self.ended = chunk is None
        if self._on_first is not None and chunk:
            self._on_first()
            self._on_first = None
        return chunk or ()

    def raise_failure(self) -> None:
        """Raise the LogUnavailableError (which may be a LogTruncatedError) that ended the reading, if one did."""
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Cancel the read under way."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        await self._chunks.aclose()
