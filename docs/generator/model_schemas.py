"""JSON Schemas of models: with the meanings that the pages have, and without what only repeats names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docs.generator.fields import doc_of, meaning_of, models_in
from docs.generator.replies.result import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel


def models_within(models: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    """Return the models that others are made of, at any depth, each once, in the order of their first use."""
    found: list[type[BaseModel]] = []
    waiting = [part for model in models for part in _parts(model)]
    while waiting:
        model = waiting.pop(0)
        if model not in found:
            found.append(model)
            waiting += _parts(model)
    return found


def model_schema(model: type[BaseModel], ref_template: str, *, closed: bool = False) -> dict[str, Any]:
    """Return the schema of a model; those that it refers to are in `$defs`, by their classes' names.

    `closed`: unknown fields are refused, as they are in requests. Else they are allowed, because they may be added.
    """
    document: dict[str, Any] = model.model_json_schema(mode="validation", ref_template=ref_template)
    _describe(document, model, closed=closed)
    models = {each.__name__: each for each in models_within([model])}
    for name, definition in document.get("$defs", {}).items():
        if name in models:
            _describe(definition, models[name], closed=closed)
    tidied: dict[str, Any] = _tidied(document)
    return tidied


def timestamp(rest: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a timestamp as the service writes it."""
    return {"type": "string", "format": "date-time", "pattern": TIMESTAMP, **rest}


def _parts(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for info in model.model_fields.values() for each in models_in(info.annotation)]


def _describe(definition: dict[str, Any], model: type[BaseModel], *, closed: bool) -> None:
    definition["description"] = doc_of(model)
    if not closed:
        definition.pop("additionalProperties", None)
    by_alias = {info.alias or name: name for name, info in model.model_fields.items()}
    for name, each in definition.get("properties", {}).items():
        each["description"] = meaning_of(model, by_alias[name])


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
    return timestamp(kept) if kept.get("format") == "date-time" else kept
