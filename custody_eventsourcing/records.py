"""Converts stored events and tracking to messages of a stream, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from eventsourcing.persistence import DataError, InternalError, Notification, StoredEvent

from handlers.ports import NewMessage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from handlers.ports import StoredMessage

VERSION = "Es-Version"
TOP = "Es-Top"
"""The originator's highest version so far; only on an event that was stored after a higher version."""
TOPIC = "Es-Topic"
WRITE = "Es-Write"
"""The id of the insert, by which its writer recognises it after an unknown outcome."""

_PLAIN_IN_TOPICS = ":/<>[](),'|"


def event_message(subject: str, event: StoredEvent, *, top: int, write_id: str) -> NewMessage:
    """Return the message of a stored event; its body is the event's state, unchanged."""
    headers = {
        VERSION: str(event.originator_version),
        TOPIC: quote(event.topic, safe=_PLAIN_IN_TOPICS),
        WRITE: write_id,
    }
    if top != event.originator_version:
        headers[TOP] = str(top)
    return NewMessage(subject, _state(event), headers)


def _state(event: StoredEvent) -> bytes:
    if not isinstance(event.state, bytes):
        raise DataError(f"the state of an event is bytes, not {type(event.state).__name__}")
    return event.state


def event_version(message: StoredMessage) -> int:
    """Return the version of the message's event."""
    return _number(message, VERSION)


def top_version(message: StoredMessage) -> int:
    """Return the originator's highest version once this message was stored."""
    return _number(message, TOP if TOP in message.headers else VERSION)


def stored_event(message: StoredMessage, originator_id: UUID | str) -> StoredEvent:
    """Return the message's event."""
    return StoredEvent(
        originator_id=originator_id,
        originator_version=event_version(message),
        topic=event_topic(message.headers),
        state=message.body,
    )


def notification(message: StoredMessage, originator_id: UUID | str) -> Notification:
    """Return the message's event, with its position as the notification id."""
    return Notification(
        originator_id=originator_id,
        originator_version=event_version(message),
        topic=event_topic(message.headers),
        state=message.body,
        id=message.position,
    )


def event_topic(headers: Mapping[str, str]) -> str:
    """Return the topic of a message's event, from its headers."""
    return _unquoted(headers.get(TOPIC, ""))


_unquoted = lru_cache(1_000)(unquote)
"""Cached: an application has few topics."""


def tracking_message(subject: str, notification_id: int, write_id: str) -> NewMessage:
    """Return the message that records how far an upstream application was processed."""
    return NewMessage(subject, str(notification_id).encode(), {WRITE: write_id})


def tracking_id(message: StoredMessage) -> int:
    """Return how far the upstream application was processed when the message was stored."""
    try:
        return int(message.body)
    except ValueError:
        raise InternalError(f"the message at position {message.position} is not a tracking: it is no number") from None


def value_message(subject: str, value: bytes, write_id: str) -> NewMessage:
    """Return the message of a view's value."""
    return NewMessage(subject, value, {WRITE: write_id})


def _number(message: StoredMessage, header: str) -> int:
    try:
        return int(message.headers[header])
    except (KeyError, ValueError):
        raise InternalError(
            f"the message at position {message.position} is not an event: {header} is missing or no number"
        ) from None
