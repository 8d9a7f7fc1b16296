"""`custody project`: read models of the log, in a database or in a bucket, kept in step with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from handlers.memory.catch_up import catch_up
from handlers.projector.projector import Projector
from handlers.projector.read_model import C, OutdatedError, ReadModelError, ReadModelUnavailableError, Source
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_broker_log
from infra.cli.session.rebuilding import restore_memory, warnings_printed
from infra.cli.session.session import Session
from infra.cli.terminal.lag_display import LagDisplay
from infra.cli.terminal.progress import errors_only
from infra.host.clock import SystemClock
from infra.host.optional_libraries import install_hint
from infra.host.stop_signals import stop_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from handlers.memory.memory import Memory
    from handlers.projector.read_model import Projection, ReadModel
    from infra.cli.session.log_opening import BrokerLog
    from infra.sql.sql_read_model import SqlReadModel
    from projections.state.pool_state import PoolState

SQL_EVENTS = 20_000
"""The most events in one transaction."""
KV_EVENTS = 300
"""The most events in one write to a bucket: what they change fits into one batch."""


async def project(
    session: Session,
    *,
    sql: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Keep tables, in SQLite (sqlite:///FILE) or PostgreSQL (postgresql://USER@HOST/DATABASE).",
        ),
    ] = None,
    kv: Annotated[
        bool, typer.Option("--kv", help="Keep leases and workloads in a key-value bucket of the broker.")
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make tables anew beside those that are read, then switch; mend the bucket in place."
        ),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="End when the log's end is reached.")] = False,
) -> None:
    """Keep tables or key-value buckets in step with the log, each event once, for others to read and watch."""
    if (sql is None) != kv:
        raise typer.BadParameter("say where to keep it: --sql or --kv, one of them", param_hint="--sql")
    work = _ProjectRun(session, follow=not once, rebuild=rebuild)
    try:
        await (work.tables(sql) if sql is not None else work.bucket())
    except OutdatedError as error:
        raise CommandError(f"{error}; --rebuild makes it anew from the log") from None
    except (ReadModelError, ReadModelUnavailableError) as error:
        raise CommandError(str(error)) from None


class _ProjectRun:
    """One run of the command."""

    def __init__(self, session: Session, *, follow: bool, rebuild: bool) -> None:
        self._session = session
        self._follow = follow
        self._rebuild = rebuild

    async def tables(self, url: str) -> None:
        """Keep tables in a database."""
        from projections.read_models.table_projection import TableProjection

        async with open_broker_log(self._session, live=self._follow) as log, self._tables(url) as model:
            try:
                await self._run(log, model, TableProjection, max_events=SQL_EVENTS)
            except OutdatedError:
                if not self._rebuild:
                    raise
                # The tables of an earlier, unfinished rebuild are outdated, too.
                await model.discard_building()
                await self._run(log, model, TableProjection, max_events=SQL_EVENTS)

    @contextlib.asynccontextmanager
    async def _tables(self, url: str) -> AsyncIterator[SqlReadModel]:
        try:
            from infra.sql.database import Database, parse_url
            from infra.sql.sql_read_model import SqlReadModel
        except ImportError:
            raise CommandError(install_hint("tables need the SQLAlchemy library", "sqlalchemy")) from None
        database = Database(parse_url(url))
        try:
            model = SqlReadModel(database, self._session.settings.pool, SystemClock(), rebuild=self._rebuild)
            # Fails at once if the store does not answer: only later is it waited for.
            await model.watermark()
            yield model
        finally:
            await database.close()

    async def bucket(self) -> None:
        """Keep the live views in a bucket."""
        from infra.nats.kv_read_model import KvReadModel
        from projections.read_models.document_projection import DocumentProjection

        async with open_broker_log(self._session, user="writer", live=self._follow) as log:
            model = KvReadModel(log.api, self._session.settings.pool, rebuild=self._rebuild)
            with warnings_printed("infra.nats.kv_read_model"):
                await model.watermark()  # as above
                await self._run(log, model, DocumentProjection, max_events=KV_EVENTS, replace_all=True)

    async def _run(
        self,
        log: BrokerLog,
        model: ReadModel[C],
        new_projection: Callable[[PoolState], Projection[C]],
        *,
        max_events: int,
        replace_all: bool = False,
    ) -> None:
        """Keep a read model in step until the end of the log, or until a signal."""
        lag = LagDisplay(self._session.out, log.log)

        async def memory_at(position: int) -> Memory:
            memory = await restore_memory(self._session, log, 0 if self._rebuild else position)
            await catch_up(memory, log.log, until=position)
            return memory

        source = Source(log.log, log.codec, memory_at)
        projector = Projector(
            source, model, new_projection, SystemClock(), lag.notify, max_events=max_events, replace_all=replace_all
        )
        remove_listener = log.api.connection.reconnected.add(projector.request_log_check)
        stop = asyncio.ensure_future(stop_signal().wait())
        stop.add_done_callback(lambda _: projector.stop())
        try:
            with errors_only(logging.getLogger("handlers.memory.memory")):
                async with lag.display(projector):
                    await projector.run(follow=self._follow)
        finally:
            stop.cancel()
            remove_listener()
