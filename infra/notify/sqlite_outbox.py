"""The queue of messages in the notifier's state file, with its watermark and the needs that were told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from domain.timestamps import format_timestamp, parse_timestamp
from handlers.notifier.outbox import ANY_END, OutboxUnavailableError, Queued
from handlers.projector.read_model import ReadModelUnavailableError, Watermark, WatermarkMovedError
from infra.notify.state_file import json_text, message_of, moment

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from handlers.notifier.message import Message
    from handlers.ports import Clock
    from infra.notify.state_file import Row, StateFile

MAX_PENDING = 10_000
"""Messages that wait for one endpoint, beside dead letters that were put back; further ones become dead letters."""
MAX_DEAD = 10_000
"""Dead letters kept for one endpoint; the oldest are dropped first."""
_BURY = "UPDATE messages SET dead = ?, reason = ? || coalesce('; last: ' || reason, '') "
_BURY_OLDER = _BURY + "WHERE endpoint = ? AND dead IS NULL AND coalesce(aged_from, time) < ?"
_BURY_ALL = _BURY + "WHERE endpoint = ? AND dead IS NULL"


class SqliteOutbox:
    """The `Outbox` of one pool."""

    def __init__(
        self, file: StateFile, clock: Clock, *, max_pending: int = MAX_PENDING, max_dead: int = MAX_DEAD
    ) -> None:
        self.name = file.name
        self._file = file
        self._clock = clock
        self._max_pending = max_pending
        self._max_dead = max_dead
        self._queued: list[Callable[[], None]] = []
        self._caught_up: list[Callable[[], None]] = []

    # The read model.

    async def watermark(self) -> Watermark:
        """Return how far messages are queued. Raises ReadModelUnavailableError."""
        with self._reading_model():
            return self._watermark()

    def _watermark(self) -> Watermark:
        (mark,) = self._file.read(_mark, "SELECT position, hash, log_id, time, skipped FROM notify_state")
        return mark

    async def write(self, changes: Sequence[Message], before: Watermark, after: Watermark) -> None:
        """Queue messages and move the watermark, together. Raises what `ReadModel.write` does."""
        with self._reading_model(), self._file.transaction() as db:
            if not self._watermark().same_position(before):
                raise WatermarkMovedError
            self._queue(db, changes)
            self._set_watermark(db, after)
        self._tell_queued(changes)

    def _set_watermark(self, db: sqlite3.Connection, mark: Watermark) -> None:
        time = None if mark.time is None else format_timestamp(mark.time)
        db.execute(
            "UPDATE notify_state SET position = ?, hash = ?, log_id = ?, time = ?, skipped = ?",
            (mark.position, mark.hash, mark.log_id, time, mark.skipped),
        )

    async def ensure_kept(self) -> None:
        """Check that the file is still there. Raises ReadModelError."""
        self._file.ensure_kept()

    async def finish_catch_up(self, *, outdated: Watermark | None = None) -> Watermark | None:  # noqa: ARG002 # the port
        """Return None: senders need nothing more."""
        for call in self._caught_up:
            call()
        return None

    # The queue.

    def register(self, endpoints: Mapping[str, str], position: int) -> None:
        """Learn the endpoints in use; see `Outbox.register`."""
        with self._file.transaction() as db:
            for name, address in endpoints.items():
                db.execute(
                    "INSERT INTO endpoints VALUES (?, ?, ?, NULL, 0, NULL, NULL) ON CONFLICT (name) DO UPDATE SET "
                    "disabled = CASE WHEN address = excluded.address THEN disabled END, address = excluded.address",
                    (name, address, position),
                )

    def since(self, endpoint: str) -> int:
        """Return the position behind which an endpoint begins."""
        return int(self._file.value("SELECT since FROM endpoints WHERE name = ?", endpoint) or 0)

    def on_queued(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever messages were queued."""
        self._queued.append(call)

    def on_caught_up(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever the queue has reached the log's end."""
        self._caught_up.append(call)

    def take(self, endpoint: str, now: datetime, skipping: Collection[int]) -> Queued | None:
        """Return the message to send next."""
        found = self._file.read(
            _queued,
            "SELECT * FROM waiting WHERE endpoint = ? AND due <= ? ORDER BY due, number LIMIT ?",
            *(endpoint, now.timestamp(), len(skipping) + 1),
        )
        return next((queued for queued in found if queued.number not in skipping), None)

    def next_due(self, endpoint: str, skipping: Collection[int]) -> datetime | None:
        """Return when the next message falls due."""
        found = self._file.read(
            lambda row: (row[0], moment(row[1])),
            "SELECT number, due FROM waiting WHERE endpoint = ? ORDER BY due, number LIMIT ?",
            *(endpoint, len(skipping) + 1),
        )
        return next((due for number, due in found if number not in skipping), None)

    def delivered(self, queued: Queued, now: datetime) -> None:
        """Take a message out of the queue."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM messages WHERE number = ?", (queued.number,))
            db.execute(
                "UPDATE endpoints SET last_success = ? WHERE name = ?",
                (format_timestamp(now), queued.message.endpoint),
            )

    def postpone(self, queued: Queued, due_at: datetime, reason: str) -> None:
        """Count a failed attempt; the next one is due at a moment."""
        with self._file.transaction() as db:
            db.execute(
                "UPDATE messages SET attempts = attempts + 1, due = ?, reason = ? WHERE number = ?",
                (due_at.timestamp(), reason, queued.number),
            )
            self._failed(db, queued.message.endpoint, reason)

    def bury(self, queued: Queued, reason: str, now: datetime) -> None:
        """Give a message up after another failed attempt."""
        endpoint = queued.message.endpoint
        with self._file.transaction() as db:
            db.execute(
                "UPDATE messages SET attempts = attempts + 1, dead = ?, reason = ? WHERE number = ?",
                (now.timestamp(), reason, queued.number),
            )
            self._failed(db, endpoint, reason)
            self._drop_excess(db, endpoint)

    def bury_older(self, endpoint: str, than: datetime, reason: str, now: datetime) -> int:
        """Give up an endpoint's messages on what happened before a moment; return how many."""
        found = self._file.value(
            "SELECT 1 FROM messages WHERE endpoint = ? AND dead IS NULL AND coalesce(aged_from, time) < ? LIMIT 1",
            endpoint,
            than.timestamp(),
        )
        if found is None:
            return 0
        with self._file.transaction() as db:
            buried = db.execute(_BURY_OLDER, (now.timestamp(), reason, endpoint, than.timestamp())).rowcount
            self._drop_excess(db, endpoint)
        return buried

    def disable(self, endpoint: str, reason: str, now: datetime) -> None:
        """Send nothing to an endpoint any more, and give up what waits for it."""
        with self._file.transaction() as db:
            db.execute("UPDATE endpoints SET disabled = ? WHERE name = ?", (reason, endpoint))
            db.execute(_BURY_ALL, (now.timestamp(), f"the endpoint is disabled: {reason}", endpoint))
            self._drop_excess(db, endpoint)

    def disabled(self, endpoint: str) -> str | None:
        """Return why nothing is sent to an endpoint; None if it is in use."""
        found = self._file.value("SELECT disabled FROM endpoints WHERE name = ?", endpoint)
        return None if found is None else str(found)

    # The needs.

    def known_needs(self, endpoint: str) -> Mapping[str, Message]:
        """Return the needs that were told to an endpoint and are still open, by key, as they were told."""
        query = "SELECT key, endpoint, message_id, position, type, time, data FROM needs WHERE endpoint = ?"
        return dict(self._file.read(lambda row: (row[0], message_of(row[1:])), query, endpoint))

    def tell_needs(self, endpoint: str, opened: Mapping[str, Message], resolved: Mapping[str, Message | None]) -> None:
        """Queue messages on needs by their keys and remember which are open, in one transaction."""
        messages = [*opened.values(), *(each for each in resolved.values() if each is not None)]
        with self._file.transaction() as db:
            db.executemany("DELETE FROM needs WHERE endpoint = ? AND key = ?", [(endpoint, k) for k in resolved])
            db.executemany(
                "INSERT OR REPLACE INTO needs VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        endpoint,
                        key,
                        each.type,
                        each.message_id,
                        each.position,
                        each.time.timestamp(),
                        json_text(each.data),
                    )
                    for key, each in opened.items()
                ],
            )
            self._queue(db, messages)
        self._tell_queued(messages)

    def begin_anew(self, messages: Sequence[Message]) -> None:
        """Forget the watermark and the needs, because the log is another one, and queue messages that say so."""
        with self._file.transaction() as db:
            self._set_watermark(db, Watermark())
            db.execute("DELETE FROM needs")
            db.execute("UPDATE endpoints SET since = ?", (ANY_END,))
            self._queue(db, messages)
        self._tell_queued(messages)

    # Within a transaction.

    def _queue(self, db: sqlite3.Connection, messages: Sequence[Message]) -> None:
        """Queue messages, but for those that are queued already, and those to endpoints that are disabled."""
        now = self._clock.now().timestamp()
        counts = dict[str, int]()
        disabled = dict[str, str | None]()
        for message in messages:
            endpoint, time = message.endpoint, message.time.timestamp()
            if endpoint not in counts:
                counts[endpoint] = self._pending(endpoint)
                disabled[endpoint] = self.disabled(endpoint)
            if disabled[endpoint] is not None:
                continue
            full = counts[endpoint] >= self._max_pending
            dead, reason = (now, "too many messages wait") if full else (None, None)
            db.execute(
                "INSERT OR IGNORE INTO messages VALUES (NULL, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, NULL)",
                (*message[:4], time, json_text(message.data), now, dead, reason),
            )
            counts[endpoint] += not full
        for endpoint in counts:
            self._drop_excess(db, endpoint)

    def _pending(self, endpoint: str) -> int:
        query = "SELECT count(*) FROM messages WHERE endpoint = ? AND dead IS NULL AND aged_from IS NULL"
        return int(self._file.value(query, endpoint) or 0)

    def _failed(self, db: sqlite3.Connection, endpoint: str, reason: str) -> None:
        db.execute("UPDATE endpoints SET last_failure = ? WHERE name = ?", (reason, endpoint))

    def _drop_excess(self, db: sqlite3.Connection, endpoint: str) -> None:
        dead = int(
            self._file.value("SELECT count(*) FROM messages WHERE endpoint = ? AND dead IS NOT NULL", endpoint) or 0
        )
        if dead > self._max_dead:
            db.execute(
                "DELETE FROM messages WHERE number IN (SELECT number FROM messages WHERE endpoint = ? "
                "AND dead IS NOT NULL ORDER BY dead, number LIMIT ?)",
                (endpoint, dead - self._max_dead),
            )
            db.execute("UPDATE endpoints SET dropped = dropped + ? WHERE name = ?", (dead - self._max_dead, endpoint))

    def _tell_queued(self, messages: Sequence[Message]) -> None:
        if messages:
            for call in self._queued:
                call()

    @contextmanager
    def _reading_model(self) -> Iterator[None]:
        try:
            yield
        except OutboxUnavailableError as error:
            raise ReadModelUnavailableError(str(error)) from error


def _queued(row: Row) -> Queued:
    return Queued(row[0], message_of(row[1:7]), row[7])


def _mark(row: Row) -> Watermark:
    position, hash_, log_id, time, skipped = row
    return Watermark(position, hash_, log_id, None if time is None else parse_timestamp(time), skipped)
