"""docs/schemas/: a JSON Schema of each event's envelope and data."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from docs.generator.events import parts
from docs.generator.fields import doc_of, meaning_of
from domain.events import EVENT_TYPES, Entity, Event
from domain.limits import NAME_PATTERN, TASK_ID_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TIMESTAMP = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"
"""Narrower than RFC 3339: the wire has always six decimals and `Z`."""
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
    data = _described(event)
    definitions = data.pop("$defs", {})
    entity, its_id = event.entity.value, _TASK_ID if event.entity is Entity.TASK else _NAME
    return {
        "$schema": DIALECT,
        "$id": f"urn:custody:event:{event.type_name}",
        "title": event.type_name,
        "description": doc_of(event),
        "type": "object",
        "required": [
            "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "aggregateversion",
            "causationid", "actor", "data",
        ],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "The position: the stream sequence."},
            "source": {"type": "string", "pattern": f"^custody/{_NAME}$"},
            "type": {"const": event.type_name},
            "subject": {"type": "string", "pattern": f"^{entity}/{its_id}$"},
            "time": _timestamp({"description": "When it was decided, by the writer's clock."}),
            "datacontenttype": {"const": "application/json"},
            "aggregateversion": {"type": "integer", "minimum": 1},
            "causationid": {"type": "string", "minLength": 1},
            "actor": {"type": "string", "pattern": f"^(agent/{_NAME}|ops|ops/.+|sweeper|stealer|writer)$"},
            "commandverb": {"type": "string"},
            "commandkeyed": {"type": "boolean"},
            "commanddigest": {"type": "string", "pattern": "^[0-9a-f]+$"},
            "traceparent": {"type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
            "data": {"$ref": "#/$defs/data"},
        },
        "$defs": {"data": data, **definitions},
    }  # fmt: skip


def _described(event: type[Event]) -> dict[str, Any]:
    document: dict[str, Any] = event.model_json_schema(mode="validation", ref_template="#/$defs/{model}")
    _describe(document, event)
    models = {model.__name__: model for model in parts()}
    for name, definition in document.get("$defs", {}).items():
        if name in models:
            _describe(definition, models[name])
    tidied: dict[str, Any] = _tidied(document)
    return tidied


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    definition["description"] = doc_of(model)
    # What a reader gets, not what the service accepts: readers ignore what they do not know.
    definition.pop("additionalProperties", None)
    for name, each in definition.get("properties", {}).items():
        each["description"] = meaning_of(model, name)


def _tidied(node: Any) -> Any:
    """Return a part of a schema without the titles that only repeat names, and with the wire's form of timestamps."""
    if isinstance(node, list):
        return [_tidied(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: {name: _tidied(each) for name, each in value.items()} if key == "properties" else _tidied(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }
    return _timestamp(kept) if kept.get("format") == "date-time" else kept


def _timestamp(rest: dict[str, Any]) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", "pattern": TIMESTAMP, **rest}
