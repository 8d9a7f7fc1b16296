"""A database as a connection pool of one: how it is reached, and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import QueuePool

from handlers.projector.read_model import ReadModelError, ReadModelUnavailableError
from infra.host.optional_libraries import install_hint
from infra.sql.row_writing import copied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL

T = TypeVar("T")

FORMS = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"
_LOCK_WAIT_S = 10
_LOCK_POLL_S = 0.02
_CONNECT_S = 5
_STATEMENT_S = 120
"""What takes longer says so. A server that stands still must not hold the end up."""
_GONE = frozenset({"08", "53", "57"})
"""Classes of PostgreSQL's error codes: connection, resources, operator's intervention."""
_TRY_AGAIN = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available."""
_FORBIDDEN = "42501"
_NOT_NOW = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def parse_url(text: str) -> URL:
    """Return the URL of a database that can be used.

    Raises:
        ReadModelError: it is none; the text, in which a password may be, is not repeated.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ReadModelError(f"the address is no database's URL: give {FORMS}") from None
    backend = "postgresql" if url.drivername == "postgres" else url.drivername.partition("+")[0]
    if backend == "sqlite":
        if url.database in {None, "", ":memory:"} or url.host:
            raise ReadModelError("SQLite needs a file: sqlite:///pool.db, or sqlite:////var/pool.db from the root")
        return url.set(drivername="sqlite")
    if backend != "postgresql":
        raise ReadModelError(f"{backend} is none of the databases that are supported: give {FORMS}")
    return url.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """Return what names a database in messages: no password, and nothing else that might be one."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    where = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "the local socket"
    return f"postgresql database {url.database or url.username or ''} at {where}"


class Database:
    """One database, used from one thread of its own, so that the event loop goes on while it works."""

    def __init__(self, url: URL) -> None:
        self.name = shown(url)
        self.sqlite = url.get_backend_name() == "sqlite"
        self._engine = self._sqlite(url) if self.sqlite else self._postgresql(url)
        self._thread = ThreadPoolExecutor(1, "custody-sql")
        self._closed = False

    @staticmethod
    def _sqlite(url: URL) -> Engine:
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            json_serializer=_as_it_is,
            connect_args={"timeout": _LOCK_WAIT_S, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            # The driver would begin transactions by itself, and not before statements that make tables.
            connection.isolation_level = None
            # Readers go on reading while this writes. What a power cut takes, mark and rows alike, is written again.
            _use_wal(connection)
            connection.execute("PRAGMA synchronous=NORMAL")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    @staticmethod
    def _postgresql(url: URL) -> Engine:
        try:
            engine = create_engine(
                url,
                pool_size=1,
                max_overflow=0,
                json_serializer=_as_it_is,
                connect_args={
                    "client_encoding": "utf8",
                    "connect_timeout": _CONNECT_S,
                    "application_name": "custody project",
                    "tcp_user_timeout": _CONNECT_S * 1000,
                },
            )
        except (ImportError, NoSuchModuleError):
            raise ReadModelError(install_hint("PostgreSQL needs the psycopg library", "psycopg[binary]")) from None

        # By way of the library, so that it looks at errors as it does at all others.
        @event.listens_for(engine, "do_execute")
        def copy_row(cursor: Any, statement: str, row: Any, _context: Any) -> bool:
            return copied(cursor, statement, [row])

        @event.listens_for(engine, "do_executemany")
        def copy_rows(cursor: Any, statement: str, rows: Any, _context: Any) -> bool:
            return copied(cursor, statement, rows)

        return engine

    async def run(self, work: Callable[[Connection], T], *, statement_s: int = _STATEMENT_S) -> T:
        """Do some work in one transaction, which is committed if nothing is raised; no statement may take longer.

        Raises:
            ReadModelUnavailableError: no answer, or not now; the outcome is unknown.
            ReadModelError: the database refuses it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work, statement_s)

    def _transact(self, work: Callable[[Connection], T], statement_s: int) -> T:
        with self._translated(), self._engine.begin() as connection:
            if not self.sqlite:
                connection.exec_driver_sql(
                    f"SET LOCAL lock_timeout = '{_LOCK_WAIT_S}s'; SET LOCAL statement_timeout = '{statement_s}s'"
                )
            return work(connection)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ReadModelError as error:
            raise type(error)(f"{self.name}: {error}") from None
        except DBAPIError as error:
            if _passes(error):
                raise ReadModelUnavailableError(f"{self.name}: {_reason(error)}") from error
            advice = "; grant this user CREATE and USAGE on the schema" if _code(error) == _FORBIDDEN else ""
            raise ReadModelError(f"{self.name}: {_reason(error)}{advice}") from error

    async def close(self) -> None:
        """End the connection, after what is still being done; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log; for that alone SQLite does not wait by itself until others are done."""
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_POLL_S)
        else:
            return


def _as_it_is(text: str) -> str:
    """JSON comes as text already."""
    return text


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _passes(error: DBAPIError) -> bool:
    """Whether the same may succeed later."""
    if isinstance(error.orig, sqlite3.Error):
        # What is extended about a code is above its lowest eight bits.
        return getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _NOT_NOW
    code = _code(error)
    if code:
        return code[:2] in _GONE or code in _TRY_AGAIN
    return error.connection_invalidated or (
        isinstance(error, OperationalError) and not any(each in str(error.orig) for each in _FOR_GOOD)
    )


_FOR_GOOD = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")
"""A connection that PostgreSQL refuses has no code, only words; it may be in another language."""


def _reason(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    # Where several addresses were tried, the last line says what came of it in the end.
    return next((line.strip() for line in reversed(lines) if "failed" in line), lines[0].strip())
