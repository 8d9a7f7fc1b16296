"""Lengths of time as people write them."""

from __future__ import annotations

import re

_LENGTH = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """Return a length such as `90`, `60s`, `10m` or `1.5h` in seconds; raises ValueError if it is none."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time: write 60s, 10m or 1h")
    return float(match["number"]) * _UNITS[match["unit"]]
