"""Events as CloudEvents 1.0 JSON on their subjects, chained by hashes. The wire contract is the source of the form."""

from __future__ import annotations

import hashlib
from functools import cache
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema, from_json, to_json

from domain.events import CATALOGUE
from domain.recorded import Recorded
from domain.timestamps import format_timestamp, parse_timestamp
from handlers.ports import NewMessage, UnreadableEventError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_core import CoreSchema

    from domain.events import Catalogue, Event
    from domain.events.catalogue import Reading
    from handlers.ports import StoredMessage

GENESIS_HASH = "0" * 64
"""What the first event of a log is chained to."""
HASH_HEADER = "Custody-Hash"
CONTENT_TYPE = "application/cloudevents+json"
_record: Callable[[type[Recorded], tuple[Any, ...]], Recorded] = tuple.__new__
"""From all fields in order: by name, or by place through the class, costs twice as much."""
_N, _I = b"NI"
"""Looked for as single bytes, which costs a fifteenth of looking for a word: most bodies have neither."""


def chain_hash(previous: str, position: int, subject: str, body: bytes) -> str:
    """Return the hex SHA-256 of the previous hash, the position, the subject and the body, joined by newlines."""
    return hashlib.sha256(f"{previous}\n{position}\n{subject}\n".encode() + body).hexdigest()


class CloudEventsCodec:
    """Encodes and decodes one pool's events; those of older versions are decoded as the newest."""

    def __init__(self, pool_id: str, catalogue: Catalogue = CATALOGUE) -> None:
        self._pool_id = pool_id
        self._prefix = f"custody.{pool_id}.evt."
        self._source = f"custody/{pool_id}"
        self._forms = {
            each: (each.entity, each.entity.value, f"{self._prefix}{each.entity.value}.", f".{each.name}")
            for each in catalogue.newest.values()
        }
        """By type: the kind of entity, and what stands before and after its id in the subject."""
        self._catalogue = catalogue
        self._envelope = _validator(catalogue)

    def encode(self, records: Sequence[Recorded], previous_hash: str | None) -> tuple[list[NewMessage], str]:
        """Return the messages of consecutive events and the last one's hash; None begins a log."""
        previous_hash = previous_hash or GENESIS_HASH
        messages = []
        for recorded in records:
            _, _, head, tail = self._forms[type(recorded.event)]
            subject = f"{head}{recorded.entity_id}{tail}"
            body = self.body(recorded)
            previous_hash = chain_hash(previous_hash, recorded.position, subject, body)
            messages.append(NewMessage(subject, body, {"Content-Type": CONTENT_TYPE, HASH_HEADER: previous_hash}))
        return messages, previous_hash

    def body(self, recorded: Recorded) -> bytes:
        """Return the event as CloudEvents JSON.

        `commandverb` and `commandkeyed` are extensions: what was asked for, and whether the caller chose the
        `causationid`, from which the memory of outcomes is rebuilt.
        """
        position, _, entity_id, version, time, actor, causation_id, event, verb, keyed = recorded
        kind = self._forms[type(event)][1]
        head = (
            f'{{"specversion":"1.0","id":"{position}","source":"{self._source}","type":"{event.type_name}",'
            f'"subject":"{kind}/{entity_id}","time":"{format_timestamp(time)}",'
            f'"datacontenttype":"application/json","aggregateversion":{version},'
            f'"causationid":{encode_basestring_ascii(causation_id)},"actor":{encode_basestring_ascii(actor)},'
            f'"commandverb":"{verb}","commandkeyed":{"true" if keyed else "false"},"data":'
        )
        return head.encode() + event.__pydantic_serializer__.to_json(event) + b"}"

    def decode(self, message: StoredMessage) -> Recorded:
        """Return the event of a stored message.

        Raises:
            UnreadableEventError: it is no event of this pool that this version can read: not JSON, another pool,
                position, subject or type than it claims, a newer version, or ill-typed data.
        """
        position, body = message.position, message.body
        try:
            envelope = self._envelope.validate_json(body)
            its_id, source, subject, time, version, causation_id, actor, verb, keyed, event = envelope.values()
            at = parse_timestamp(time)
            if (_N in body and b"NaN" in body) or (_I in body and b"Infinity" in body):
                # In a text, or as a number: JSON has no such numbers, and the validator takes them all the same.
                from_json(body, allow_inf_nan=False)
        except ValidationError as error:
            raise UnreadableEventError(position, self._reason(error)) from error
        except (ValueError, OverflowError) as error:
            raise UnreadableEventError(position, str(error)) from error
        entity, kind, head, tail = self._forms[type(event)]
        its_kind, _, entity_id = subject.partition("/")
        if message.subject != f"{head}{entity_id}{tail}" or its_kind != kind:
            msg = f"its subject is {message.subject}, and its body belongs on {head}{entity_id}{tail}"
            raise UnreadableEventError(position, msg)
        if source != self._source:
            raise UnreadableEventError(position, f"its source is {source}, and this is the log of {self._source}")
        if its_id != str(position):
            raise UnreadableEventError(position, f"its body names position {its_id}")
        return _record(
            Recorded, (position, entity, entity_id, version, at, actor, causation_id, event, verb, keyed is True)
        )

    def hash_of(self, message: StoredMessage) -> str:
        """Return the hash that a stored message carries, or that of nothing if it carries none."""
        return message.headers.get(HASH_HEADER, GENESIS_HASH)

    def _reason(self, error: ValidationError) -> str:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "union_tag_invalid":
            return self._catalogue.why_unknown(str(first["ctx"]["tag"]))
        # The first part of a location inside the envelope is the type.
        where = ".".join(map(str, first["loc"][1:]))
        said = first["msg"].removeprefix("Value error, ")
        return f"{where}: {said}" if where else said


@cache
def _validator(catalogue: Catalogue) -> SchemaValidator:
    """Envelope and data in one pass over the bytes: a quarter less than JSON first and the model then."""
    choices = {name: _envelope(reading) for name, reading in catalogue.readings.items()}
    return SchemaValidator(core_schema.tagged_union_schema(choices, "type"))


def _envelope(reading: Reading) -> CoreSchema:
    text, anything = core_schema.str_schema(strict=True), core_schema.any_schema()
    # In this order `decode` takes them.
    fields: dict[str, CoreSchema] = {
        "id": anything,
        "source": text,
        "subject": text,
        "time": text,
        "aggregateversion": core_schema.int_schema(strict=True),
        "causationid": text,
        "actor": text,
        "commandverb": core_schema.with_default_schema(text, default=""),
        "commandkeyed": core_schema.with_default_schema(anything, default=False),
        "data": _old_data(reading) if reading.upcasters else reading.kind.__pydantic_core_schema__,
    }
    return core_schema.typed_dict_schema(
        {name: core_schema.typed_dict_field(schema) for name, schema in fields.items()}, extra_behavior="ignore"
    )


def _old_data(reading: Reading) -> CoreSchema:
    """Upcast first; what comes of it is held against the newest version as if it had been stored so."""

    def read(data: Any) -> Event:
        return reading.kind.model_validate_json(to_json(reading.upcast(data)))

    return core_schema.no_info_plain_validator_function(read)
