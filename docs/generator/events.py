"""docs/events.md: the event catalogue."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from docs.generator.fields import FieldDoc, cell, doc_of, fields_of, models_in
from docs.generator.lifecycles import in_words, transitions
from domain.events import EVENT_TYPES, Entity, Event
from domain.events.agent import IntakeEvent
from domain.lifecycles import AGENT, INTAKE, LEASE, STEAL, TASK, TransitionTable

_HEAD = """\
# Events

<!-- Made by `python -m docs.generate` from domain/events/; edit that. -->

Every fact that a pool's log can hold: {count} types. One event is one message on
`custody.<pool>.evt.<entity>.<id>.<event>`; its body is a CloudEvents 1.0 JSON object, and what is listed here is its
`data`. The same body, once accepted, is republished on `custody.<pool>.feed.<entity>.<id>.<event>`.

| attribute | meaning |
|---|---|
| `specversion` | `1.0` |
| `id` | the position: the stream sequence, as text |
| `source` | `custody/<pool>` |
| `type` | as listed here |
| `subject` | `<entity>/<id>`, such as `task/T1` |
| `time` | when it was decided, by the writer's clock: UTC, six decimals, `Z`; never goes backwards along the log |
| `datacontenttype` | `application/json` |
| `aggregateversion` | counts the events of this one entity, from 1 |
| `causationid` | the caller's `command_id`, or one made for it |
| `actor` | `agent/<id>`, `ops/<name>`, `ops`, `sweeper`, `stealer` or `writer` |
| `commandverb` | the command's verb; for a command of the service itself, a name such as `judge` |
| `commandkeyed` | whether the caller chose `causationid`, so that a repeat is answered with this outcome |
| `commanddigest` | short digest of the command's body, on the first event of such an outcome; absent in older logs |
| `traceparent` | the command's W3C trace context, if it came with one |
| `data` | the event |

A timestamp is RFC 3339 in UTC with six decimals and `Z`. Names that end in `_s` are seconds. Fields and attributes may
be added within a version; readers ignore what they do not know. There is a JSON Schema for each type in
[schemas/](schemas/).
"""


def events_page() -> str:
    """Return the page."""
    lines = [_HEAD.format(count=len(EVENT_TYPES)), _index(), ""]
    for entity in Entity:
        lines += [f"## {entity.value.capitalize()}", ""]
        for event in _of(entity):
            lines += _section(event)
    lines += ["## Values", "", "Parts of events.", ""]
    for model in parts():
        lines += [f"### {model.__name__}", "", doc_of(model), "", *table(fields_of(model)), ""]
    return "\n".join(lines)


def parts() -> list[type[BaseModel]]:
    """Return the models that events are made of, each once, in the order of their first use."""
    found: list[type[BaseModel]] = []
    waiting = [model for event in EVENT_TYPES.values() for model in _models(event)]
    while waiting:
        model = waiting.pop(0)
        if model not in found:
            found.append(model)
            waiting += _models(model)
    return found


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for info in model.model_fields.values() for each in models_in(info.annotation)]


def table(fields: list[FieldDoc]) -> list[str]:
    """Return a table of fields as lines."""
    if not fields:
        return ["No fields."]
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{field.name}` | {cell(field.kind)} | {'' if field.default == 'required' else cell(field.default)} "
        f"| {cell(field.meaning)} |"
        for field in fields
    ]
    return lines


def _of(entity: Entity) -> list[type[Event]]:
    return [event for event in EVENT_TYPES.values() if event.entity is entity]


def anchor(event: type[Event]) -> str:
    """Return the anchor of an event's section."""
    return event.type_name.replace(".", "").lower()


def _index() -> str:
    rows = ["| entity | events |", "|---|---|"]
    for entity in Entity:
        links = " ".join(f"[{event.name}](#{anchor(event)})" for event in _of(entity))
        rows.append(f"| {entity.value} | {links} |")
    return "\n".join(rows)


def _section(event: type[Event]) -> list[str]:
    name = event.type_name
    lines = [f"### {name}", "", doc_of(event), ""]
    lines.append(f"- subject: `custody.<pool>.evt.{event.entity.value}.<{event.entity.value}>.{event.name}`")
    lines += [f"- {line}" for line in effects(event)]
    lines += [f"- schema: [{name}.json](schemas/{name}.json)", "", *table(fields_of(event)), ""]
    return lines


def effects(event: type[Event]) -> list[str]:
    """Return which lifecycles an event moves, and how."""
    lines = []
    for name, machine, as_name in _machines(event):
        pairs = transitions(machine).get(as_name)
        if pairs is not None:
            lines.append(f"[{name}](lifecycles.md#{name}): {in_words(pairs)}")
    return lines or ["moves no lifecycle"]


def _machines(event: type[Event]) -> list[tuple[str, TransitionTable[Any], str]]:
    match event.entity:
        case Entity.TASK:
            lease_event = "granted" if event.name == "leased" else event.name
            return [("task", TASK, event.name), ("lease", LEASE, lease_event)]
        case Entity.AGENT:
            gate = [("intake", INTAKE, event.name)] if issubclass(event, IntakeEvent) else []
            return [("agent", AGENT, event.name), *gate]
        case Entity.STEAL:
            return [("steal", STEAL, event.name)]
        case Entity.POOL:
            return [("intake", INTAKE, event.name)]
