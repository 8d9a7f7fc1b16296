"""What is told to an endpoint, and the id by which its receiver recognises a repeat."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

NEED_OPENED = "custody.need.opened"
NEED_RESOLVED = "custody.need.resolved"
LOG_REPLACED = "custody.log.replaced"
TEST = "custody.test"
LONGEST_TEXT_CHARS = 1_000


class Message(NamedTuple):
    """One message to one endpoint, in no form yet."""

    endpoint: str
    message_id: str
    position: int
    """The position of the log that it is about; the endpoint's position passes it when it is delivered."""
    type: str
    """An event's CloudEvents type, or one of the types above."""
    time: datetime
    """When it happened; the age limit counts from here."""
    data: Mapping[str, Any]
    """JSON values; `text` is the message in words, and everything in it is plain text."""


def message_id(pool: str, position: int, endpoint: str, what: str) -> str:
    """Return the id of a message: the same one whenever the same thing is told to the same endpoint again.

    `what` tells apart what may be told at one position: an event's body, or a need's key and state. A log that was put
    in the place of another has other bodies, so its positions give other ids.
    """
    digest = hashlib.sha256("\0".join((pool, str(position), endpoint, what)).encode())
    # Without a dot, which Standard Webhooks puts between the id and the timestamp in what is signed.
    return f"msg_{digest.hexdigest()[:32]}"


def cut(text: str, longest: int = LONGEST_TEXT_CHARS) -> str:
    """Return the text, cut with an ellipsis at a number of characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
