"""Keeping a read model elsewhere in step with the log: each event counts once there, whatever breaks meanwhile.

The read model keeps its mark, which says how far it is, together with what it keeps. So a crash leaves it whole at some
mark; whether a write without an answer was carried out shows in the mark; and of two projectors that write from one
mark the second is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from contextlib import nullcontext
from typing import TYPE_CHECKING, Generic

from domain.timestamps import EPOCH
from handlers.memory import rebuilding
from handlers.outages import TRIES, Outages, StoppedError
from handlers.ports import LogTruncatedError, LogUnavailableError, UnreadableEventError
from handlers.read_models import (
    C,
    Collector,
    Mark,
    MarkMovedError,
    OutdatedError,
    ReadModel,
    ReadModelUnavailableError,
    RebuiltError,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

    from handlers.memory import Memory
    from handlers.ports import Clock, StoredMessage
    from projections.state import PoolState

STANDBY_S = 3.0
"""How long another projector may leave events unwritten before this one takes over."""


class Projector(Generic[C]):
    """Keeps one read model in step with one pool's log."""

    def __init__(
        self,
        source: Source,
        model: ReadModel[C],
        collect: Callable[[PoolState], Collector[C]],
        clock: Clock,
        tell: Callable[[str], None],
        *,
        most_events: int,
        whole: bool = False,
    ) -> None:
        """`most_events` go into one write. `whole`: begin with all that the log's end comes to, whatever the mark."""
        self._log, self._codec, self._remember = source
        self._model = model
        self._collect = collect
        self._outages = Outages(clock, tell)
        self._tell = tell
        self._most_events = most_events
        self._whole = whole
        self._fold: tuple[Memory, Collector[C]] | None = None
        """What has been folded up to the mark; None when it has to be folded anew."""
        self.mark = Mark()
        """How far the read model is, as far as is known here."""
        self.goal = 0
        """The log's end, as far as is known here."""
        self.written = 0
        """Events that this projector brought into the read model."""
        self.following = False
        """Whether it has been in step once."""
        self.standing_by = False
        """Whether another projector does the work."""
        self.in_doubt = False
        """Set by whoever learns that the log may be another one now: it is looked at before the next write."""

    @property
    def in_trouble(self) -> bool:
        """Whether something does not answer."""
        return self._outages.lasts

    def stop(self) -> None:
        """Let `run` return after what is being written."""
        self._outages.stopping.set()

    async def run(self, *, follow: bool) -> None:
        """Catch up; then, with `follow`, stay in step until `stop`, whatever does not answer meanwhile.

        Raises:
            ReadModelError: it cannot be kept; OutdatedError: it was made from another log.
            LogUnavailableError, ReadModelUnavailableError: no answer for half a minute; not with `follow`.
        """
        self._outages.tries = None if follow else TRIES
        with contextlib.suppress(StoppedError):
            while True:
                try:
                    await self._keep(follow=follow)
                except RebuiltError:
                    self._fold = None
                    self._tell(f"it was rebuilt beyond position {self.mark.position}: going over to that")
                except MarkMovedError:
                    self._fold, self.standing_by = None, True
                    await self._survive(self._stand_by)
                    self.standing_by = False
                except LogTruncatedError as error:
                    raise OutdatedError(f"{self._model.name}: the log lost its tail or was replaced: {error}") from None
                except (LogUnavailableError, ReadModelUnavailableError) as error:
                    await self._outages.wait_out(error)
                else:
                    return

    async def _keep(self, *, follow: bool) -> None:
        state = (self._fold or await self._begin())[0].state
        # Collectors that begin with the whole look at the indexes; the others look at none.
        with rebuilding(state) if state.position == 0 and not self._whole else nullcontext():
            while True:
                self.goal = await self._log.last_position()
                if self.mark.position < self.goal:
                    await self._take_all(self._log.read(after=self.mark.position, until=self.goal))
                elif await self._model.caught_up():
                    break
        self._outages.over(f"at position {self.mark.position}")
        self.following = True
        if follow:
            await self._take_all(self._log.follow_chunks(after=self.mark.position))

    async def _begin(self) -> tuple[Memory, Collector[C]]:
        self.mark = await self._model.mark()
        await self._check()
        end = await self._log.last_position() if self._whole else self.mark.position
        memory = await self._remember(end)
        collector = self._collect(memory.state)
        if self._whole:
            first = await self._log.get(await self._log.first_position())
            log_id = None if first is None else self._codec.hash_of(first)
            before = self.mark.position
            await self._write(collector.take(), self._mark_of(memory, log_id))
            self.written += self.mark.position - before
        self._fold = memory, collector
        return self._fold

    async def _check(self) -> None:
        """Raise OutdatedError unless the log holds what the read model was made from."""
        position, its_hash, log_id, *_ = self.mark
        wrong = None
        if position:
            last = await self._log.last_position()
            first = await self._log.get(await self._log.first_position())
            message = await self._log.get(position)
            if first is None or self._codec.hash_of(first) != log_id:
                wrong = "it was made from another log than the one that the pool has now"
            elif last < position or message is None:
                wrong = f"it stands at position {position}, and the log ends at {last}"
            elif self._codec.hash_of(message) != its_hash:
                wrong = f"the log was rewritten: at position {position} it holds another event than was read"
        if wrong is not None:
            raise OutdatedError(f"{self._model.name}: {wrong}")
        self.in_doubt = False

    async def _take_all(self, chunks: AsyncGenerator[Sequence[StoredMessage], None]) -> None:
        async with contextlib.aclosing(chunks):
            async for chunk in self._until_stopped(chunks):
                for start in range(0, len(chunk), self._most_events):
                    await self._take(chunk[start : start + self._most_events])

    async def _until_stopped(
        self, chunks: AsyncGenerator[Sequence[StoredMessage], None]
    ) -> AsyncIterator[Sequence[StoredMessage]]:
        stopping = asyncio.ensure_future(self._outages.stopping.wait())
        coming: asyncio.Future[Sequence[StoredMessage] | None] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(anext(chunks, None))
                await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    raise StoppedError
                chunk = coming.result()
                if chunk is None:
                    return
                yield chunk
        finally:
            stopping.cancel()
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _take(self, chunk: Sequence[StoredMessage]) -> None:
        if self._fold is None:  # pragma: no cover - `_keep` sees to it
            raise MarkMovedError
        # Should anything break in between, the fold is ahead of the mark and no longer of use.
        (memory, collector), self._fold = self._fold, None
        bodies = {message.position: message.body for message in chunk}
        memory.fold(
            chunk,
            seen=lambda recorded: collector.follow(recorded, bodies[recorded.position]),
            skipped=lambda message, reason: self._skip(collector, message, reason),
        )
        log_id = self.mark.log_id or self._codec.hash_of(chunk[0])
        if self.in_doubt:
            await self._check()
        await self._write(collector.take(), self._mark_of(memory, log_id))
        self.written += len(chunk)
        if not gc.isenabled():
            # While a long log is folded nobody looks for garbage, and a database's client makes some at every write.
            gc.collect(0)
        self._fold = memory, collector

    def _skip(self, collector: Collector[C], message: StoredMessage, reason: str) -> None:
        try:
            recorded = self._codec.decode(message)
        except UnreadableEventError:
            recorded = None
        collector.skip(message.position, message.subject, message.body, reason, recorded)

    @staticmethod
    def _mark_of(memory: Memory, log_id: str | None) -> Mark:
        state = memory.state
        time = None if state.last_time == EPOCH else state.last_time
        return Mark(state.position, memory.tail_hash, log_id, time, memory.unreadable_count)

    async def _write(self, changes: C, after: Mark) -> None:
        """Write until it is written. Raises MarkMovedError, ReadModelError, StoppedError."""
        unknown = False
        while True:
            try:
                await self._model.write(changes, self.mark, after)
            except MarkMovedError:
                if unknown and (await self._model.mark()).same_place(after):
                    break
                raise
            except ReadModelUnavailableError as error:
                unknown = True
                await self._outages.wait_out(error)
            else:
                break
        self.mark = after
        self.goal = max(self.goal, after.position)
        self._outages.over(f"at position {self.mark.position}")

    async def _stand_by(self) -> None:
        """Return when events go unwritten for too long, or when there is nothing to write."""
        self._tell(f"another projector is at work on it, beyond position {self.mark.position}: standing by")
        seen: tuple[Mark, int] | None = None
        while True:
            self.mark, self.goal = await self._model.mark(), await self._log.last_position()
            if self.mark.position >= self.goal and not self.following:
                return
            if seen is not None and seen[0].same_place(self.mark) and seen[1] > self.mark.position:
                self._tell(f"nobody wrote on from position {self.mark.position}: taking over")
                return
            seen = self.mark, self.goal
            await self._outages.pause(STANDBY_S)

    async def _survive(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it until it is done, whatever does not answer meanwhile."""
        while True:
            try:
                await work()
            except (LogUnavailableError, ReadModelUnavailableError) as error:
                await self._outages.wait_out(error)
            else:
                return
