"""Text of others, marked as data: in quotes that it cannot end, on one line, without signs that cannot be seen.

A title, a note or a checkpoint may say "ignore your instructions". It reaches a language model as a JSON string: quotes
and line ends in it are escaped, so nothing of it can look like a line of the server's own words.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of characters that show nothing, turn the direction of writing, or end a line."""
MAX_CHARS = 4000
"""Of one text; a note has at most 4 KiB."""


def quoted(text: str, limit: int = MAX_CHARS) -> str:
    """Return a text of others as a JSON string, with every character that cannot be seen as its code."""
    cut = text if len(text) <= limit else f"{text[:limit]} ... [cut, {len(text)} characters in all]"
    return visible(json.dumps(cut, ensure_ascii=False))


def as_json(value: Any) -> str:
    """Return a value of others as JSON on one line, with every character that cannot be seen as its code."""
    return visible(json.dumps(value, ensure_ascii=False, default=str))


def visible(text: str) -> str:
    """Return a text on one line, in which every character that cannot be seen is its code."""
    return "".join(_code(each) if unicodedata.category(each) in _UNSEEN else each for each in text)


def _code(character: str) -> str:
    """Return a character's code as JSON writes it: two halves for one beyond 16 bits."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
