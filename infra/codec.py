"""Events as CloudEvents 1.0 JSON on their subjects, chained by hashes. The wire contract is the source of the form."""

from __future__ import annotations

import hashlib
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

import pydantic_core

from domain.events import EVENT_TYPES, Entity
from domain.recorded import Recorded
from domain.timestamps import format_timestamp, parse_timestamp
from handlers.ports import NewMessage, UnreadableEventError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.ports import StoredMessage

GENESIS_HASH = "0" * 64
"""What the first event of a log is chained to."""
HASH_HEADER = "Custody-Hash"
CONTENT_TYPE = "application/cloudevents+json"
_SUBJECT_TOKENS = 6


def chain_hash(previous: str, position: int, subject: str, body: bytes) -> str:
    """Return the hex SHA-256 of the previous hash, the position, the subject and the body, joined by newlines."""
    return hashlib.sha256(f"{previous}\n{position}\n{subject}\n".encode() + body).hexdigest()


class CloudEventsCodec:
    """Encodes and decodes one pool's events."""

    def __init__(self, pool_id: str) -> None:
        self._pool_id = pool_id
        self._prefix = f"custody.{pool_id}.evt."
        self._source = f"custody/{pool_id}"

    def encode(self, records: Sequence[Recorded], previous_hash: str | None) -> tuple[list[NewMessage], str]:
        """Return the messages of consecutive events and the last one's hash; None begins a log."""
        previous_hash = previous_hash or GENESIS_HASH
        messages = []
        for recorded in records:
            subject = self.subject(recorded)
            body = self.body(recorded)
            previous_hash = chain_hash(previous_hash, recorded.position, subject, body)
            messages.append(NewMessage(subject, body, {"Content-Type": CONTENT_TYPE, HASH_HEADER: previous_hash}))
        return messages, previous_hash

    def subject(self, recorded: Recorded) -> str:
        """Return the event's subject."""
        return f"{self._prefix}{recorded.entity.value}.{recorded.entity_id}.{recorded.event.name}"

    def body(self, recorded: Recorded) -> bytes:
        """Return the event as CloudEvents JSON.

        `commandverb` and `commandkeyed` are extensions: what was asked for, and whether the caller chose the
        `causationid`, from which the memory of outcomes is rebuilt.
        """
        event = recorded.event
        head = (
            f'{{"specversion":"1.0","id":"{recorded.position}","source":"{self._source}","type":"{event.type_name}",'
            f'"subject":"{recorded.entity.value}/{recorded.entity_id}","time":"{format_timestamp(recorded.time)}",'
            f'"datacontenttype":"application/json","aggregateversion":{recorded.version},'
            f'"causationid":{encode_basestring_ascii(recorded.causation_id)},"actor":{encode_basestring_ascii(recorded.actor)},'
            f'"commandverb":"{recorded.verb}","commandkeyed":{"true" if recorded.keyed else "false"},"data":'
        )
        return head.encode() + event.__pydantic_serializer__.to_json(event) + b"}"

    def decode(self, message: StoredMessage) -> Recorded:
        """Return the event of a stored message.

        Raises:
            UnreadableEventError: it is no event of this pool that this version can read: not JSON, another position,
                subject or type than it claims, a newer version, or ill-typed data.
        """
        try:
            envelope = pydantic_core.from_json(message.body, allow_inf_nan=False)
            event_type = EVENT_TYPES[envelope["type"]]
            subject: str = envelope["subject"]
            kind, _, entity_id = subject.partition("/")
            expected = f"{self._prefix}{kind}.{entity_id}.{event_type.name}"
            if message.subject != expected or kind != event_type.entity.value:
                msg = f"its subject is {message.subject}, and its body belongs on {expected}"
                raise UnreadableEventError(message.position, msg)
            if envelope["id"] != str(message.position):
                msg = f"its body names position {envelope['id']}"
                raise UnreadableEventError(message.position, msg)
            return Recorded(
                message.position,
                Entity(kind),
                entity_id,
                _integer(envelope["aggregateversion"]),
                parse_timestamp(envelope["time"]),
                _string(envelope["actor"]),
                _string(envelope["causationid"]),
                event_type.model_validate(envelope["data"]),
                _string(envelope.get("commandverb", "")),
                envelope.get("commandkeyed") is True,
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UnreadableEventError(message.position, _reason(error)) from error

    def hash_of(self, message: StoredMessage) -> str:
        """Return the hash that a stored message carries, or that of nothing if it carries none."""
        return message.headers.get(HASH_HEADER, GENESIS_HASH)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        msg = f"{value!r} is not a string"
        raise TypeError(msg)
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{value!r} is not an integer"
        raise TypeError(msg)
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"its envelope lacks, or this version does not know, {error.args[0]!r}"
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"
