"""What the code says of a model's fields: types and limits from the annotations, meanings from the docstrings."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from docs.generator import glossary
from domain.json_values import check_json, check_note, check_small_json
from domain.limits import (
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_NOTE_DATA_BYTES,
    MAX_TEXT_BYTES,
    NAME_PATTERN,
    TASK_ID_PATTERN,
)
from infra.cli.framework.attribute_docs import attribute_doc, attribute_docs
from infra.cli.framework.options import bounds

NO_DEFAULT = "required"


class FieldDoc(NamedTuple):
    """One field as the pages show it."""

    name: str
    """Its name on the wire."""
    kind: str
    default: str
    """In words; `required` where there is none."""
    limits: str
    meaning: str


def fields_of(model: type[BaseModel]) -> list[FieldDoc]:
    """Return a model's fields in their order."""
    return [_field(model, name, info) for name, info in model.model_fields.items()]


def meaning_of(model: type[BaseModel], name: str) -> str:
    """Return what a field means: its own docstring, else the glossary's word for it.

    Raises:
        LookupError: neither says anything.
    """
    meaning = attribute_doc(model, name) or glossary.lookup(model.__name__, name)
    if meaning is None:
        msg = f"{model.__name__}.{name} has no docstring, and docs/generator/glossary.py has no word for it"
        raise LookupError(msg)
    return meaning


def enum_member_docs(kind: type[Enum]) -> Mapping[str, str]:
    """Return what is said of an enum's members, by value."""
    docs = attribute_docs(kind)
    return {str(member.value): docs[member.name] for member in kind if member.name in docs}


def doc_of(thing: object) -> str:
    """Return a docstring's first paragraph on one line."""
    return one_line((inspect.getdoc(thing) or "").partition("\n\n")[0])


def one_line(text: str) -> str:
    """Return the text with every run of blanks made one."""
    return " ".join(text.split())


def cell(text: str) -> str:
    """Return the text as a table's cell can hold it."""
    return text.replace("|", "\\|")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation speaks of, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in models_in(each)]


def _field(model: type[BaseModel], name: str, info: FieldInfo) -> FieldDoc:
    return FieldDoc(
        name=info.alias or name,
        kind=kind_of(info.annotation, info.metadata),
        default=_default(info),
        limits=_limits(info.annotation, info.metadata),
        meaning=meaning_of(model, name),
    )


def kind_of(annotation: Any, metadata: Any = ()) -> str:
    """Return a type in words."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extras = get_args(annotation)
        return kind_of(inner, [*metadata, *_flat(extras)])
    if origin in {Union, types.UnionType}:
        kinds = [kind_of(each) for each in get_args(annotation) if each is not type(None)]
        return " or ".join([*kinds, "null"] if type(None) in get_args(annotation) else kinds)
    if origin is Literal:
        return " ".join(f"`{each}`" for each in get_args(annotation))
    if origin in {list, tuple}:
        return f"list of {kind_of(get_args(annotation)[0])}"
    if annotation in {datetime, AwareDatetime}:
        return "timestamp"
    if annotation is Any:
        return "any JSON"
    return _class_kind(annotation, metadata) if isinstance(annotation, type) else str(annotation)


def _class_kind(kind: type, metadata: Any) -> str:
    if issubclass(kind, Enum):
        return " ".join(f"`{member.value}`" for member in kind)
    if issubclass(kind, BaseModel):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if kind is str and any(getattr(each, "pattern", None) == NAME_PATTERN for each in metadata):
        return "name"
    if kind is str and any(getattr(each, "pattern", None) == TASK_ID_PATTERN for each in metadata):
        return "task id"
    return {str: "string", int: "integer", float: "number", bool: "boolean"}.get(kind, kind.__name__)


def _flat(extras: list[Any]) -> list[Any]:
    found: list[Any] = []
    for extra in extras:
        found.extend(extra.metadata if isinstance(extra, FieldInfo) else [extra])
    return found


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return NO_DEFAULT
    value = info.get_default(call_default_factory=True)
    if value is None:
        return ""
    return shown(value)


def shown(value: Any) -> str:
    """Return a default as the pages show it."""
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, int | float):
        return f"{value:,g}" if abs(value) < 1_000_000 else f"{value:,}"  # noqa: PLR2004 - %g would round
    if isinstance(value, list | tuple):
        return "none" if not value else ", ".join(map(str, value))
    return f"`{value}`" if str(value) else "empty"


class _Bounds(NamedTuple):
    low: str
    high: str
    lengths: list[str]


def _limits(annotation: Any, metadata: Any) -> str:
    bounds = _bounds(annotation, list(metadata), unit="characters")
    parts = list(bounds.lengths)
    if bounds.low and bounds.high:
        parts.insert(0, f"{bounds.low} to {bounds.high}")
    elif bounds.low or bounds.high:
        parts.insert(0, f"from {bounds.low}" if bounds.low else f"to {bounds.high}")
    return ", ".join(parts).replace("from above", "above")


def _bounds(annotation: Any, metadata: list[Any], *, unit: str) -> _Bounds:
    lengths: list[str] = []
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extras = get_args(annotation)
        return _bounds(inner, [*_flat(extras), *metadata], unit=unit)
    if origin in {Union, types.UnionType}:
        inner_kinds = [each for each in get_args(annotation) if each is not type(None)]
        return _bounds(inner_kinds[0], metadata, unit=unit)
    unit = "items" if origin in {list, tuple} else unit
    low, high = bounds(metadata, _number)
    for each in metadata:
        if isinstance(each, annotated_types.MaxLen):
            lengths.append(f"at most {each.max_length:,} {unit}")
        else:
            lengths += _checked_limit(each)
    if origin in {list, tuple}:
        inner = _bounds(get_args(annotation)[0], [], unit="characters")
        lengths += [f"each {each}" for each in inner.lengths]
    return _Bounds(low, high, lengths)


_CHECKED_LIMITS: dict[Any, str] = {
    check_json: f"{MAX_JSON_BYTES // 1024} KiB as compact JSON, {MAX_JSON_DEPTH} levels deep",
    check_small_json: f"{MAX_NOTE_DATA_BYTES // 1024} KiB as compact JSON, {MAX_JSON_DEPTH} levels deep",
    check_note: f"{MAX_TEXT_BYTES // 1024} KiB of UTF-8",
}
"""What a validator's function limits, in words."""


def _checked_limit(extra: Any) -> list[str]:
    limit = _CHECKED_LIMITS.get(getattr(extra, "func", None))
    return [] if limit is None else [limit]


def _number(value: Any) -> str:
    number = float(value)
    return f"{int(number):,}" if number == int(number) else f"{number:.7f}".rstrip("0")
