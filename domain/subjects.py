"""Ids as tokens of subjects, and of whatever else has names with few characters: files, branches, directories.

A task's id may be any printable ASCII without blanks. As a token, its letters, digits, `_` and `-` stay, and every
other character is `%` and its code as two hexadecimal digits in upper case: `owner/repo#12` is `owner%2Frepo%2312`. So
an id that is a name is its own token, and no two ids have the same one.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ESCAPED = re.compile(r"[^A-Za-z0-9_-]")
_TOKEN = re.compile(r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+")
_CODE = re.compile(r"%(..)")


@lru_cache(maxsize=65_536)
def subject_token(entity_id: str) -> str:
    """Return the token of an id. What is no ASCII is escaped byte for byte, as UTF-8."""
    return _ESCAPED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), entity_id)


def id_of_token(token: str) -> str:
    """Return the id of a token.

    Raises:
        ValueError: it is no id's token.
    """
    if _TOKEN.fullmatch(token):
        found = _CODE.sub(lambda code: chr(int(code[1], 16)), token)
        if subject_token(found) == token:
            return found
    msg = f"{token!r} is no token of an id"
    raise ValueError(msg)


def shown_id(token: str) -> str:
    """Return the id of a token, or what is no token as it is, as a foreign subject may have it."""
    try:
        return id_of_token(token)
    except ValueError:
        return token
