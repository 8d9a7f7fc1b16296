"""Errors of the fold, and the codes of refused commands."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.recorded import Recorded


class FoldError(Exception):
    """An event does not link or apply to the state it is folded into; every fold skips it alike."""


def out_of_order(recorded: Recorded, version: int) -> FoldError:
    """Return the error of a fold whose entity is at another version than the one before the event."""
    return FoldError(f"{recorded.originator_id} is at version {version}, and {recorded.name} claims {recorded.version}")


def no_beginning(recorded: Recorded) -> FoldError:
    """Return the error of a fold that the event cannot begin."""
    return FoldError(f"{recorded.originator_id} begins with {recorded.name} at version {recorded.version}")


class RefusalCode(StrEnum):
    """The wire contract's errors, in the order in which they are checked."""

    INVALID_COMMAND = "invalid_command"
    COMMAND_CONFLICT = "command_conflict"
    UNKNOWN_AGENT = "unknown_agent"
    STALE_SESSION = "stale_session"
    UNKNOWN_TASK = "unknown_task"
    TASK_EXISTS = "task_exists"
    TASK_FINISHED = "task_finished"
    STALE_TOKEN = "stale_token"  # noqa: S105 - the contract's name of an error, no secret
    NOT_HOLDER = "not_holder"
    ILLEGAL_TRANSITION = "illegal_transition"
    PAUSED = "paused"
    AT_CAPACITY = "at_capacity"
    OVERLOADED = "overloaded"
    NOT_WRITER = "not_writer"
    UNAVAILABLE = "unavailable"

    @property
    def number(self) -> int:
        """The error's number on the wire, after HTTP."""
        return _NUMBERS[self]


_NUMBERS = {
    RefusalCode.INVALID_COMMAND: 400,
    RefusalCode.COMMAND_CONFLICT: 409,
    RefusalCode.UNKNOWN_AGENT: 404,
    RefusalCode.STALE_SESSION: 409,
    RefusalCode.UNKNOWN_TASK: 404,
    RefusalCode.TASK_EXISTS: 409,
    RefusalCode.TASK_FINISHED: 409,
    RefusalCode.STALE_TOKEN: 409,
    RefusalCode.NOT_HOLDER: 403,
    RefusalCode.ILLEGAL_TRANSITION: 409,
    RefusalCode.PAUSED: 503,
    RefusalCode.AT_CAPACITY: 409,
    RefusalCode.OVERLOADED: 503,
    RefusalCode.NOT_WRITER: 503,
    RefusalCode.UNAVAILABLE: 503,
}
