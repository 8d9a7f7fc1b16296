"""The body of a request: one JSON object, within a limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from custody_dashboard.web.api_error import ApiError, bad_request
from domain.untrusted_json import parse_json_object

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0
"""How long a body may take to arrive."""


async def json_body(request: Request) -> dict[str, Any]:
    """Return the object that a request's body is. Raises ApiError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A form of another page cannot send this type without asking first.
        raise ApiError(415, "not_json", "send the body as application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise ApiError(413, "too_large", f"the body may have at most {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise ApiError(408, "too_slow", f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from None
    try:
        return parse_json_object(bytes(body))
    except ValueError as error:
        raise bad_request(f"the body should be one JSON object: {error}") from None
