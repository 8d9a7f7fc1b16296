"""What people ask of the notifier's state: how far each endpoint is, what was given up, and that sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import parse_timestamp
from handlers.notifier.outbox import DeadLetter, EndpointStatus
from infra.notify.state_file import message_of, moment

if TYPE_CHECKING:
    from datetime import datetime

    from handlers.notifier.message import Message
    from infra.notify.state_file import Row, StateFile


class OutboxDesk:
    """Looks at a state file and changes it, beside a notifier that uses it. All raise OutboxUnavailableError."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    def statuses(self) -> list[EndpointStatus]:
        """Return how far each endpoint is, those that are no longer configured included."""
        end = int(self._file.value("SELECT position FROM notify_state") or 0)
        return self._file.read(
            lambda row: _status(row, end),
            "SELECT name, dropped, disabled, last_success, last_failure,"
            " (SELECT min(position) FROM waiting WHERE endpoint = name),"
            " (SELECT count(*) FROM waiting WHERE endpoint = name),"
            " (SELECT count(*) FROM given_up WHERE endpoint = name)"
            " FROM endpoints ORDER BY name",
        )

    def pending(self, endpoint: str) -> list[Message]:
        """Return the messages that wait for an endpoint, in their order."""
        query = "SELECT * FROM waiting WHERE endpoint = ? ORDER BY due, number"
        return self._file.read(lambda row: message_of(row[1:7]), query, endpoint)

    def dead_letters(self) -> list[DeadLetter]:
        """Return the messages that were given up, the earliest first."""
        return self._file.read(_dead_letter, "SELECT * FROM given_up ORDER BY endpoint, dead, number")

    def retry_dead(self, now: datetime) -> int:
        """Queue all dead letters of endpoints in use again; return how many.

        Their ids, their times and what they say stay, so that a receiver knows a repeat; their age counts from now.
        """
        with self._file.transaction() as db:
            return db.execute(
                "UPDATE messages SET dead = NULL, attempts = 0, due = ?, aged_from = ? WHERE dead IS NOT NULL "
                "AND endpoint IN (SELECT name FROM endpoints WHERE disabled IS NULL)",
                (now.timestamp(), now.timestamp()),
            ).rowcount

    def enable(self, endpoint: str) -> None:
        """Use an endpoint again."""
        with self._file.transaction() as db:
            db.execute("UPDATE endpoints SET disabled = NULL WHERE name = ?", (endpoint,))


def _dead_letter(row: Row) -> DeadLetter:
    return DeadLetter(message_of(row[1:7]), row[7], row[8] or "", moment(row[9]))


def _status(row: Row, end: int) -> EndpointStatus:
    name, dropped, disabled, success, failure, first, pending, dead = row
    position = end if first is None else min(max(first - 1, 0), end)
    last_success = None if success is None else parse_timestamp(success)
    return EndpointStatus(name, position, pending, dead, dropped, disabled, last_success, failure)
