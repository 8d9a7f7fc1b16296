"""The document's messages: requests, replies, errors and events, each with its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from docs.generator.asyncapi.schemas import FORMS, Schemas, plain, ref
from docs.generator.fields import doc_of
from docs.generator.replies import refusals
from docs.generator.schemas import ENVELOPE, own_attributes
from docs.generator.verbs import VERBS, Verb
from domain import limits
from domain.errors import RefusalCode
from domain.events import EVENT_TYPES, Event
from handlers.ports import ACTOR_HEADER
from handlers.service.trace_context import TRACE_HEADER

if TYPE_CHECKING:
    from docs.generator.replies.result import Result

_TRACE: Final = {TRACE_HEADER: {"description": "The trace that the command is part of.", **ref("Trace")}}
_HASH: Final = {
    "type": "string",
    "pattern": "^[0-9a-f]{64}$",
    "description": "SHA-256 of the previous message's hash, the position, the subject and the body, by newlines.",
}
HEADERS: Final[dict[str, dict[str, Any]]] = {
    "AgentHeaders": {"description": "Headers of an agent's command.", "properties": _TRACE},
    "OperatorHeaders": {
        "description": "Headers of an operator's or a service's command.",
        "properties": {
            ACTOR_HEADER: {
                "type": "string",
                "maxLength": limits.MAX_ACTOR_CHARS,
                "pattern": "^[ -~]*$",
                "description": "How it names itself; `ops/<name>` is then the actor of the events.",
            },
            **_TRACE,
        },
    },
    "EventHeaders": {
        "description": "Headers of an event. Those that begin with `Nats-` are set on the feed.",
        "properties": {
            "Content-Type": {"const": "application/cloudevents+json"},
            "Custody-Hash": _HASH,
            "Nats-Stream": {"type": "string", "description": "The stream: `CUSTODY_<pool>`."},
            "Nats-Subject": {"type": "string", "description": "The event's subject in the log."},
            "Nats-Sequence": {"type": "string", "pattern": "^[0-9]+$", "description": "Its position."},
            "Nats-Last-Sequence": {
                "type": "string",
                "pattern": "^[0-9]+$",
                "description": "The position of the event before it on the same subject; 0 for none.",
            },
        },
    },
}


def success_name(result: type[Result]) -> str:
    """Return the name of the message of a reply with this result."""
    return f"reply.{result.__name__}"


def error_name(code: RefusalCode) -> str:
    """Return the name of the message of an error."""
    return f"error.{code.value}"


def messages(schemas: Schemas) -> dict[str, dict[str, Any]]:
    """Return every message by its name; adds their schemas."""
    for name, headers in HEADERS.items():
        schemas.add(name, {"type": "object", **headers})
    _add_replies_base(schemas)
    schemas.add("CloudEvent", {"description": "The CloudEvents attributes of an event.", **ENVELOPE})
    results = {result.__name__: result for verb in VERBS for result in verb.reply.results}
    return {
        **{verb.full_name: _request(verb, schemas) for verb in VERBS},
        **{success_name(result): _success(result, schemas) for result in results.values()},
        **{error_name(code): _error(code, schemas) for code in RefusalCode},
        **{name: _event(event, schemas) for name, event in EVENT_TYPES.items()},
    }


def _request(verb: Verb, schemas: Schemas) -> dict[str, Any]:
    headers = {"agent": "AgentHeaders", "ops": "OperatorHeaders"}.get(verb.kind)
    return {
        "name": verb.full_name,
        "title": verb.full_name,
        "summary": plain(doc_of(verb.model)),
        **({"headers": ref(headers)} if headers else {}),
        "payload": schemas.add_request(verb.model, verb.full_name),
    }


def _add_replies_base(schemas: Schemas) -> None:
    schemas.add(
        "EventWritten",
        {
            "type": "object",
            "description": "An event that a command appended.",
            "required": ["type", "position"],
            "properties": {
                "type": {"type": "string", "description": "Its type, such as `custody.task.leased.v1`."},
                "position": FORMS["Position"],
            },
        },
    )
    schemas.add(
        "Success",
        {
            "type": "object",
            "description": "A reply to what was carried out.",
            "required": ["ok", "position", "events", "result"],
            "properties": {
                "ok": {"const": True},
                "position": FORMS["Position"] | {"description": "The position of the log at which the answer is true."},
                "events": {
                    "type": "array",
                    "items": ref("EventWritten"),
                    "description": "What the command appended; of a repeated command, what the first one did.",
                },
                "result": {"type": "object"},
            },
        },
    )
    schemas.add(
        "Refusal",
        {
            "type": "object",
            "description": "A reply to what was refused. It has appended nothing, but for a late report.",
            "required": ["ok", "error"],
            "properties": {
                "ok": {"const": False},
                "error": {
                    "type": "object",
                    "required": ["code", "message", "details"],
                    "properties": {
                        "code": {"enum": [code.value for code in RefusalCode]},
                        "message": {"type": "string", "description": "What is wrong, for people."},
                        "details": {"type": "object", "description": "What is wrong, for programs."},
                    },
                },
            },
        },
    )


def _success(result: type[Result], schemas: Schemas) -> dict[str, Any]:
    name = success_name(result)
    return {
        "name": name,
        "title": result.__name__,
        "summary": plain(doc_of(result)),
        "payload": {"allOf": [ref("Success"), _object(result=schemas.add_read(result))]},
    }


def _error(code: RefusalCode, schemas: Schemas) -> dict[str, Any]:
    details = schemas.add_read(refusals.DETAILS[code])
    return {
        "name": error_name(code),
        "title": code.value,
        "summary": refusals.MEANINGS[code],
        "headers": {
            "type": "object",
            "required": ["Nats-Service-Error", "Nats-Service-Error-Code"],
            "properties": {
                "Nats-Service-Error": {"type": "string", "pattern": f"^{code.value}: [ -~]*$"},
                "Nats-Service-Error-Code": {"const": str(code.number)},
            },
        },
        "payload": {
            "allOf": [
                ref("Refusal"),
                _object(error=_object(code={"const": code.value}, details=details)),
            ]
        },
    }


def _event(event: type[Event], schemas: Schemas) -> dict[str, Any]:
    name = event.type_name
    attributes = _object(**own_attributes(event), data=schemas.add_read(event))
    return {
        "name": name,
        "title": name,
        "summary": plain(doc_of(event)),
        "contentType": "application/cloudevents+json",
        "headers": ref("EventHeaders"),
        "payload": {"allOf": [ref("CloudEvent"), attributes]},
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}
