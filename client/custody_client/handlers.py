"""Handlers of tasks: what `@worker.task` registers, what it is called with, and how a payload becomes its type."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from custody_client.errors import NotRetryable
from custody_client.held import Held
from custody_client.retrying import Retry
from custody_client.sync_held import SyncHeld

_HELD = (Held, SyncHeld)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that works on the tasks of one kind."""

    kind: str | None
    """The required capability that says so; None: any task that no other handler takes."""
    function: Callable[..., Any]
    is_async: bool
    takes: tuple[bool, ...]
    """For each parameter, whether it is the held task; the other one is the payload."""
    payload_type: Any
    checkpoint_type: Any
    retry: Retry | None
    progress_within_s: float | None

    def arguments(self, held: Held[Any] | SyncHeld[Any]) -> list[Any]:
        """Return what to call the function with; raises NotRetryable if the payload does not fit."""
        return [held if is_held else converted(held.payload, self.payload_type) for is_held in self.takes]

    def checkpoint(self, value: Any) -> Any:
        """Return a checkpoint of an earlier holder in the handler's type; raises NotRetryable if it does not fit."""
        return converted(value, self.checkpoint_type, "checkpoint") if value is not None else None


def handler_of(
    function: Callable[..., Any],
    kind: str | None,
    *,
    retry: Retry | None = None,
    progress_within: timedelta | float | None = None,
) -> Handler:
    """Return the handler that a function is, by its signature: a payload, a `Held`, both or neither.

    Raises:
        TypeError: it takes something else.
    """
    parameters = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    hints = _hints(function)
    types = [hints.get(each.name, Any) for each in parameters]
    held = [get_origin(each) in _HELD or each in _HELD for each in types]
    if len(parameters) == 2 and not any(held):  # noqa: PLR2004 - a pair without annotations: payload, held
        held = [False, True]
    if len(parameters) > 2 or sum(held) > 1 or len(held) - sum(held) > 1:  # noqa: PLR2004 - one of each
        raise TypeError(f"{function.__qualname__} must take a payload, a Held, both in this order, or nothing")
    payload_type = next((each for each, is_held in zip(types, held, strict=True) if not is_held), Any)
    held_type = next((each for each, is_held in zip(types, held, strict=True) if is_held), Any)
    within = progress_within.total_seconds() if isinstance(progress_within, timedelta) else progress_within
    return Handler(
        kind=kind,
        function=function,
        is_async=asyncio.iscoroutinefunction(function) or inspect.iscoroutinefunction(function),
        takes=tuple(held),
        payload_type=payload_type,
        checkpoint_type=next(iter(get_args(held_type)), Any),
        retry=retry,
        progress_within_s=within,
    )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types that a function's parameters are annotated with, as far as they can be found."""
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        given = getattr(function, "__annotations__", {})
        # A name that is defined in a function, or for the type checker alone, is not known here.
        return {name: _by_name(each) for name, each in given.items()}


def _by_name(annotation: Any) -> Any:
    """Return an annotation; of one that is only text, whether it names a held task."""
    if not isinstance(annotation, str):
        return annotation
    name = annotation.partition("[")[0].rpartition(".")[2]
    return {"Held": Held, "SyncHeld": SyncHeld}.get(name, Any)


def converted(value: Any, kind: Any, what: str = "payload") -> Any:
    """Return JSON values as a pydantic model, a msgspec struct, a dataclass or what else `kind` is.

    Raises:
        NotRetryable: they do not fit.
    """
    if kind is Any or kind is inspect.Parameter.empty or kind is object:
        return value
    validate = getattr(kind, "model_validate", None)
    try:
        if validate is not None:
            return validate(value)
        return msgspec.convert(value, kind, strict=False, str_keys=True)
    except (ValueError, TypeError) as error:
        raise NotRetryable(f"the {what} does not fit {getattr(kind, '__name__', kind)}: {error}") from error
