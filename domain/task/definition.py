"""What a task is, as it was submitted and has been updated since, in the form in which a million of them fit in memory.

The event `submitted` is a pydantic model of 2.9 kB; this is a msgspec struct of the same fields. Equal labels,
capabilities, budgets and policies are one object.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from domain.events.task import Submitted
from domain.policies.lease import LeasePolicy
from domain.policies.retry import RetryPolicy
from domain.values import Budgets, OnSilence, OnStall, Priority

_CACHED = 10_000


class Definition(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The fields of `submitted`; what they mean is said there."""

    request_digest: str
    lease: LeasePolicy
    title: str = ""
    payload: Any = None
    priority: Priority = Priority.MEDIUM
    labels: tuple[str, ...] = ()
    required_capabilities: tuple[str, ...] = ()
    estimated_hours: float | None = None
    deadline: datetime | None = None
    on_silence: OnSilence = OnSilence.REQUEUE
    budgets: Budgets = Budgets()
    stall_s: float | None = None
    on_stall: OnStall = OnStall.FLAG
    retry_of: str | None = None
    not_before: datetime | None = None
    retry: RetryPolicy | None = None

    def __post_init__(self) -> None:
        """Share what many tasks have in common."""
        if self.labels:
            force_setattr(self, "labels", _one_of_equal(self.labels))
        if self.required_capabilities:
            force_setattr(self, "required_capabilities", _one_of_equal(self.required_capabilities))


def definition_of(event: Submitted) -> Definition:
    """Return the definition that a task is submitted with."""
    return Definition(
        event.request_digest,
        event.lease,
        event.title,
        event.payload,
        event.priority,
        event.labels,
        event.required_capabilities,
        event.estimated_hours,
        event.deadline,
        event.on_silence,
        _one_budget(event.budgets),
        event.stall_s,
        event.on_stall,
        event.retry_of,
        event.not_before,
        None if event.retry is None else _one_retry(event.retry),
    )


def submitted(definition: Definition) -> Submitted:
    """Return the event that submits a task with this definition."""
    return Submitted(**msgspec.structs.asdict(definition))


@lru_cache(_CACHED)
def _one_of_equal(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


@lru_cache(_CACHED)
def _one_budget(budgets: Budgets) -> Budgets:
    return budgets


@lru_cache(_CACHED)
def _one_retry(retry: RetryPolicy) -> RetryPolicy:
    return retry
