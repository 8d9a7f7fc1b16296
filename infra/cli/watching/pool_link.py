"""The connection of what watches a pool to its log: made as soon as there is one, and made anew wherever it moves to.

The connection itself reconnects to its address for ever. What starts anew here is what that does not mend: an address
or a password that changed with a broker's restart, a connection that was closed for good, a log that is not there yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Protocol

from handlers.memory.snapshots import Snapshots
from handlers.ports import LogError
from infra.broker.data_dir import DataDirError
from infra.cli.session.broker_access import find_access
from infra.cli.session.command_error import CommandError
from infra.cli.session.session import stream_info
from infra.nats.api import JetStreamApi
from infra.nats.broker_errors import BrokerError
from infra.nats.event_log import NatsEventLog
from infra.nats.snapshot_store import NatsSnapshots
from infra.service.fold_build import fold_build
from infra.settings.sources import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infra.cli.session.broker_access import Access
    from infra.cli.session.session import Session
    from infra.nats.connection import NatsConnection

_LOG = logging.getLogger(__name__)
PAUSES_S = (0.5, 1.0, 2.0)
"""Before each further attempt to connect; the last one again and again."""
ADDRESS_EVERY_S = 2.0
"""How often it is looked, while disconnected, whether the broker has another address now."""


class Linked(Protocol):
    """What is done with a connection while it lasts."""

    async def watch(self, link: Link) -> None:
        """Work with a link until cancelled, or until the log cannot be read. Raises LogError."""
        ...

    def unlinked(self, why: str) -> None:
        """Note that there is no link now, and why."""
        ...


class Link:
    """One connection, with the pool's log on it."""

    def __init__(
        self, connection: NatsConnection, log: NatsEventLog, api: JetStreamApi, snapshots: Snapshots | None = None
    ) -> None:
        """`snapshots`: where a copy of the pool may begin; None: at the log's beginning."""
        self.connection = connection
        self.log = log
        self.api = api
        self.snapshots = snapshots


class PoolLink:
    """Keeps a link to the pool's log, and has something watch it."""

    def __init__(self, session: Session, linked: Linked) -> None:
        self._session = session
        self._linked = linked

    async def run(self) -> None:
        """Go on until cancelled."""
        failures = 0
        while True:
            try:
                async with opened_link(self._session) as (link, access):
                    failures = 0
                    await self._watch(link, access)
                why = "the broker has another address now"
            except (BrokerError, LogError, CommandError, DataDirError, SettingsError) as error:
                why = str(error)
            self._linked.unlinked(why)
            pause_s = PAUSES_S[min(failures, len(PAUSES_S) - 1)]
            if failures == 0:
                _LOG.warning("not connected: %s; trying again", why)
            failures += 1
            await asyncio.sleep(pause_s)

    async def _watch(self, link: Link, access: Access) -> None:
        """Have the link watched until it ends by itself, or the broker moves."""
        watching = asyncio.create_task(self._linked.watch(link), name="pool watch")
        moving = asyncio.create_task(self._moved(link.connection, access), name="broker address")
        try:
            await asyncio.wait((watching, moving), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            if moving.done():
                moving.result()
        finally:
            for task in (watching, moving):
                task.cancel()
            await asyncio.gather(watching, moving, return_exceptions=True)

    async def _moved(self, connection: NatsConnection, access: Access) -> None:
        """Return once the broker is found at another address, or the connection was closed for good."""
        while not connection.client.is_closed:
            await asyncio.sleep(ADDRESS_EVERY_S)
            if not connection.is_connected:
                # What cannot be read now is no news: `broker.json` is being written, say.
                with contextlib.suppress(DataDirError, SettingsError):
                    found = find_access(self._session.settings, "operator", self._session.origins)
                    # Without a running broker the address is a guess.
                    if found != access and not found.guessed:
                        return


@contextlib.asynccontextmanager
async def opened_link(session: Session) -> AsyncIterator[tuple[Link, Access]]:
    """A link that is not renewed, and where it leads.

    Raises BrokerError, LogError, CommandError, DataDirError, SettingsError.
    """
    access = find_access(session.settings, "operator", session.origins)
    async with session.connected() as connection:
        await stream_info(connection, session.settings.pool)
        log = await NatsEventLog.open(connection, session.settings.pool, request_timeout_s=session.timeout_s)
        try:
            api, build = JetStreamApi(connection, timeout_s=session.timeout_s), fold_build()
            snapshots = Snapshots(NatsSnapshots(api, session.settings.pool, build), build)
            yield Link(connection, log, api, snapshots), access
        finally:
            await log.close()
