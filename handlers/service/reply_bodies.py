"""Replies and errors as the wire contract has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic_core

from domain.errors import RefusalCode
from domain.json_values import plain_message
from domain.refusal import Refusal, invalid_field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import ValidationError

    from domain.recorded import Recorded

REPLY_PREFIX = "_INBOX."
OWN_INBOXES = ("_INBOX.writer.", "_INBOX.responder.")
"""Where the service hears answers of the broker. It sends none there, whatever a caller asks for."""
_MAX_FIELDS = 50


def is_inbox(reply: str) -> bool:
    """Return whether a reply subject is an inbox of a caller."""
    return reply.startswith(REPLY_PREFIX) and not reply.startswith(OWN_INBOXES)


def success(position: int, records: Sequence[Recorded], result: Any) -> bytes:
    """Return the body of a reply to a command that was carried out, or to a query."""
    events = ",".join([f'{{"type":"{each.event.type_name}","position":{each.position}}}' for each in records])
    head = f'{{"ok":true,"position":{position},"events":[{events}],"result":'
    return head.encode() + pydantic_core.to_json(result) + b"}"


def failure(refusal: Refusal) -> tuple[bytes, Mapping[str, str]]:
    """Return the body of an error reply and the headers that NATS services use for errors."""
    body = pydantic_core.to_json(
        {
            "ok": False,
            "error": {"code": refusal.code.value, "message": refusal.message, "details": refusal.details},
        }
    )
    headers = {
        "Nats-Service-Error": f"{refusal.code.value}: {_one_line(refusal.message)}",
        "Nats-Service-Error-Code": str(refusal.code.number),
    }
    return body, headers


def malformed(error: ValidationError) -> Refusal:
    """Return the refusal of a body that does not fit. It names each field, or fifty and how many more."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    fields = [
        {"field": ".".join(map(str, each["loc"])) or "(body)", "message": plain_message(each["msg"])}
        for each in found[:_MAX_FIELDS]
    ]
    message = "; ".join(f"{each['field']}: {each['message']}" for each in fields)
    if len(found) > _MAX_FIELDS:
        message += f"; and {len(found) - _MAX_FIELDS} more"
    return Refusal(RefusalCode.INVALID_COMMAND, message, {"fields": fields})


def invalid(field: str, message: str) -> Refusal:
    """Return the refusal of one field."""
    return invalid_field(field, message).refusal


def _one_line(text: str) -> str:
    """Return the text as a header may carry it: printable ASCII on one line."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:512]
