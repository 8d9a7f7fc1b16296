"""Events as JSON text: the result of `json.dumps` on their fields, at a third of the cost.

A generic encoder walks a copy of the fields that a generic dump has made. Here a template is made once for each event
class and the types of its values, and filled in for each event.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from json.encoder import encode_basestring, encode_basestring_ascii
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from domain.timestamps import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_MOMENTS = frozenset({"expires_at", "previous_expires_at", "not_before", "until"})
_PLAIN = frozenset({int, float})
"""Types whose values a template formats by `%r`."""
_NUMBERS_FIELD = "numbers"
"""The field of events that name the numbers they were decided by."""


class _Template(NamedTuple):
    """A JSON object with fixed names, for values of fixed types."""

    text: str
    """With a `%` placeholder for each value."""
    writers: tuple[tuple[int, Callable[[Any], str]], ...]
    """By placeholder: what makes text of a value that is no plain number."""
    numbers: str
    """As `text`, but with the numbers only."""
    which: Callable[[list[Any]], Sequence[Any]]
    """Selects the values of `numbers`."""


class EventJson:
    """Writes the fields of events as JSON. `ascii_only`: everything that is not ASCII is escaped."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self._quote: Callable[[str], str] = encode_basestring_ascii if ascii_only else encode_basestring
        self._encode = json.JSONEncoder(ensure_ascii=ascii_only).encode
        self._templates: dict[tuple[type, ...], _Template] = {}

    def write(self, event: BaseModel) -> tuple[str, str]:
        """Return the event's fields, and the numbers that it was decided by.

        If it has no field of such numbers, they are the numbers and times among its fields.
        """
        fields = event.__dict__
        text = self._filled(type(event), fields, [*fields.values()])
        if "inf" in text[1]:
            # A number that is too large for a float was read as infinity, which JSON does not have.
            finite = [None if isinstance(each, float) and math.isinf(each) else each for each in fields.values()]
            return self._filled(type(event), fields, finite)
        return text

    def _filled(self, model: type, names: Collection[str], values: list[Any]) -> tuple[str, str]:
        kinds = (model, *map(type, values))
        template = self._templates.get(kinds) or self._template(kinds, names)
        for place, write in template.writers:
            values[place] = write(values[place])
        return template.text % tuple(values), template.numbers % tuple(template.which(values))

    def _template(self, kinds: tuple[type, ...], names: Collection[str]) -> _Template:
        """Make the template for `kinds`: the model, and the types of its values in the order of the fields."""
        every, writers = [], []
        numbers: dict[int, str] = {}
        own = None
        for place, (name, kind) in enumerate(zip(names, kinds[1:], strict=True)):
            every.append(f"{self._quote(name)}: {'%r' if kind in _PLAIN else '%s'}")
            if kind not in _PLAIN:
                writers.append((place, self._writer(kind)))
            if (kind in _PLAIN or name in _MOMENTS) and name != "token":
                numbers[place] = every[-1]
            if name == _NUMBERS_FIELD and issubclass(kind, BaseModel):
                own = place
        template = self._templates[kinds] = _Template(
            _object(every),
            tuple(writers),
            _object(numbers.values()) if own is None else "%s",
            _picker([*numbers] if own is None else [own]),
        )
        return template

    def _writer(self, kind: type) -> Callable[[Any], str]:
        if kind in _WRITERS:
            return _WRITERS[kind]
        if issubclass(kind, str):
            return self._quote
        if issubclass(kind, BaseModel) and not any(field.exclude_if for field in kind.model_fields.values()):
            return lambda model: self.write(model)[0]
        if issubclass(kind, tuple):
            return lambda values: f"[{', '.join([self._writer(type(value))(value) for value in values])}]"
        return lambda value: self._encode(to_jsonable_python(value, inf_nan_mode="null"))


_WRITERS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    datetime: lambda at: f'"{timestamp_text(at)}"',
}


def _object(members: Collection[str]) -> str:
    return f"{{{', '.join(members)}}}"


def _picker(places: list[int]) -> Callable[[list[Any]], Sequence[Any]]:
    """Return a function that selects the values at some places, always as a sequence."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))
