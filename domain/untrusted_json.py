"""JSON that comes from outside: a broker, a file, another program."""

from __future__ import annotations

import json
import math
from typing import Any

from domain.limits import LARGEST_INTEGER, SMALLEST_INTEGER

_LONGEST_INTEGER = 20
"""Characters: no integer of 64 bits has more."""


def parse_json(data: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON; or it has what no writer of this project writes: nesting beyond the interpreter's
            limit, a number that is not finite, or an integer beyond 64 bits.
    """
    try:
        return json.loads(data, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        msg = "it is nested too deeply"
        raise ValueError(msg) from None


def parse_json_object(data: bytes | str) -> dict[str, Any]:
    """`parse_json` for a text that must be an object."""
    value = parse_json(data)
    if not isinstance(value, dict):
        msg = "it is no JSON object"
        raise ValueError(msg)  # noqa: TRY004 # one error for all that is no such text
    return value


def _refuse_constant(name: str) -> float:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = "it has a number that is not finite"
        raise ValueError(msg)
    return value


def _integer(text: str) -> int:
    # By the length first: reading a million digits takes long.
    if len(text) <= _LONGEST_INTEGER:
        value = int(text)
        if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            return value
    msg = "it has an integer beyond 64 bits"
    raise ValueError(msg)
