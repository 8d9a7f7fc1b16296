"""How long a task waits after a failure before it is granted again.

Each failure in turn multiplies the delay. A share of it that depends on the failed lease's token alone is added, so
that tasks that failed together, at one broken service for instance, do not come back together.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from domain.limits import MAX_DELAY_S

MAX_BACKOFF: Final = 100.0
JITTER: Final = 0.25
"""The most that is added to a delay, as a share of it."""
_MAX_EXPONENT: Final = 64
"""Every backoff above 1 has reached its longest delay long before; a float would overflow."""


class RetryPolicy(BaseModel):
    """How long a failed task waits for its next attempt."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    delay_s: Annotated[float, Field(ge=0, le=MAX_DELAY_S, allow_inf_nan=False)] = 1.0
    """The delay after the first failure, in seconds, up to a quarter more by jitter; 0: no failure waits."""
    backoff: Annotated[float, Field(ge=1, le=MAX_BACKOFF, allow_inf_nan=False)] = 2.0
    """Each further failure multiplies the delay by this."""
    max_delay_s: Annotated[float, Field(ge=0, le=MAX_DELAY_S, allow_inf_nan=False)] = 300.0
    """No delay is longer, jitter included."""


def retry_delay_s(policy: RetryPolicy, *, failures: int, jitter: float) -> float:
    """Return the delay after the n-th failure, in seconds; `jitter` is in [0, 1)."""
    delay_s = policy.delay_s * policy.backoff ** min(max(failures - 1, 0), _MAX_EXPONENT)
    return min(delay_s * (1 + JITTER * jitter), policy.max_delay_s)


def retry_field_mismatch(wanted: RetryPolicy) -> str | None:
    """Return how the given fields contradict each other, as a phrase for people, or None."""
    if {"delay_s", "max_delay_s"} <= wanted.model_fields_set and wanted.max_delay_s < wanted.delay_s:
        return f"max_delay_s must be at least delay_s, {wanted.delay_s:g}"
    return None


def resolved_retry(default: RetryPolicy, wanted: RetryPolicy | None) -> RetryPolicy:
    """Return the pool's policy overridden by the task's own fields.

    A delay of the task's own that is above the pool's longest one raises that limit.
    """
    if wanted is None:
        return default
    fields = default.model_dump() | wanted.model_dump(exclude_unset=True)
    fields["max_delay_s"] = max(fields["max_delay_s"], fields["delay_s"])
    return RetryPolicy(**fields)
