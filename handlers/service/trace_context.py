"""The trace context of a request: https://www.w3.org/TR/trace-context/."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACE_HEADER: Final = "traceparent"
_VALID = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


def traceparent_in(headers: Mapping[str, str]) -> str:
    """Return a request's `traceparent`; empty if it has none, or one that the specification tells to ignore."""
    given = headers.get(TRACE_HEADER, "")
    return given if given and _VALID(given) else ""
