"""Checks on texts and free JSON from callers, so that any reader and store can handle what is recorded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import pydantic_core
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from domain.limits import (
    LARGEST_INTEGER,
    MAX_CAPABILITIES,
    MAX_CAPABILITY_CHARS,
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_NOTE_DATA_BYTES,
    MAX_REASON_CHARS,
    MAX_TEXT_BYTES,
    NAME_PATTERN,
    SESSION_PATTERN,
    SMALLEST_INTEGER,
    TASK_ID_PATTERN,
)

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_INFINITIES = (float("inf"), float("-inf"))


def plain_message(message: str) -> str:
    """Return why pydantic refuses a value, without the words that it puts before the text of a ValueError."""
    return message.removeprefix("Value error, ")


def check_text(text: str) -> str:
    """Return the text; raises ValueError if it has a NUL character, which many stores cannot keep."""
    if "\0" in text:
        msg = "must not contain the NUL character"
        raise ValueError(msg)
    return text


def check_note(text: str) -> str:
    """Return the text; raises ValueError if it is longer than `MAX_TEXT_BYTES` in UTF-8, or has a NUL character."""
    if len(text) * 4 > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES:
        msg = f"must be at most {MAX_TEXT_BYTES} bytes of UTF-8"
        raise ValueError(msg)
    return check_text(text)


def check_json(value: Any) -> Any:
    """Return a parsed JSON value unchanged.

    Raises:
        ValueError: it is nested deeper than `MAX_JSON_DEPTH`, larger than `MAX_JSON_BYTES` as compact JSON, or holds
            a NUL character, a number that is not finite, or an integer beyond 64 bits.
    """
    level: list[Any] = [value]
    depth = 0
    while level:
        if depth > MAX_JSON_DEPTH:
            msg = f"must not be nested deeper than {MAX_JSON_DEPTH}"
            raise ValueError(msg)
        depth += 1
        inner: list[Any] = []
        for item in level:
            _check_item(item, inner)
        level = inner
    return _check_size(value, MAX_JSON_BYTES)


def _check_size(value: Any, limit: int) -> Any:
    if len(pydantic_core.to_json(value)) > limit:
        msg = f"must be at most {limit} bytes as compact JSON"
        raise ValueError(msg)
    return value


def check_small_json(value: Any) -> Any:
    """Return a parsed JSON value unchanged; raises as `check_json`, or if it is larger than `MAX_NOTE_DATA_BYTES`."""
    return _check_size(check_json(value), MAX_NOTE_DATA_BYTES)


def _check_item(item: Any, inner: list[Any]) -> None:
    if isinstance(item, str):
        check_text(item)
    elif isinstance(item, dict):
        for key in item:
            check_text(key)
        inner.extend(item.values())
    elif isinstance(item, list):
        inner.extend(item)
    elif isinstance(item, float):
        if item != item or item in _INFINITIES:  # noqa: PLR0124 - the shortest test for NaN
            msg = "must not contain a number that is not finite"
            raise ValueError(msg)
    elif isinstance(item, int) and not SMALLEST_INTEGER <= item <= LARGEST_INTEGER:
        msg = "must not contain an integer beyond 64 bits"
        raise ValueError(msg)


def _check_rfc_3339(value: Any) -> Any:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        msg = "must be a time in the format of RFC 3339, such as 2026-11-21T08:00:00Z"
        raise ValueError(msg)
    return value


def _to_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        msg = "is beyond the range of dates"
        raise ValueError(msg) from None


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
TaskId = Annotated[str, Field(pattern=TASK_ID_PATTERN)]
Session = Annotated[str, Field(pattern=SESSION_PATTERN)]
JsonDocument = Annotated[Any, AfterValidator(check_json)]
SmallJsonDocument = Annotated[Any, AfterValidator(check_small_json)]
Reason = Annotated[str, Field(max_length=MAX_REASON_CHARS), AfterValidator(check_text)]
Note = Annotated[str, AfterValidator(check_note)]
Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS), AfterValidator(check_text)]
Labels = Annotated[list[Label], Field(max_length=MAX_LABELS)]
Capability = Annotated[str, Field(min_length=1, max_length=MAX_CAPABILITY_CHARS), AfterValidator(check_text)]
Capabilities = Annotated[list[Capability], Field(max_length=MAX_CAPABILITIES)]
UtcDatetime = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_check_rfc_3339), AfterValidator(_to_utc)]
