"""Replies held against the models that the AsyncAPI document is made of: strictly, so an unknown field is a misfit."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar, Union

from pydantic import Field, TypeAdapter, ValidationError

from docs.generator.replies import refusals
from docs.generator.replies.result import Position, Result
from docs.generator.verbs import BY_NAME
from domain.errors import RefusalCode
from domain.events import EVENT_TYPES

T = TypeVar("T")
EVERY_REQUEST = {RefusalCode.INVALID_COMMAND, RefusalCode.OVERLOADED}
"""What a request that is no verb's can be refused with."""


class EventWritten(Result):
    type: Annotated[str, Field(pattern="^(" + "|".join(map("(?:{})".format, EVENT_TYPES)) + ")$")]
    position: Annotated[int, Field(ge=1)]


class Success(Result, Generic[T]):
    ok: Literal[True]
    position: Position
    events: list[EventWritten]
    result: T


class Error(Result, Generic[T]):
    code: Annotated[RefusalCode, Field(strict=False)]
    message: str
    details: T


class Refusal(Result, Generic[T]):
    ok: Literal[False]
    error: Error[T]


def misfit(subject: str, body: bytes) -> str | None:
    """Return what is wrong with the reply to a request, by what is described; None if nothing is.

    `subject`: what follows the pool in the request's subject.
    """
    tokens = subject.split(".")
    verb = BY_NAME.get(f"{tokens[0]}.{tokens[-1]}")
    try:
        if body.startswith(b'{"ok":true,'):
            if verb is None:
                return f"{subject} is no verb, and was carried out"
            _success(verb.full_name).validate_json(body)
        else:
            code = RefusalCode(json.loads(body)["error"]["code"])
            if code not in (EVERY_REQUEST if verb is None else verb.errors):
                return f"{subject} is refused with {code}, which is not described"
            _refusal(code).validate_json(body)
    except ValidationError as error:
        return f"the reply to {subject} is not as described: {error}"
    return None


@cache
def _success(name: str) -> TypeAdapter[Any]:
    result: Any = Union[BY_NAME[name].reply.results]  # noqa: UP007 - the members are known at run time
    return TypeAdapter(Success[result])


@cache
def _refusal(code: RefusalCode) -> TypeAdapter[Any]:
    details: Any = refusals.DETAILS[code]
    return TypeAdapter(Refusal[details])
