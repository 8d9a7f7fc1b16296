"""What one run of a client command works with: its settings, its output, and its connections to the broker."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.cli.session.command_error import CommandError
from infra.cli.terminal.output import print_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from infra.cli.terminal.output import Output
    from infra.export.export_file import ExportReader
    from infra.nats.connection import NatsConnection
    from infra.nats.contract_client import CustodyClient
    from infra.nats.event_log import NatsEventLog
    from infra.settings.loading import Origin
    from infra.settings.settings import Settings


@dataclass(slots=True)
class Session:
    """One run of a client command."""

    settings: Settings
    out: Output
    timeout_s: float
    """How long to wait for the broker, and for a reply."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """The settings' sources."""
    export: ExportReader | None = None
    """The file to read instead of the log at the broker; the settings name its pool."""

    @contextlib.asynccontextmanager
    async def connected(
        self, user: str = "operator", *, unnamed_inbox: str = "_INBOX"
    ) -> AsyncIterator[NatsConnection]:
        """A connection to the broker, as its `user`, unless the settings name other credentials.

        `unnamed_inbox`: where answers are heard unless the settings or the user's name say it.

        Raises:
            CredentialsError: a file with credentials cannot be used.
            BrokerUnavailableError: no broker, or it refuses the credentials.
        """
        from infra.cli.session.broker_access import connection_refused, find_access
        from infra.nats.broker_errors import BrokerUnavailableError
        from infra.nats.connection import connect, without_password

        access = find_access(self.settings, user, self.origins)
        access.auth.check()
        if await connection_refused(access.url):
            looked = f" (none runs on {self.settings.data_dir})" if access.guessed else ""
            address = without_password(access.url)
            raise BrokerUnavailableError(f"cannot use the broker at {address}: connection refused{looked}")
        connection = await connect(
            access.url, name="custody-cli", auth=access.auth, unnamed_inbox=unnamed_inbox, deadline_s=self.timeout_s
        )
        connection.violated.add(
            lambda violation: print_error(f"not allowed: {violation.operation} {violation.subject}")
        )
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def reading(self, user: str = "operator") -> AsyncIterator[NatsConnection]:
        """As `connected`, for reading a log: a data directory without a running broker gets a temporary one."""
        async with self._with_temporary_broker(user, allow_empty=False) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def importing(self) -> AsyncIterator[NatsConnection]:
        """As `reading`, for importing a log: an empty data directory gets a temporary broker, too."""
        async with self._with_temporary_broker("writer", allow_empty=True) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _with_temporary_broker(self, user: str, *, allow_empty: bool) -> AsyncIterator[NatsConnection]:
        from infra.cli.session.temporary_broker import TemporaryBrokerError, temporary_broker

        try:
            async with (
                temporary_broker(self.settings, allow_empty=allow_empty),
                self.connected(user=user) as connection,
            ):
                yield connection
        except TemporaryBrokerError as error:
            raise CommandError(str(error)) from None

    @contextlib.asynccontextmanager
    async def client(self, agent: str | None = None) -> AsyncIterator[CustodyClient]:
        """A client of the pool; with an agent's name, one that the agent's own credentials suffice for."""
        from infra.nats.contract_client import CustodyClient

        async with self.connected(unnamed_inbox=f"_INBOX.{agent}" if agent else "_INBOX") as connection:
            yield CustodyClient(connection.client, self.settings.pool)

    @contextlib.asynccontextmanager
    async def log(self, *, live: bool = False) -> AsyncIterator[NatsEventLog]:
        """The pool's log, for reading; `live`: only at a running broker, where it can still grow.

        Raises:
            CommandError: the pool has none.
        """
        from infra.nats.event_log import NatsEventLog

        async with self.connected() if live else self.reading() as connection:
            await stream_info(connection, self.settings.pool)
            log = await NatsEventLog.open(connection, self.settings.pool, request_timeout_s=self.timeout_s)
            try:
                yield log
            finally:
                await log.close()


async def stream_info(connection: NatsConnection, pool: str) -> dict[str, Any]:
    """Return the broker's information on the pool's stream.

    Raises:
        CommandError: there is no such stream, or it holds only part of a log.
    """
    from infra.nats.api import JetStreamApi
    from infra.nats.import_mark import unfinished_import
    from infra.nats.jetstream_errors import ApiError
    from infra.nats.stream import stream_name

    try:
        found = await JetStreamApi(connection).stream_info(stream_name(pool))
    except ApiError as error:
        raise CommandError(str(error)) from None
    if found is None:
        raise CommandError(f"pool {pool} has no log at {connection.url}")
    part = unfinished_import(found, connection.url)
    if part is not None:
        raise CommandError(part)
    return found
