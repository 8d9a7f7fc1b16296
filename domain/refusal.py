"""Refusals of commands: a code, a message and details, as the wire contract has them."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.errors import RefusalCode


class Refusal(msgspec.Struct, frozen=True):
    """Why a command was refused."""

    code: RefusalCode
    message: str
    details: dict[str, Any]


class Refused(Exception):  # noqa: N818 - an outcome of a command, not an error
    """Ends a decision with a refusal. `keep_events`: the draft's events are evidence and are recorded all the same."""

    def __init__(self, code: RefusalCode, message: str, *, keep_events: bool = False, **details: Any) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, details)
        self.keep_events = keep_events


def invalid_field(field: str, message: str) -> Refused:
    """Return the refusal for one field: it is malformed, or contradicts the state or the other fields."""
    return Refused(RefusalCode.INVALID_COMMAND, f"{field}: {message}", fields=[{"field": field, "message": message}])
