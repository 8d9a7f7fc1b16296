"""Documents as JSON, and the answers that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENCODER = msgspec.json.Encoder()


def to_json(document: Any) -> bytes:
    """Return a document as JSON in UTF-8, on one line. Numbers that JSON does not have become null."""
    return _ENCODER.encode(document)


class JsonReply(Response):
    """An answer in JSON, which no cache may keep."""

    media_type = "application/json"

    def __init__(self, document: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(to_json(document), status_code, {"Cache-Control": "no-store", **(headers or {})})


class EncodedReply(Response):
    """An answer in JSON that was encoded before."""

    media_type = "application/json"

    def __init__(self, body: bytes) -> None:
        super().__init__(body, 200, {"Cache-Control": "no-store"})
