"""What many tasks of an image have in common: written once, and named by a number in each task.

Policies and budgets are most of a task's bytes, and most of the time that it takes to read one.
"""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from domain.policies.lease import LeasePolicy, interned
from domain.policies.retry import RetryPolicy
from domain.values import Budgets

SHARED: dict[str, type[BaseModel]] = {"lease": LeasePolicy, "budgets": Budgets, "retry": RetryPolicy}
_NAMES = {kind: name for name, kind in SHARED.items()}


class SharedWriter:
    """Gives each object a number, in the order in which they come."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        """By `id`; equal objects are mostly one, and two cost no more than their bytes."""
        self._all: list[BaseModel] = []
        self._written = 0

    def number(self, model: BaseModel) -> int | None:
        """Return the object's number; None for one of another kind."""
        number = self._numbers.get(id(model))
        if number is None and type(model) in _NAMES:
            number = self._numbers[id(model)] = len(self._all)
            self._all.append(model)
        return number

    def take_new(self) -> list[tuple[str, Any]]:
        """Return those that got a number since the last call, by kind, as JSON has them."""
        new, self._written = self._all[self._written :], len(self._all)
        return [(_NAMES[type(model)], msgspec.Raw(model.model_dump_json().encode())) for model in new]


class SharedReader:
    """Knows the objects by the numbers that a `SharedWriter` gave them."""

    def __init__(self) -> None:
        self._all: list[BaseModel] = []

    def add(self, new: list[tuple[str, Any]]) -> None:
        """Take what `take_new` gave. Raises LookupError or ValueError if it is something else."""
        for name, fields in new:
            model = checked(SHARED[name], fields)
            self._all.append(interned(model) if isinstance(model, LeasePolicy) else model)

    def get(self, kind: type[BaseModel], number: Any) -> BaseModel:
        """Return the object of a number. Raises LookupError, TypeError or ValueError if it is none of this kind."""
        model = self._all[number]
        if type(model) is not kind or number < 0:
            msg = f"number {number} is no {_NAMES[kind]}"
            raise ValueError(msg)
        return model


def checked(kind: type[BaseModel], value: Any) -> BaseModel:
    """Return a model of its fields; raises ValueError, in one line."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from error
