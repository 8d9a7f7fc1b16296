"""docs/schemas/: a JSON Schema of each event's envelope and data."""

from __future__ import annotations

import json
from typing import Any, Final

from docs.generator.fields import doc_of
from docs.generator.model_schemas import model_schema, timestamp
from domain.events import EVENT_TYPES, Entity, Event
from domain.limits import NAME_PATTERN, TASK_ID_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = NAME_PATTERN.removeprefix("^").removesuffix("$")
_TASK_ID = TASK_ID_PATTERN.removeprefix("^").removesuffix("$")


def schema_files() -> dict[str, str]:
    """Return every schema: path below `docs/` -> text."""
    return {
        f"schemas/{name}.json": json.dumps(schema(event), indent=2, ensure_ascii=False) + "\n"
        for name, event in EVENT_TYPES.items()
    }


def schema(event: type[Event]) -> dict[str, Any]:
    """Return the schema of one event type's messages.

    Attributes and fields that it does not name are allowed: they may be added within a version.
    """
    data = model_schema(event, "#/$defs/{model}")
    definitions = data.pop("$defs", {})
    return {
        "$schema": DIALECT,
        "$id": f"urn:custody:event:{event.type_name}",
        "title": event.type_name,
        "description": doc_of(event),
        **envelope(event),
        "$defs": {"data": data, **definitions},
    }


def envelope(event: type[Event]) -> dict[str, Any]:
    """Return the schema of the CloudEvents attributes of one event type's messages; `data` is `$defs/data`."""
    return ENVELOPE | {
        "properties": ENVELOPE["properties"] | own_attributes(event) | {"data": {"$ref": "#/$defs/data"}}
    }


def own_attributes(event: type[Event]) -> dict[str, Any]:
    """Return the schemas of the attributes that tell one event type from others."""
    its_id = _TASK_ID if event.entity is Entity.TASK else _NAME
    return {
        "type": {"const": event.type_name},
        "subject": {"type": "string", "pattern": f"^{event.entity.value}/{its_id}$"},
    }


ENVELOPE: Final[dict[str, Any]] = {
    "type": "object",
    "required": [
        "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "aggregateversion",
        "causationid", "actor", "data",
    ],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "The position: the stream sequence."},
        "source": {"type": "string", "pattern": f"^custody/{_NAME}$"},
        "type": {"type": "string"},
        "subject": {"type": "string"},
        "time": timestamp({"description": "When it was decided, by the writer's clock."}),
        "datacontenttype": {"const": "application/json"},
        "aggregateversion": {"type": "integer", "minimum": 1},
        "causationid": {"type": "string", "minLength": 1},
        "actor": {"type": "string", "pattern": f"^(agent/{_NAME}|ops|ops/.+|sweeper|stealer|writer)$"},
        "commandverb": {"type": "string"},
        "commandkeyed": {"type": "boolean"},
        "commanddigest": {"type": "string", "pattern": "^[0-9a-f]+$"},
        "traceparent": {"type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    },
}  # fmt: skip
"""What the messages of all events have in common."""
