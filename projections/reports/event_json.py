"""Events as JSON text: what `json.dumps` makes of their fields, at a third of the cost.

A generic writer walks a copy of the fields that a generic dumper made. Here a form is made once for each kind of event
and the types of its values, and filled in for each event.
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
"""Types whose values are put into a form as they are."""
_OWN = "numbers"


class _Form(NamedTuple):
    """A JSON object with fixed names, for values of fixed types."""

    text: str
    """With a place for each value."""
    writers: tuple[tuple[int, Callable[[Any], str]], ...]
    """By place, what makes text of a value that is not put there as it is."""
    numbers: str
    """As `text`, of the numbers alone."""
    which: Callable[[list[Any]], Sequence[Any]]
    """Picks the values of `numbers`."""


class EventJson:
    """Writes the fields of events as JSON. `ascii_only`: everything else is escaped."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self._quote: Callable[[str], str] = encode_basestring_ascii if ascii_only else encode_basestring
        self._encode = json.JSONEncoder(ensure_ascii=ascii_only).encode
        self._forms: dict[tuple[type, ...], _Form] = {}

    def of(self, event: BaseModel) -> tuple[str, str]:
        """Return the event's fields, and the numbers it was decided by.

        Where it does not name such numbers itself, they are the numbers and terms that it carries.
        """
        fields = event.__dict__
        told = self._filled(type(event), fields, [*fields.values()])
        if "inf" in told[1]:
            # A number beyond all bounds was read as infinity, which JSON does not have.
            finite = [None if isinstance(each, float) and math.isinf(each) else each for each in fields.values()]
            return self._filled(type(event), fields, finite)
        return told

    def _filled(self, model: type, names: Collection[str], values: list[Any]) -> tuple[str, str]:
        kinds = (model, *map(type, values))
        form = self._forms.get(kinds) or self._form(kinds, names)
        for place, write in form.writers:
            values[place] = write(values[place])
        return form.text % tuple(values), form.numbers % tuple(form.which(values))

    def _form(self, kinds: tuple[type, ...], names: Collection[str]) -> _Form:
        """Make the form for a model and the types of its values, in this order."""
        every, writers = [], []
        numbers: dict[int, str] = {}
        own = None
        for place, (name, kind) in enumerate(zip(names, kinds[1:], strict=True)):
            every.append(f"{self._quote(name)}: {'%r' if kind in _PLAIN else '%s'}")
            if kind not in _PLAIN:
                writers.append((place, self._writer(kind)))
            if (kind in _PLAIN or name in _MOMENTS) and name != "token":
                numbers[place] = every[-1]
            if name == _OWN and issubclass(kind, BaseModel):
                own = place
        form = self._forms[kinds] = _Form(
            _object(every),
            tuple(writers),
            _object(numbers.values()) if own is None else "%s",
            _picker([*numbers] if own is None else [own]),
        )
        return form

    def _writer(self, kind: type) -> Callable[[Any], str]:
        if kind in _WRITERS:
            return _WRITERS[kind]
        if issubclass(kind, str):
            return self._quote
        if issubclass(kind, BaseModel):
            return lambda model: self.of(model)[0]
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
    """Return what picks the values at some places, as a sequence also if there are less than two."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))
