"""The parameters of a request's address, checked one by one; what is wrong is said in words."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from custody_dashboard.web.api_error import bad_request
from domain.json_values import Name, TaskId
from domain.timestamps import EPOCH, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from starlette.datastructures import QueryParams

MAX_POSITION = 2**63 - 1
MAX_TEXT = 200
"""Characters of a text that is searched for."""
_TASK_ID: TypeAdapter[str] = TypeAdapter(TaskId)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Parameters:
    """The parameters of one request. Every method raises ApiError if its parameter cannot be used."""

    def __init__(self, query: QueryParams, known: Collection[str]) -> None:
        """`known`: the names that the endpoint takes; another one is refused, as is one that is given twice."""
        given = query.multi_items()
        names = [name for name, _ in given]
        for name in names:
            if name not in known:
                raise bad_request(f"unknown parameter {name[:40]!r}; known here: {', '.join(sorted(known)) or 'none'}")
            if names.count(name) > 1:
                raise bad_request(f"{name} is given twice; give it once")
        self._given = dict(given)

    def __contains__(self, name: str) -> bool:
        return bool(self._given.get(name))

    def raw(self, name: str) -> str | None:
        """Return a parameter as it was given; None without one."""
        return self._given.get(name) or None

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number within limits; `default` without one."""
        text = self._given.get(name)
        if not text:
            return default
        # 20 digits hold every position; longer texts cost time to read as a number.
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and least <= int(text) <= most):  # noqa: PLR2004
            raise bad_request(f"{name} should be a whole number from {least} to {most}")
        return int(text)

    def position(self, name: str) -> int | None:
        """Return a position of the log; None without one."""
        return self.number(name, 0, 0, MAX_POSITION) if name in self else None

    def flag(self, name: str) -> bool:
        """Return whether something is asked for: `1` or `true`; `0`, `false` or nothing: not."""
        text = self._given.get(name, "")
        if text not in {"", "0", "1", "false", "true"}:
            raise bad_request(f"{name} should be 1 or 0")
        return text in {"1", "true"}

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str | None:
        """Return one of several words; `default` without one."""
        text = self._given.get(name) or default
        if text is not None and text not in choices:
            raise bad_request(f"{name} should be one of {', '.join(sorted(choices))}")
        return text

    def text(self, name: str) -> str | None:
        """Return a short text; None without one."""
        text = self._given.get(name) or None
        if text is not None and len(text) > MAX_TEXT:
            raise bad_request(f"{name} should have at most {MAX_TEXT} characters")
        return text

    def task_id(self, name: str) -> str | None:
        """Return a task's id; None without one."""
        return _checked(_TASK_ID, name, self._given.get(name), "a task's id")

    def agent_id(self, name: str) -> str | None:
        """Return an agent's name; None without one."""
        return _checked(_NAME, name, self._given.get(name), "an agent's name")

    def moment(self, name: str) -> datetime | None:
        """Return a time; None without one."""
        text = self._given.get(name)
        return read_moment(text, name) if text else None


def read_moment(text: str, name: str) -> datetime:
    """Return the time of an RFC 3339 text. Raises ApiError."""
    # In an address that was not encoded, the `+` of an offset has become a space.
    text = text.replace(" ", "+")
    try:
        # No time is as long.
        return max(parse_timestamp(text[:64]).astimezone(UTC), EPOCH)
    except (ValueError, OverflowError):
        raise bad_request(f"{name} should be a time such as 2026-11-28T21:00:00Z") from None


def checked_task_id(text: str) -> str:
    """Return the task's id that a part of an address is. Raises ApiError."""
    return _checked(_TASK_ID, "id", text, "a task's id") or ""


def checked_agent_id(text: str) -> str:
    """Return the agent's name that a part of an address is. Raises ApiError."""
    return _checked(_NAME, "id", text, "an agent's name") or ""


def _checked(kind: TypeAdapter[str], name: str, text: str | None, what: str) -> str | None:
    if not text:
        return None
    try:
        return kind.validate_python(text, strict=True)
    except ValidationError:
        raise bad_request(f"{name} {text[:80]!r} is not {what}") from None
