"""Keeping a read model in step with the log: each event takes effect once, whatever fails meanwhile.

The store writes the watermark together with the changes. So a crash leaves the read model consistent at some position;
the stored watermark shows whether a write without an answer was carried out; and of two projectors that write from the
same watermark, the second is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from contextlib import nullcontext
from typing import TYPE_CHECKING, Generic

from handlers.memory.catch_up import rebuilding
from handlers.ports import LogMissingError, LogTruncatedError, LogUnavailableError
from handlers.projector.backoff import MAX_RETRIES, Backoff
from handlers.projector.chunk_reader import ChunkReader
from handlers.projector.log_identity import difference, log_id
from handlers.projector.pending_changes import PendingChanges, WriteBatch
from handlers.projector.read_model import (
    C,
    OutdatedError,
    Projection,
    ReadModel,
    ReadModelUnavailableError,
    RebuiltError,
    Source,
    Watermark,
    WatermarkMovedError,
)
from handlers.projector.stop_request import StoppedError, StopRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from handlers.ports import Clock, StoredMessage
    from projections.state.pool_state import PoolState

CHECK_S = 5.0
"""How long a read model that was destroyed may seem to be in step."""
STANDBY_S = 3.0
"""How long another projector may leave events unwritten before this one takes over."""


class Projector(Generic[C]):
    """Keeps one read model in step with one pool's log."""

    def __init__(
        self,
        source: Source,
        model: ReadModel[C],
        new_projection: Callable[[PoolState], Projection[C]],
        clock: Clock,
        notify: Callable[[str], None],
        *,
        max_events: int,
        replace_all: bool = False,
        begin_at: int | None = None,
    ) -> None:
        """Prepare; `run` does the work.

        `max_events`: the most events in one write. `replace_all`: the first write is the whole content as of the log's
        end, or as of `begin_at`, whatever the watermark. `notify` gets one line for the user on every change of
        circumstances.
        """
        self._log, self._codec, self._fold_until = source
        self._model = model
        self._new_projection = new_projection
        self._clock = clock
        self._stop = StopRequest(clock)
        self._backoff = Backoff(self._stop, notify)
        self._notify = notify
        self._max_events = max_events
        self._replace_all = replace_all
        self._begin_at = begin_at
        self._pending: PendingChanges[C] | None = None
        """Folded up to the watermark; None when the log has to be folded anew."""
        self._check_log = False
        """Whether the log has to be compared with the watermark before the next write."""
        self.watermark = Watermark()
        """The read model's watermark, as last written or read here."""
        self.log_end = 0
        """The log's last position, as far as it is known here."""
        self.written = 0
        """Events that this projector has written."""
        self.following = False
        """Whether it has caught up once."""
        self.standing_by = False
        """Whether another projector does the work."""

    @property
    def failing(self) -> bool:
        """Whether the broker or the store does not answer."""
        return self._backoff.failing

    def stop(self) -> None:
        """Make `run` return once the write under way is done."""
        self._stop.set()

    def note_log_end(self, position: int) -> None:
        """Learn a last position of the log that was read elsewhere."""
        self.log_end = max(self.log_end, position)

    def request_log_check(self) -> None:
        """Check before the next write that the log is still the same one, for example after a reconnect."""
        self._check_log = True

    async def run(self, *, follow: bool) -> None:
        """Catch up; then, with `follow`, stay in step until `stop`, through any outage.

        Raises:
            ReadModelError: it cannot be kept. OutdatedError: it was made from another log.
            LogUnavailableError, ReadModelUnavailableError: no answer for half a minute; not with `follow`.
        """
        self._backoff.limit(None if follow else MAX_RETRIES)
        work = asyncio.ensure_future(self._run(follow=follow))
        checking = asyncio.ensure_future(self._check_regularly())
        try:
            await asyncio.wait({work, checking}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                checking.result()
            await work
        finally:
            work.cancel()
            checking.cancel()
            await asyncio.gather(work, checking, return_exceptions=True)

    async def _check_regularly(self) -> None:
        """Check every `CHECK_S` that the read model is still there. Raises OutdatedError, ReadModelError."""
        while True:
            await self._clock.sleep(CHECK_S)
            if self.following and not self.standing_by and not self.failing:
                with contextlib.suppress(ReadModelUnavailableError):
                    await self._model.ensure_kept()

    async def _run(self, *, follow: bool) -> None:
        with contextlib.suppress(StoppedError):
            while True:
                try:
                    await self._synchronize(follow=follow)
                except RebuiltError:
                    self._pending = None
                    position = self.watermark.position
                    self._notify(f"it was rebuilt beyond position {position}: switching to the rebuilt one")
                except WatermarkMovedError:
                    self._pending, self.standing_by = None, True
                    await self._retrying(self._stand_by)
                    self.standing_by = False
                except LogTruncatedError as error:
                    raise OutdatedError(f"{self._model.name}: the log lost its tail or was replaced: {error}") from None
                except LogMissingError as error:
                    await self._backoff.failed(LogMissingError(f"the log is gone ({error}); restore it"))
                except (LogUnavailableError, ReadModelUnavailableError) as error:
                    await self._backoff.failed(error)
                else:
                    return

    async def _synchronize(self, *, follow: bool) -> None:
        state = (self._pending or await self._start()).memory.state
        # A projection that starts with the whole content reads the state's indexes; the others read none.
        with nullcontext() if self._replace_all else rebuilding(state):
            while True:
                self.log_end = await self._log.last_position()
                if self.watermark.position < self.log_end:
                    await self._project(self._log.read(after=self.watermark.position, until=self.log_end))
                elif await self._finish_catch_up():
                    break
        self._backoff.succeeded(self.watermark.position)
        self.following = True
        if follow:
            await self._project(self._log.follow_chunks(after=self.watermark.position))

    async def _finish_catch_up(self) -> bool:
        """Make the read model ready for readers; return False if it has to follow the log further before that."""
        readers = await self._stop.interrupting(self._model.finish_catch_up())
        if readers is None:
            return True
        if await difference(self._log, self._codec, readers) is None:
            return False
        return await self._stop.interrupting(self._model.finish_catch_up(outdated=readers)) is None

    async def _start(self) -> PendingChanges[C]:
        """Read the watermark, and fold the log up to it; with `replace_all`, up to its position, and write that."""
        self.watermark = await self._model.watermark()
        await self._ensure_same_log()
        end = self.watermark.position
        if self._replace_all:
            end = await self._log.last_position() if self._begin_at is None else self._begin_at
        memory = await self._fold_until(end)
        first_hash = await log_id(self._log, self._codec) if self._replace_all else self.watermark.log_id
        pending = PendingChanges(memory, self._new_projection(memory.state), self._codec, first_hash)
        if self._replace_all:
            before = self.watermark.position
            await self._write(pending.take_batch())
            self.written += self.watermark.position - before
        self._pending = pending
        return pending

    async def _ensure_same_log(self) -> None:
        """Raise OutdatedError unless the log holds what the read model was made from."""
        found = await difference(self._log, self._codec, self.watermark)
        if found is not None:
            raise OutdatedError(f"{self._model.name}: {found}")
        self._check_log = False

    async def _project(self, chunks: AsyncGenerator[Sequence[StoredMessage], None]) -> None:
        """Fold chunks and write the changes: one batch at a time, while the next one is folded."""
        if self._pending is None:  # pragma: no cover - `_synchronize` sees to it
            raise WatermarkMovedError
        # Until its last batch is written, the fold is ahead of the watermark: another attempt could not use it.
        pending, self._pending = self._pending, None
        stopping = asyncio.ensure_future(self._stop.wait())
        # The log may have been replaced before the reader began; later than that, the reader notices.
        reader = ChunkReader(chunks, on_first=self.request_log_check)
        writing: asyncio.Future[None] | None = None
        unfolded: Sequence[StoredMessage] = ()
        try:
            while not reader.ended or pending.events or writing is not None:
                if self._check_log and writing is None and not pending.events:
                    await self._ensure_same_log()
                if unfolded and not self._check_log:
                    unfolded = pending.fold(unfolded, self._max_events)
                if writing is None and self._write_due(pending, reader):
                    writing = asyncio.ensure_future(self._write_batch(pending.take_batch()))
                    continue
                coming = () if unfolded or reader.ended else (reader.next(),)
                busy = () if writing is None else (writing,)
                await asyncio.wait({*coming, *busy, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    await asyncio.gather(*busy)
                    stopping.result()
                if writing is not None and writing.done():
                    writing.result()
                    writing = None
                unfolded = unfolded or reader.take()
            reader.raise_failure()
        finally:
            if writing is None and not pending.events:
                self._pending = pending
            ending = (stopping,) if writing is None else (stopping, writing)
            for each in ending:
                each.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await reader.close()

    def _write_due(self, pending: PendingChanges[C], reader: ChunkReader) -> bool:
        """Return whether to write now: while catching up, only a full batch; else anything that is pending."""
        if self.following or self._check_log or reader.ended or pending.position >= self.log_end:
            return pending.events > 0
        return pending.events >= self._max_events

    async def _write_batch(self, batch: WriteBatch[C]) -> None:
        await self._write(batch)
        self.written += batch.events
        if not gc.isenabled():
            # `rebuilding` turns automatic collection off, and database clients leave cycles at every write.
            gc.collect(0)

    async def _write(self, batch: WriteBatch[C]) -> None:
        """Write until the batch is stored. Raises WatermarkMovedError, ReadModelError, StoppedError."""
        outcome_unknown, after = False, batch.after
        while True:
            try:
                await self._model.write(batch.changes, self.watermark, after)
            except WatermarkMovedError:
                if outcome_unknown and (await self._model.watermark()).same_position(after):
                    break
                raise
            except ReadModelUnavailableError as error:
                outcome_unknown = True
                await self._backoff.failed(error)
            else:
                break
        self.watermark = after
        self.note_log_end(after.position)
        self._backoff.succeeded(self.watermark.position)

    async def _stand_by(self) -> None:
        """Return when the other projector left events unwritten for `STANDBY_S`, or if there is nothing to write."""
        self._notify(f"another projector wrote beyond position {self.watermark.position}: standing by")
        last: tuple[Watermark, int] | None = None
        while True:
            self.watermark, self.log_end = await self._model.watermark(), await self._log.last_position()
            if self.watermark.position >= self.log_end and not self.following:
                return
            if last is not None and last[0].same_position(self.watermark) and last[1] > self.watermark.position:
                self._notify(f"the other projector stopped at position {self.watermark.position}: taking over")
                return
            last = self.watermark, self.log_end
            await self._stop.sleep(STANDBY_S)

    async def _retrying(self, work: Callable[[], Awaitable[None]]) -> None:
        """Repeat the work, with back-off, until it gets its answers."""
        while True:
            try:
                await work()
            except (LogUnavailableError, ReadModelUnavailableError) as error:
                await self._backoff.failed(error)
            else:
                return
