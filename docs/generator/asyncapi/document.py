"""The whole document: servers, channels, operations and components."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import yaml

from docs.generator.asyncapi.messages import error_name, messages, success_name
from docs.generator.asyncapi.schemas import Schemas, plain
from docs.generator.fields import doc_of
from docs.generator.verbs import VERBS, Verb
from domain import limits
from domain.events import EVENT_TYPES, Entity

ROOT: Final = Path(__file__).resolve().parents[3]
_HEAD: Final = """\
# The wire contract of Custody as AsyncAPI. Made by `python -m docs.generate` from the models of domain/ and
# docs/generator/replies/; edit those. What holds for all requests and events is in docs/contract.md.
"""
_INFO: Final = f"""\
Custody keeps who holds which task under which lease. Agents, operators and services send it commands and queries:
NATS requests with a JSON object of at most {limits.MAX_REQUEST_BYTES // 1024} KiB. Every fact is an event of the pool's
log, a JetStream stream, and is republished on its feed once it is accepted.

The document describes the service: it receives commands and queries, and sends events.

Additions are free: fields in events and results, attributes, verbs, optional fields of requests, error details.
Anything else is a new version. So ignore what you do not know.
"""
_KINDS: Final = {
    "agent": ("agents", "custody.{pool}.agent.{agent}.", ("pool", "agent")),
    "ops": ("operators", "custody.{pool}.ops.", ("pool",)),
    "query": ("queries", "custody.{pool}.query.", ("pool",)),
}
"""The tag, subject and parameters of a kind of request."""
_TAGS: Final = {
    "agents": "Commands of agents: the holders of work, each named by the subject.",
    "operators": "Commands of operators and services.",
    "queries": "Questions.",
    "events": "The log and its feed.",
}
_PARAMETERS: Final = {
    "pool": f"A pool: `{limits.NAME_PATTERN}`.",
    "agent": f"An agent: `{limits.NAME_PATTERN}`.",
    "task": "A task's id as a token: letters, digits, `_` and `-` stay, every other character is `%` and two "
    "hexadecimal digits in upper case.",
    "steal": f"A steal operation: `{limits.NAME_PATTERN}`.",
}
_FLOWS: Final = {
    "evt": (
        "log",
        "The log: the stream `CUSTODY_<pool>`, to be read with a JetStream consumer. Only the service writes there.",
    ),
    "feed": ("feed", "The same events, republished once they are accepted."),
}


def asyncapi_yaml(whole: dict[str, Any]) -> str:
    """Return docs/asyncapi.yaml."""
    return _HEAD + dumped(whole)


def dumped(part: Any) -> str:
    """Return a document as YAML."""
    return str(yaml.dump(part, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118))


def document() -> dict[str, Any]:
    """Return the document."""
    schemas = Schemas()
    named = messages(schemas)
    requests = {verb.full_name: _request_channel(verb) for verb in VERBS}
    events = {
        f"{name}.{entity.value}": _event_channel(flow, entity)
        for flow, (name, _) in _FLOWS.items()
        for entity in Entity
    }
    replies = [name for name in named if name.startswith(("reply.", "error."))]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Custody",
            "version": _version(),
            "description": _INFO,
            "license": {"name": "MIT"},
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {
            **requests,
            "reply": {
                "address": None,
                "title": "Replies",
                "description": "The reply subject of the request. It begins with `_INBOX.`; on a broker with users, "
                f"with `_INBOX.<user>`. A reply has at most {limits.MAX_REPLY_BYTES // 1024} KiB.",
                "messages": _messages(replies),
            },
            **events,
        },
        "operations": {
            **{verb.full_name: _request_operation(verb) for verb in VERBS},
            **{name: _event_operation(name, channel) for name, channel in events.items()},
        },
        "components": {
            "parameters": {name: {"description": text} for name, text in _PARAMETERS.items()},
            "securitySchemes": {
                "user": {
                    "type": "userPassword",
                    "description": "A user of the broker; its permissions say what it may do.",
                }
            },
            "messages": named,
            "schemas": schemas.components,
        },
    }


def _version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def _server() -> dict[str, Any]:
    return {
        "host": "{host}:{port}",
        "protocol": "nats",
        "description": "A NATS server with JetStream. `custody up` writes where its own is to `.custody/broker.json`.",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "4222"}},
        "security": [{"$ref": "#/components/securitySchemes/user"}],
    }


def _messages(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _parameters(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/parameters/{name}"} for name in names}


def _request_channel(verb: Verb) -> dict[str, Any]:
    _, address, parameters = _KINDS[verb.kind]
    return {
        "address": f"{address}{verb.name}",
        "messages": _messages([verb.full_name]),
        "parameters": _parameters(parameters),
    }


def _request_operation(verb: Verb) -> dict[str, Any]:
    answers = [success_name(result) for result in verb.reply.results] + [error_name(code) for code in verb.errors]
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{verb.full_name}"},
        "summary": plain(doc_of(verb.model)),
        **({"description": plain(verb.reply.note)} if verb.reply.note else {}),
        "tags": [{"name": _KINDS[verb.kind][0]}],
        "messages": [{"$ref": f"#/channels/{verb.full_name}/messages/{verb.full_name}"}],
        "reply": {
            "channel": {"$ref": "#/channels/reply"},
            "messages": [{"$ref": f"#/channels/reply/messages/{name}"} for name in answers],
        },
    }


def _event_channel(flow: str, entity: Entity) -> dict[str, Any]:
    its_id = entity.value
    # The pool's own events name it twice: an address may have a parameter once.
    events = [event for event in EVENT_TYPES.values() if event.entity is entity]
    address = f"custody.{{pool}}.{flow}.{its_id}.{{{'of' if entity is Entity.POOL else its_id}}}.{{event}}"
    return {
        "address": address,
        "description": _FLOWS[flow][1],
        "messages": _messages([event.type_name for event in events]),
        "parameters": {
            **_parameters(("pool",)),
            **({"of": {"description": "The pool again."}} if entity is Entity.POOL else _parameters((its_id,))),
            "event": {"description": "The event's name.", "enum": [event.name for event in events]},
        },
    }


def _event_operation(name: str, channel: dict[str, Any]) -> dict[str, Any]:
    entity = name.partition(".")[2]
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"Events of {entity}s." if entity != "pool" else "Events of the pool.",
        "description": channel["description"],
        "tags": [{"name": "events"}],
        "messages": [{"$ref": f"#/channels/{name}/messages/{each}"} for each in channel["messages"]],
    }


class _Dumper(yaml.SafeDumper):
    """Writes lines of text as they are, and every part in full: readers of AsyncAPI follow `$ref`, not anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)
