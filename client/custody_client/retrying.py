"""How often and when a failed task is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a task may fail, and how long it waits after each failure.

    Given to `submit`, it is the task's own; given to `@worker.task`, it holds for what this worker's handler fails,
    where it allows less than the task itself does.
    """

    attempts: int = 3
    """The n-th failure is the last; from 1 to 1,000."""
    delay_s: float = 1.0
    """Seconds to wait after the first failure."""
    backoff: float = 2.0
    """Each further failure multiplies the delay by this; at least 1."""
    max_delay_s: float = 300.0
    """No delay is longer, in seconds."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.delay_s < 0 or self.backoff < 1 or self.max_delay_s < 0:
            raise ValueError("a Retry needs attempts and backoff of at least 1, and no negative delay")

    def delay_after_s(self, failures: int) -> float:
        """Return how long to wait after the n-th failure, in seconds."""
        try:
            return min(self.delay_s * self.backoff ** (failures - 1), self.max_delay_s)
        except OverflowError:
            return self.max_delay_s

    def as_submit(self) -> dict[str, Any]:
        """Return it as fields of a submit."""
        policy = {"delay_s": self.delay_s, "backoff": self.backoff, "max_delay_s": max(self.max_delay_s, self.delay_s)}
        return {"retry": policy, "budgets": {"failures": self.attempts}}
