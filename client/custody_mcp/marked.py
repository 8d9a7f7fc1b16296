"""Text of others, marked as data: in quotes that it cannot end, on one line, without signs that cannot be seen.

A title, a note or a checkpoint may say "ignore your instructions". It reaches a language model as a JSON string: quotes
and line ends in it are escaped, so nothing of it can look like a line of the server's own words.
"""

from __future__ import annotations

import json
from typing import Any

MAX_CHARS = 4000
"""Of one text; a note has at most 4 KiB."""


def quoted(text: str, limit: int = MAX_CHARS) -> str:
    """Return a text of others as a JSON string, with every character that cannot be seen as its code."""
    cut = text if len(text) <= limit else f"{text[:limit]} ... [cut, {len(text)} characters in all]"
    return visible(json.dumps(cut, ensure_ascii=False))


def as_json(value: Any) -> str:
    """Return a value of others as JSON on one line, with every character that cannot be seen as its code."""
    return visible(json.dumps(value, ensure_ascii=False, default=str))


def all_visible(value: Any) -> Any:
    """Return a JSON value in whose texts every character that cannot be seen is its code."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [all_visible(each) for each in value]
    if isinstance(value, dict):
        return {visible(str(key)): all_visible(each) for key, each in value.items()}
    return value


def visible(text: str) -> str:
    """Return a text on one line, in which every character that cannot be seen is its code."""
    return "".join(each if each.isprintable() else _code(each) for each in text)


def _code(character: str) -> str:
    """Return a character's code as JSON writes it: two halves for one beyond 16 bits."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
