"""`custody project`: read models of the log elsewhere, kept in step with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from handlers.memory import catch_up
from handlers.projecting import Projector
from handlers.read_models import C, OutdatedError, ReadModelError, ReadModelUnavailableError, Source
from infra.cli.lag import Lag
from infra.cli.moments import opened
from infra.cli.progress import quiet
from infra.cli.rebuilding import restored
from infra.cli.session import CommandError, Session
from infra.clock import SystemClock
from infra.stopping import stop_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from handlers.memory import Memory
    from handlers.read_models import Collector, ReadModel
    from infra.cli.moments import OpenLog
    from infra.sql.model import SqlReadModel
    from projections.state import PoolState

SQL_EVENTS = 10_000
"""Events in one transaction at most."""


async def project(
    session: Session,
    *,
    sql: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Tables, in SQLite (sqlite:///FILE) or PostgreSQL (postgresql://USER@HOST/DATABASE)."
        ),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build it anew beside the one that is read, then switch readers over.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="End when the log's end is reached.")] = False,
) -> None:
    """Keep tables elsewhere in step with the log, each event once: tasks, leases, agents, steals and events."""
    if sql is None:
        raise typer.BadParameter("say where to keep the tables", param_hint="--sql")
    from projections.tabulation import Tabulation

    try:
        async with opened(session) as log, _tables(session, sql, rebuild=rebuild) as model:
            work = _Projection(session, log, follow=not once)
            try:
                await work.run(model, Tabulation)
            except OutdatedError:
                if not rebuild:
                    raise
                # What an earlier rebuild had begun is of no use any more.
                await model.discard_building()
                await work.run(model, Tabulation)
    except OutdatedError as error:
        raise CommandError(f"{error}; --rebuild builds it anew from the log") from None
    except ReadModelError as error:
        raise CommandError(str(error)) from None


@contextlib.asynccontextmanager
async def _tables(session: Session, url: str, *, rebuild: bool) -> AsyncIterator[SqlReadModel]:
    """Open the tables, and see whether they can be kept there."""
    try:
        from infra.sql.database import Database, parse_url
        from infra.sql.model import SqlReadModel
    except ImportError:
        raise CommandError("tables need the SQLAlchemy library: pip install 'custody[sql]'") from None
    database = Database(parse_url(url))
    try:
        model = SqlReadModel(database, session.settings.pool, SystemClock(), rebuild=rebuild)
        try:
            await model.mark()
        except ReadModelUnavailableError as error:
            raise CommandError(str(error)) from None
        yield model
    finally:
        await database.close()


class _Projection:
    """One run of the command."""

    def __init__(self, session: Session, log: OpenLog, *, follow: bool) -> None:
        self._session = session
        self._log = log
        self._follow = follow

    async def run(self, model: ReadModel[C], collect: Callable[[PoolState], Collector[C]]) -> None:
        """Keep a read model until the end of the log, or a signal."""
        lag = Lag(self._session.out, self._log.log)
        source = Source(self._log.log, self._log.codec, self._remember)
        projector = Projector(source, model, collect, SystemClock(), lag.tell, most_events=SQL_EVENTS)
        forget = self._log.api.connection.reconnected.add(lambda: setattr(projector, "in_doubt", True))
        stop = asyncio.ensure_future(stop_signal().wait())
        stop.add_done_callback(lambda _: projector.stop())
        try:
            with quiet(logging.getLogger("handlers.memory")):
                async with lag.shown(projector):
                    await projector.run(follow=self._follow)
        finally:
            stop.cancel()
            forget()

    async def _remember(self, position: int) -> Memory:
        memory = await restored(self._session, self._log, position)
        await catch_up(memory, self._log.log, until=position)
        return memory
