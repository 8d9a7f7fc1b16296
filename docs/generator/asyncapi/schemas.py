"""The document's schemas: one component for each model and each shared form, in the dialect that AsyncAPI reads.

That is JSON Schema draft-07: what stands beside a `$ref` is ignored there, so a `$ref` with a description is wrapped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from docs.generator.model_schemas import model_schema, models_within, timestamp
from domain import limits
from domain.events import Event

if TYPE_CHECKING:
    from pydantic import BaseModel

PREFIX = "#/components/schemas/"
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_BESIDE = ("description", "default")
"""What a field adds to a form that it shares."""

FORMS: Final[dict[str, dict[str, Any]]] = {
    "Name": {
        "type": "string",
        "pattern": limits.NAME_PATTERN,
        "description": "A pool, an agent, a session or a steal operation.",
    },
    "TaskId": {
        "type": "string",
        "pattern": limits.TASK_ID_PATTERN,
        "description": "A task. In subjects, characters other than letters, digits, `_` and `-` are escaped as `%XX`.",
    },
    "Timestamp": timestamp({"description": "UTC with six decimals and `Z`, as the service writes it."}),
    "CommandId": {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.MAX_COMMAND_ID_CHARS,
        "description": "Makes a command idempotent: the same id again is answered with the first outcome.",
    },
    "Token": {
        "type": "integer",
        "minimum": 1,
        "maximum": limits.MAX_INT64,
        "description": "A lease's fencing token: the position of the event that granted it.",
    },
    "Position": {
        "type": "integer",
        "minimum": 0,
        "maximum": limits.MAX_INT64,
        "description": "A position of the log; 0 is before its first.",
    },
    "Trace": {
        "type": "string",
        "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        "description": "A W3C trace context.",
    },
}
"""Schemas that fields of many models share."""
_BY_FORM: Final = {
    frozenset((key, str(value)) for key, value in form.items() if key != "description"): name
    for name, form in FORMS.items()
}


def ref(name: str) -> dict[str, Any]:
    """Return a reference to a schema."""
    return {"$ref": f"{PREFIX}{name}"}


class Schemas:
    """Collects components; each name has one meaning."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = dict(FORMS)
        self._requests: dict[str, str] = {}
        """The names of requests by their classes', for those that are parts of others too."""

    def add(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Add a schema and return a reference to it; raises ValueError if the name has another meaning already."""
        draft_07 = _draft_07(schema)
        if self.components.setdefault(name, draft_07) != draft_07:
            msg = f"two schemas are called {name}"
            raise ValueError(msg)
        return ref(name)

    def add_read(self, model: type[BaseModel]) -> dict[str, Any]:
        """Add what a client reads, with its parts; return a reference to it."""
        schema = model_schema(model, PREFIX + "{model}")
        parts = schema.pop("$defs", {})
        names = {part: part for part in parts} | {each.__name__: _name(each) for each in models_within([model])}
        return self._add_whole(_name(model), schema, parts, names)

    def add_request(self, model: type[BaseModel], name: str) -> dict[str, Any]:
        """Add what a client sends, with its parts; return a reference to it.

        Parts refuse unknown fields where they are sent, and not where they are read. So those that are sent have names
        of their own, with `Request` behind the class's.
        """
        schema = model_schema(model, PREFIX + "{model}", closed=True)
        parts = schema.pop("$defs", {})
        names = {
            part: self._requests.get(part, part if "enum" in definition else f"{part}Request")
            for part, definition in parts.items()
        }
        self._requests[model.__name__] = name
        return self._add_whole(name, schema, parts, names)

    def _add_whole(
        self, name: str, schema: dict[str, Any], parts: dict[str, dict[str, Any]], names: dict[str, str]
    ) -> dict[str, Any]:
        for part, definition in parts.items():
            self.add(names[part], _renamed(definition, names))
        return self.add(name, _renamed(schema, names))


def plain(text: str) -> str:
    """Return a description without links: the document is read apart from the pages."""
    return _LINK.sub(r"\1", text)


def _name(model: type[BaseModel]) -> str:
    """Return a model's component: an event's is called as its type, which tells task and steal events apart."""
    return model.type_name if issubclass(model, Event) else model.__name__


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_renamed(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: PREFIX + names[value.removeprefix(PREFIX)] if key == "$ref" else _renamed(value, names)
        for key, value in node.items()
    }


def _draft_07(node: Any) -> Any:
    """Return a part of a schema with shared forms as references, and with nothing beside a reference."""
    if isinstance(node, list):
        return [_draft_07(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _value(key, value) for key, value in node.items()}
    beside = {key: kept.pop(key) for key in _BESIDE if key in kept}
    form = _BY_FORM.get(frozenset((key, str(value)) for key, value in kept.items()))
    if form is not None:
        kept = ref(form)
    if "$ref" in kept and beside:
        return {"allOf": [kept], **beside}
    return {**beside, **kept}


def _value(keyword: str, value: Any) -> Any:
    match keyword:
        case "properties":
            return {name: _draft_07(each) for name, each in value.items()}
        case "default" | "enum" | "const" | "required":
            return value
        case "description":
            return plain(value)
    return _draft_07(value)
