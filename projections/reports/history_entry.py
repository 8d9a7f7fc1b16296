"""Events as entries of a history, for people: for `history`, `tail` and post-mortems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.timestamps import format_timestamp
from projections.reports.wording import describe

if TYPE_CHECKING:
    from datetime import datetime

    from domain.recorded import Recorded


class HistoryEntry(NamedTuple):
    """One event, for a person to read."""

    position: int
    time: datetime | None
    """None for a message that cannot be read."""
    subject: str
    """The entity, such as `task/T1`; the whole subject for a message that cannot be read."""
    event: str
    actor: str
    verb: str
    command_id: str
    keyed: bool
    """Whether the caller chose the command id."""
    token: int | None
    what: str
    """The event in words, with the numbers that it was decided by."""
    data: dict[str, Any]
    """The event's own fields, as JSON values."""

    @property
    def why(self) -> str:
        """The command's verb, and its id if the caller chose one."""
        return f"{self.verb} {self.command_id}".strip() if self.keyed else self.verb

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        time = None if self.time is None else format_timestamp(self.time)
        return {**self._asdict(), "time": time}


def history_entry(recorded: Recorded) -> HistoryEntry:
    """Return the entry of an event."""
    data = recorded.event.model_dump(mode="json")
    token = data.get("token")
    return HistoryEntry(
        position=recorded.position,
        time=recorded.time,
        subject=recorded.originator_id,
        event=recorded.name,
        actor=recorded.actor,
        verb=recorded.verb,
        command_id=recorded.causation_id,
        keyed=recorded.keyed,
        token=token if isinstance(token, int) else None,
        what=describe(recorded.event),
        data=data,
    )


def unreadable_entry(position: int, subject: str, reason: str) -> HistoryEntry:
    """Return the entry of a message that no fold can read; such messages are shown, not left out."""
    return HistoryEntry(
        position=position,
        time=None,
        subject=subject,
        event="unreadable",
        actor="",
        verb="",
        command_id="",
        keyed=False,
        token=None,
        what=f"cannot be read, and every fold skips it: {reason}",
        data={},
    )
