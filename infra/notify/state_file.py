"""The notifier's state in an SQLite file: opened, read, and changed in transactions.

Write-ahead logging without a flush at each transaction: a killed process loses nothing. A power cut may lose the last
transactions, whole ones: then what they queued is queued again, and what they took out is sent again, with the same id.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from handlers.notifier.message import Message
from handlers.notifier.outbox import OutboxUnavailableError
from handlers.projector.read_model import ReadModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_FORM = 2
"""Form 1 had no `messages.aged_from`; such a file is brought to form 2 when it is opened."""
_LOCK_WAIT_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS notify_state (
    one INTEGER PRIMARY KEY CHECK (one = 1), form INTEGER NOT NULL, pool TEXT NOT NULL,
    position INTEGER NOT NULL, hash TEXT, log_id TEXT, time TEXT, skipped INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS endpoints (
    name TEXT PRIMARY KEY, address TEXT NOT NULL, since INTEGER NOT NULL, disabled TEXT, dropped INTEGER NOT NULL,
    last_success TEXT, last_failure TEXT
);
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, message_id TEXT NOT NULL,
    position INTEGER NOT NULL, type TEXT NOT NULL, time REAL NOT NULL, data TEXT NOT NULL,
    attempts INTEGER NOT NULL, due REAL NOT NULL, dead REAL, reason TEXT, aged_from REAL,
    UNIQUE (endpoint, message_id)
);
CREATE INDEX IF NOT EXISTS messages_due ON messages (endpoint, due, number) WHERE dead IS NULL;
CREATE INDEX IF NOT EXISTS messages_age ON messages (endpoint, coalesce(aged_from, time)) WHERE dead IS NULL;
CREATE INDEX IF NOT EXISTS messages_position ON messages (endpoint, position) WHERE dead IS NULL;
CREATE INDEX IF NOT EXISTS messages_dead ON messages (endpoint, dead, number) WHERE dead IS NOT NULL;
CREATE VIEW IF NOT EXISTS waiting AS
    SELECT number, endpoint, message_id, position, type, time, data, attempts, due FROM messages WHERE dead IS NULL;
CREATE VIEW IF NOT EXISTS given_up AS
    SELECT number, endpoint, message_id, position, type, time, data, attempts, reason, dead FROM messages
    WHERE dead IS NOT NULL;
CREATE TABLE IF NOT EXISTS needs (
    endpoint TEXT NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, message_id TEXT NOT NULL, position INTEGER NOT NULL,
    time REAL NOT NULL, data TEXT NOT NULL, PRIMARY KEY (endpoint, key)
);
"""
Row = tuple[Any, ...]
T = TypeVar("T")


class StateFile:
    """The state of one pool's notifier, in a file that only its owner can read."""

    def __init__(self, path: Path, pool: str) -> None:
        """Open the file, and make it if it is missing. Raises ReadModelError."""
        self.name = str(path)
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._file = path.stat()
            self._db = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._bring_to_form_2()
            self._db.executescript(_SCHEMA)
            self._db.execute(
                "INSERT OR IGNORE INTO notify_state VALUES (1, ?, ?, 0, NULL, NULL, NULL, 0)", (_FORM, pool)
            )
            form, kept = self._db.execute("SELECT form, pool FROM notify_state").fetchone()
        except (OSError, sqlite3.Error, TypeError) as error:
            raise ReadModelError(f"{path}: {_words(error)}") from None
        if (form, kept) != (_FORM, pool):
            found = f"of pool {kept}, not {pool}" if kept != pool else f"of form {form}, and this version has {_FORM}"
            raise ReadModelError(f"{path} is the state {found}")

    def _bring_to_form_2(self) -> None:
        """Add what a file of form 1 lacks, all or nothing."""
        if not self._is_of_form_1():
            return
        self._db.execute("BEGIN IMMEDIATE")
        # Another process may have done it meanwhile.
        if self._is_of_form_1():
            self._db.execute("ALTER TABLE messages ADD COLUMN aged_from REAL")
            self._db.execute("DROP INDEX IF EXISTS messages_time")
            self._db.execute("UPDATE notify_state SET form = 2")
        self._db.execute("COMMIT")

    def _is_of_form_1(self) -> bool:
        kept = self._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'messages'").fetchone()
        return bool(kept) and self._db.execute("SELECT form FROM notify_state").fetchone() == (1,)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def ensure_kept(self) -> None:
        """Check that the file is still there. Raises ReadModelError."""
        try:
            found = self._path.stat()
        except OSError:
            found = None
        if found is None or not os.path.samestat(found, self._file):
            raise ReadModelError(f"{self.name} was deleted or replaced")

    def value(self, query: str, *arguments: object) -> Any:
        """Return the first column of the first row; None if there is none. Raises OutboxUnavailableError."""
        rows = self.read(tuple, query, *arguments)
        return rows[0][0] if rows else None

    def read(self, make: Callable[[Row], T], query: str, *arguments: object) -> list[T]:
        """Return what is made of each row. Raises OutboxUnavailableError, also of what a damaged file holds."""
        try:
            return [make(row) for row in self._db.execute(query, arguments)]
        except (sqlite3.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise OutboxUnavailableError(f"{self.name}: {_words(error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change the file during the block, all or nothing. Raises OutboxUnavailableError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise OutboxUnavailableError(f"{self.name}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def json_text(data: Mapping[str, Any]) -> str:
    """Return JSON values as they are kept."""
    return json.dumps(data, separators=(",", ":"))


def moment(seconds: float) -> datetime:
    """Return a time that is kept as seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def message_of(row: Row) -> Message:
    """Return the message of a row: endpoint, id, position, type, time, data."""
    endpoint, message_id, position, type_, time, data = row
    return Message(endpoint, message_id, position, type_, moment(time), json.loads(data))
