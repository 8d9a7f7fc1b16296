"""Remembers the end of the served log outside of it, and notices when the log is gone."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from handlers.log_end import LogEnd, LogEndStoreError, encode
from handlers.ports import LogMissingError, LogUnavailableError
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


class LogReplacedError(Exception):
    """Another log took the place of the one that was served; the message is one line."""


class LogEndKeeper:
    """Keeps what was acknowledged last of one pool's log; `acknowledged` tells its position and hash."""

    def __init__(
        self,
        pool: str,
        log: FollowableLog,
        codec: Codec,
        clock: Clock,
        stores: Sequence[LogEndStore],
        acknowledged: Callable[[], tuple[int, str | None]],
    ) -> None:
        self._pool = pool
        self._log = log
        self._codec = codec
        self._clock = clock
        self._stores = stores
        self._acknowledged = acknowledged
        self._log_id: str | None = None
        self._seen: LogEnd | None = None
        """The end at the last look."""
        self._kept: LogEnd | None = None
        """The end that every store has."""
        self._missing = 0
        """Looks in a row that found no log."""
        self._failed = frozenset[str]()
        """The stores that did not take the end last time."""

    async def run(self) -> None:
        """Look every `LOOK_EVERY_S`, until cancelled.

        Raises:
            LogReplacedError: the log that is served is another one than before.
        """
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Remember the end if it has moved; say so if the log is gone. Raises LogReplacedError."""
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
        if self._log_id is not None and tail_hash is not None and position:
            await self._keep(LogEnd(self._log_id, position, tail_hash))

    async def remember(self) -> None:
        """Remember the end as it is now, for the last time."""
        position, tail_hash = self._acknowledged()
        if self._log_id is not None and tail_hash is not None and position:
            await self._keep(LogEnd(self._log_id, position, tail_hash))

    async def _check_log(self) -> None:
        """Check that the log still holds what was seen there. Raises LogReplacedError, LogUnavailableError."""
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
            raise LogReplacedError(msg)
        self._log_id = found

    async def _keep(self, end: LogEnd) -> None:
        self._seen = end
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
