"""Limits of the wire contract that a sender has to keep, and how text is cut to them."""

from __future__ import annotations

from typing import Any

import msgspec

from custody_client.errors import TooLargeError

MAX_REQUEST_BYTES = 256 * 1024
"""A whole command or query."""
MAX_JSON_BYTES = 64 * 1024
"""A payload, checkpoint or result, as compact JSON."""
MAX_TEXT_BYTES = 4 * 1024
"""A message, an error or a question, in UTF-8."""
MAX_REASON_CHARS = 1024
MAX_CLAIM = 100
"""Leases that one claim asks for."""
MAX_CLAIM_WAIT_S = 30.0
MAX_SILENCE_S = 3600.0
MAX_SLOTS = 500
"""Leases that one agent holds at once."""


def cut_text(text: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return `text` within the limit, in bytes of UTF-8; what was cut off is said at its end."""
    data = _clean(text).encode()
    if len(data) <= limit_bytes:
        return data.decode()
    mark = f" ... [cut, {len(data)} bytes in all]"
    return data[: limit_bytes - len(mark.encode())].decode(errors="ignore") + mark


def cut_reason(text: str) -> str:
    """Return `text` within the limit of a reason, in characters; what was cut off is said at its end."""
    text = _clean(text)
    if len(text) <= MAX_REASON_CHARS:
        return text
    mark = f" ... [cut, {len(text)} characters in all]"
    return text[: MAX_REASON_CHARS - len(mark)] + mark


def _clean(text: str) -> str:
    """Return `text` without what the contract refuses: NUL characters, and surrogates that are no text."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def checked_json(value: Any, what: str) -> Any:
    """Return `value` as plain JSON values: dataclasses, msgspec structs, pydantic models, dates and paths are taken.

    `what`: its name in the error.

    Raises:
        TooLargeError: it is larger than `MAX_JSON_BYTES` as compact JSON. A document cannot be cut like a text.
        TypeError: it has no form in JSON.
    """
    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_encode)
    size = len(msgspec.json.encode(plain))
    if size > MAX_JSON_BYTES:
        raise TooLargeError(f"the {what} takes {size} bytes as JSON, and at most {MAX_JSON_BYTES} are taken")
    return plain


def _encode(value: Any) -> Any:
    """Return a value that msgspec does not know in one that it does."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
