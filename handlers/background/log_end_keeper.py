"""Remembers the end of the served log outside of it, and notices when the log is gone, replaced or shorter."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from handlers.log_end import LogEnd, LogEndStoreError, encode
from handlers.ports import LogLostError, LogMissingError, LogUnavailableError
from handlers.projector.log_identity import log_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.log_end import LogEndStore
    from handlers.ports import Clock, Codec
    from handlers.projector.read_model import FollowableLog

_LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
MISSING_LOOKS = 3
"""So many looks in a row must find no log before that is believed: a new leader of a cluster may not know it yet."""
LEAST_AHEAD = 1_000
"""Positions by which the log may grow between two looks, at the least."""


class LogEndKeeper:
    """Keeps what was acknowledged last of one pool's log."""

    def __init__(
        self,
        pool: str,
        log: FollowableLog,
        codec: Codec,
        clock: Clock,
        stores: Sequence[LogEndStore],
        acknowledged: Callable[[], tuple[int, str | None]],
        doubted: Callable[[], None],
    ) -> None:
        """`acknowledged` tells the last acknowledged position and the hash there.

        `doubted` is called when the log does not hold what it held at the last look, though it is the same one.
        """
        self._pool = pool
        self._log = log
        self._codec = codec
        self._clock = clock
        self._stores = stores
        self._acknowledged = acknowledged
        self._doubted = doubted
        self._log_id: str | None = None
        self._seen: LogEnd | None = None
        """The end at the last look."""
        self._kept: LogEnd | None = None
        """The end that every store has."""
        self._most_grown = 0
        """The most positions that came between two looks."""
        self._missing = 0
        """Looks in a row that found no log."""
        self._failed = frozenset[str]()
        """The stores that did not take the end last time."""

    async def run(self) -> None:
        """Look every `LOOK_EVERY_S`, until cancelled.

        Raises:
            LogLostError: the log that is served is another one than before.
        """
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Remember the end if it has moved; say so if the log is gone. Raises LogLostError."""
        position, tail_hash = self._acknowledged()
        try:
            await self._check_log()
        except LogMissingError as error:
            self._missing += 1
            if self._missing == MISSING_LOOKS:
                _LOG.critical(
                    "the log of pool %s is gone (%s): nothing can be appended, and agents keep what they hold. Restore "
                    "it with `custody import` of the last export, and this goes on; or stop this, and start it with "
                    "--new-log to open a new log",
                    self._pool,
                    error,
                )
            return
        except LogUnavailableError:
            return
        if self._missing >= MISSING_LOOKS:
            _LOG.warning("pool %s has a log again", self._pool)
        self._missing = 0
        if self._seen is not None:
            self._most_grown = max(self._most_grown, position - self._seen.position)
        await self._keep(position, tail_hash, ahead=max(2 * self._most_grown, LEAST_AHEAD))

    async def remember(self) -> None:
        """Remember the end as it is now, for the last time."""
        position, tail_hash = self._acknowledged()
        await self._keep(position, tail_hash, ahead=0)

    async def _check_log(self) -> None:
        """Check that the log still holds what was seen there. Raises LogLostError if it is another one.

        Raises LogUnavailableError.
        """
        if self._seen is not None:
            message = await self._log.get(self._seen.position)
            if message is not None and self._codec.hash_of(message) == self._seen.hash:
                return
        found = await log_id(self._log, self._codec)
        if self._log_id is not None and found != self._log_id:
            msg = (
                f"another log took the place of the one of pool {self._pool}: restore that with `custody import`, or "
                "start with --new-log to go on with this one"
            )
            raise LogLostError(msg)
        self._log_id = found
        if self._seen is not None:
            self._doubted()

    async def _keep(self, position: int, tail_hash: str | None, *, ahead: int) -> None:
        """Remember an end in every store; the log may grow by `ahead` positions until the next one is remembered."""
        if self._log_id is None or tail_hash is None or not position:
            return
        end = self._seen = LogEnd(self._log_id, position, tail_hash, position + ahead)
        if end == self._kept:
            return
        document, failed = encode(end, self._pool), set[str]()
        for store, outcome in zip(
            self._stores,
            await asyncio.gather(*(store.write(document) for store in self._stores), return_exceptions=True),
            strict=True,
        ):
            if isinstance(outcome, LogEndStoreError):
                failed.add(store.name)
                if store.name not in self._failed:
                    _LOG.warning("the end of the log is not remembered in %s: %s", store.name, outcome)
            elif outcome is not None:
                raise outcome
        self._failed = frozenset(failed)
        if not failed:
            self._kept = end
