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

from handlers.memory.catch_up import rebuilding
from handlers.ports import LogTruncatedError, LogUnavailableError
from handlers.projector.pending_changes import Arrivals, Stretch, Stretches
from handlers.projector.read_model import (
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
from handlers.projector.retries import TRIES, Outages, StoppedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from handlers.ports import Clock, StoredMessage
    from projections.state.pool_state import PoolState

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
        self._fold: Stretches[C] | None = None
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
        state = (self._fold or await self._begin()).memory.state
        # Collectors that begin with the whole look at the indexes; the others look at none.
        with nullcontext() if self._whole else rebuilding(state):
            while True:
                self.goal = await self._log.last_position()
                if self.mark.position < self.goal:
                    await self._take_all(self._log.read(after=self.mark.position, until=self.goal))
                elif await self._outages.unless_stopped(self._model.caught_up()):
                    break
        self._outages.over(f"at position {self.mark.position}")
        self.following = True
        if follow:
            await self._take_all(self._log.follow_chunks(after=self.mark.position))

    async def _begin(self) -> Stretches[C]:
        self.mark = await self._model.mark()
        await self._check()
        end = await self._log.last_position() if self._whole else self.mark.position
        memory = await self._remember(end)
        log_id = self.mark.log_id
        if self._whole:
            first = await self._log.get(await self._log.first_position())
            log_id = None if first is None else self._codec.hash_of(first)
        fold = Stretches(memory, self._collect(memory.state), self._codec, log_id)
        if self._whole:
            before = self.mark.position
            await self._write(fold.cut())
            self.written += self.mark.position - before
        self._fold = fold
        return fold

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
        """Fold what comes, and write it: one stretch at a time, while the next one is folded."""
        if self._fold is None:  # pragma: no cover - `_keep` sees to it
            raise MarkMovedError
        # Until its last stretch is written, the fold is ahead of the mark and of no use to another attempt.
        fold, self._fold = self._fold, None
        stopping = asyncio.ensure_future(self._outages.stopped())
        arrivals = Arrivals(chunks)
        writing: asyncio.Future[None] | None = None
        rest: Sequence[StoredMessage] = ()
        try:
            while not arrivals.ended or fold.events or writing is not None:
                if self.in_doubt and writing is None and not fold.events:
                    await self._check()
                if rest and not self.in_doubt:
                    rest = fold.fold(rest, self._most_events)
                if writing is None and self._due(fold, arrivals):
                    writing = asyncio.ensure_future(self._write_on(fold.cut()))
                    continue
                coming = () if rest or arrivals.ended else (arrivals.next(),)
                busy = () if writing is None else (writing,)
                await asyncio.wait({*coming, *busy, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    await asyncio.gather(*busy)
                    stopping.result()
                if writing is not None and writing.done():
                    writing.result()
                    writing = None
                rest = rest or arrivals.take()
            arrivals.raise_failure()
        finally:
            if writing is None and not fold.events:
                self._fold = fold
            ending = (stopping,) if writing is None else (stopping, writing)
            for each in ending:
                each.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await arrivals.close()

    def _due(self, fold: Stretches[C], arrivals: Arrivals) -> bool:
        """Whether to write what was folded: while it catches up, only as much as goes into one write."""
        if self.following or self.in_doubt or arrivals.ended or fold.position >= self.goal:
            return fold.events > 0
        return fold.events >= self._most_events

    async def _write_on(self, stretch: Stretch[C]) -> None:
        await self._write(stretch)
        self.written += stretch.events
        if not gc.isenabled():
            # While a long log is folded nobody looks for garbage, and a database's client makes some at every write.
            gc.collect(0)

    async def _write(self, stretch: Stretch[C]) -> None:
        """Write until it is written. Raises MarkMovedError, ReadModelError, StoppedError."""
        unknown, after = False, stretch.after
        while True:
            try:
                await self._model.write(stretch.changes, self.mark, after)
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
