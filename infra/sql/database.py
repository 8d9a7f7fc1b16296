"""One database, behind a pool of one connection: its URL, its transactions and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, NoSuchTableError, OperationalError
from sqlalchemy.pool import QueuePool

from handlers.projector.read_model import OutdatedError, ReadModelError, ReadModelUnavailableError
from infra.host.optional_libraries import install_hint
from infra.sql.row_writing import run_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL

T = TypeVar("T")

URL_FORMS = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"
_LOCK_TIMEOUT_S = 10
_LOCK_POLL_S = 0.02
_CONNECT_TIMEOUT_S = 5
_STATEMENT_TIMEOUT_S = 120
"""The default; what takes longer passes its own. It keeps a hanging server from blocking the end of the command."""
_UNAVAILABLE_CLASSES = frozenset({"08", "53", "57"})
"""Classes of PostgreSQL's error codes: connection exception, insufficient resources, operator intervention."""
_RETRYABLE_CODES = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available."""
_INSUFFICIENT_PRIVILEGE = "42501"
_MISSING = frozenset({"42P01", "42703"})
"""Undefined table, undefined column."""
_RETRYABLE_SQLITE = frozenset(
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
    """Return the URL of a supported database.

    Raises:
        ReadModelError: it is none. The message does not repeat the text, which may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ReadModelError(f"the address is no database's URL: give {URL_FORMS}") from None
    backend = "postgresql" if url.drivername == "postgres" else url.drivername.partition("+")[0]
    if backend == "sqlite":
        if url.database in {None, "", ":memory:"} or url.host:
            raise ReadModelError("SQLite needs a file: sqlite:///pool.db, or sqlite:////var/pool.db from the root")
        return url.set(drivername="sqlite")
    if backend != "postgresql":
        raise ReadModelError(f"{backend} is none of the databases that are supported: give {URL_FORMS}")
    return url.set(drivername="postgresql+psycopg")


def display_name(url: URL) -> str:
    """Return a database's name for messages, without the password and without options that might hold one."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    where = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "the local socket"
    return f"postgresql database {url.database or url.username or ''} at {where}"


class Database:
    """One database, used from a thread of its own, which keeps the event loop free."""

    def __init__(self, url: URL) -> None:
        self.name = display_name(url)
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
            json_serializer=_json_as_text,
            connect_args={"timeout": _LOCK_TIMEOUT_S, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            # By default the driver begins transactions itself, and begins none before DDL.
            connection.isolation_level = None
            # WAL lets readers read during a write. After a power cut the last commits may be lost: rows and watermark
            # together, so they are written again.
            _enable_wal(connection)
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
                json_serializer=_json_as_text,
                connect_args={
                    "client_encoding": "utf8",
                    "connect_timeout": _CONNECT_TIMEOUT_S,
                    "application_name": "custody project",
                    "tcp_user_timeout": _CONNECT_TIMEOUT_S * 1000,
                },
            )
        except (ImportError, NoSuchModuleError):
            raise ReadModelError(install_hint("PostgreSQL needs the psycopg library", "psycopg[binary]")) from None

        # Run inside SQLAlchemy's execution, so that it translates the driver's errors as for other statements.
        @event.listens_for(engine, "do_execute")
        def copy_row(cursor: Any, statement: str, row: Any, _context: Any) -> bool:
            return run_copy(cursor, statement, [row])

        @event.listens_for(engine, "do_executemany")
        def copy_rows(cursor: Any, statement: str, rows: Any, _context: Any) -> bool:
            return run_copy(cursor, statement, rows)

        return engine

    async def run(self, work: Callable[[Connection], T], *, timeout_s: int = _STATEMENT_TIMEOUT_S) -> T:
        """Run `work` in one transaction, which is committed if nothing is raised. `timeout_s` limits each statement.

        Raises:
            ReadModelUnavailableError: no answer, or a failure that may pass; the outcome is unknown.
            ReadModelError: the database refuses it for good.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work, timeout_s)

    def _transact(self, work: Callable[[Connection], T], timeout_s: int) -> T:
        with self._translate_errors(), self._engine.begin() as connection:
            if not self.sqlite:
                connection.exec_driver_sql(
                    f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'; SET LOCAL statement_timeout = '{timeout_s}s'"
                )
            return work(connection)

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except ReadModelError as error:
            raise type(error)(f"{self.name}: {error}") from None
        except NoSuchTableError as error:
            # What SQLAlchemy's inspector raises, before the database is asked.
            raise OutdatedError(f"{self.name}: no such table: {error}") from error
        except DBAPIError as error:
            if _may_pass(error):
                raise ReadModelUnavailableError(f"{self.name}: {_reason(error)}") from error
            if _is_missing(error):
                raise OutdatedError(f"{self.name}: {_reason(error)}") from error
            advice = (
                "; grant this user CREATE and USAGE on the schema" if _code(error) == _INSUFFICIENT_PRIVILEGE else ""
            )
            raise ReadModelError(f"{self.name}: {_reason(error)}{advice}") from error

    async def close(self) -> None:
        """Close the connection after the work under way; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log. SQLite's busy timeout does not apply to this statement, so retry here."""
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_POLL_S)
        else:
            return


def _json_as_text(text: str) -> str:
    """Return the text itself: JSON values are serialized before they get here."""
    return text


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _is_missing(error: DBAPIError) -> bool:
    """Return whether a table or a column that is there as long as nothing drops it is not there."""
    if isinstance(error.orig, sqlite3.Error):
        return str(error.orig).startswith(("no such table", "no such column"))
    return _code(error) in _MISSING


def _may_pass(error: DBAPIError) -> bool:
    """Return whether the same work may succeed later."""
    if isinstance(error.orig, sqlite3.Error):
        # The primary result code is in the lowest eight bits.
        return getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _RETRYABLE_SQLITE
    code = _code(error)
    if code:
        return code[:2] in _UNAVAILABLE_CLASSES or code in _RETRYABLE_CODES
    return error.connection_invalidated or (
        isinstance(error, OperationalError) and not any(each in str(error.orig) for each in _PERMANENT_REFUSALS)
    )


_PERMANENT_REFUSALS = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")
"""A refused connection to PostgreSQL has no error code, only a text, which may be in another language."""


def _reason(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    # If several addresses were tried, the last line about a failure is the final one.
    return next((line.strip() for line in reversed(lines) if "failed" in line), lines[0].strip())
