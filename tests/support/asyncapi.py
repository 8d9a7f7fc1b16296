"""The AsyncAPI document as a client's validator would read it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from docs.generate import DOCS

_WHERE = "urn:custody:asyncapi"


@cache
def document() -> dict[str, Any]:
    """The document that is checked in."""
    loaded: dict[str, Any] = yaml.load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    return loaded


def resolve(reference: str) -> Any:
    """Return what a `$ref` leads to, through further ones."""
    node: Any = document()
    for token in reference.removeprefix("#/").split("/"):
        node = node[token]
    return resolve(node["$ref"]) if isinstance(node, dict) and set(node) == {"$ref"} else node


def answers(request: str) -> dict[str, Any]:
    """Return the messages that a request, such as `agent.claim`, is answered with, by name."""
    reply = resolve(f"#/operations/{request}")["reply"]
    return {message["name"]: message for message in (resolve(each["$ref"]) for each in reply["messages"])}


@cache
def validator(message: str, part: str = "payload") -> Draft7Validator:
    """Return the validator of a message's payload, or of its headers."""
    resource = DRAFT7.create_resource(document())
    registry: Registry[Any] = Registry().with_resource(_WHERE, resource)
    return Draft7Validator(
        {"$ref": f"{_WHERE}#/components/messages/{message}/{part}"},
        registry=registry,
        format_checker=Draft7Validator.FORMAT_CHECKER,
    )


def references(node: Any) -> Iterator[str]:
    """Yield every `$ref` of a part of the document."""
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
