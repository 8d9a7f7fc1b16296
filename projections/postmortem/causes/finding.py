"""A cause with a name, the numbers that show it, and the events that it is known from."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from domain.policies.load_balancing import OVERLOADED_ABOVE_CPU, OVERLOADED_ABOVE_TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from projections.postmortem.observed_events import ObservedEvent


class Cause(StrEnum):
    """What a post-mortem can name. The order is that of the page: what most likely explains the rest stands first."""

    OUTAGE = "outage"
    EXPIRY_HELD = "expiry_held"
    SILENT = "silent"
    NEVER_HEARD = "never_heard"
    OVERRAN = "overran"
    STALE = "stale"
    HARD_CAP = "hard_cap"
    LOST = "lost"
    OVERLOAD = "overload"
    ALIVE = "alive"
    DEADLINE = "deadline"
    CAPACITY = "capacity"
    CASCADE = "cascade"
    BUDGET = "budget"
    GAVE_UP = "gave_up"
    FAILURES = "failures"
    BLOCKED = "blocked"
    OVERDUE = "overdue"
    RESTART = "restart"
    PAUSED = "paused"
    ESCALATED = "escalated"
    OPERATOR = "operator"


RULES: dict[Cause, str] = {
    Cause.OUTAGE: "`rearmed`: while the pool could not hear its agents, nobody's silence counts; nothing is judged"
    " before `not_before` and a lease's share of the jitter",
    Cause.EXPIRY_HELD: "`expiry_held`: no lease is judged until `expiry_resumed`",
    Cause.SILENT: "a lease past its expiry and grace ends once its holder has been silent for longer than its median"
    " interval between reports × `silence_multiplier`; with fewer than two reports, at once",
    Cause.NEVER_HEARD: "a first term that its holder says nothing in ends with its grace",
    Cause.OVERRAN: "an announced silence counts as beating until it is over, and not beyond",
    Cause.STALE: "before a lease is due, a holder whose last beat is older than `stuck_threshold_s` is stuck",
    Cause.HARD_CAP: "`max_lease_s`: at its longest life a lease expires whatever is reported",
    Cause.LOST: "an agent that sent no command for `lost_after_s` is lost",
    Cause.OVERLOAD: f"overloaded: more than {OVERLOADED_ABOVE_TASKS} tasks, or cpu above {OVERLOADED_ABOVE_CPU:g} %",
    Cause.ALIVE: "what a former holder reports after its lease expired is kept as `late_progress`, or accepted as a"
    " late completion while nobody else was granted the task",
    Cause.DEADLINE: "past its deadline a task fails, in whatever status",
    Cause.CAPACITY: "a task is granted only to a live agent that takes grants, has every capability that it requires,"
    " and holds fewer tasks than its capacity",
    Cause.CASCADE: "work that was stolen is stolen again before it began, or its target is stolen from within the"
    " stealer's `cooldown_s`",
    Cause.BUDGET: "`budgets`: the n-th failure fails a task; the n-th expiry in a row, or the last attempt, quarantines"
    " it",
    Cause.GAVE_UP: "a failure that its holder calls not retryable ends the task",
    Cause.FAILURES: "a retryable failure within the budget sends the task back to the queue",
    Cause.BLOCKED: "a blocked task waits for `unblock`",
    Cause.OVERDUE: "a lease past its expiry that nobody has judged yet",
    Cause.RESTART: "`led`: a service took the lead anew",
    Cause.PAUSED: "a pool or an agent that is paused or draining gets no new grants",
    Cause.ESCALATED: "the `max_renewals`-th report on one lease escalates it, once",
    Cause.OPERATOR: "`cancel`, `revoke` and `requeue` are a person's decisions",
}
"""The rule that each cause is known by, in words."""

CONTEXT = frozenset(
    {Cause.CAPACITY, Cause.FAILURES, Cause.BLOCKED, Cause.RESTART, Cause.PAUSED, Cause.ESCALATED, Cause.OPERATOR}
)
"""Causes that are ordinary business more often than trouble."""


class Evidence(NamedTuple):
    """An event, and what it shows."""

    position: int
    text: str


class Finding(NamedTuple):
    """A cause that was found."""

    cause: Cause
    at: datetime
    title: str
    text: str
    evidence: tuple[Evidence, ...]
    omitted: int = 0
    """Further events that show the same and are not listed."""


MAX_EVIDENCE = 8


def finding(cause: Cause, observed: Sequence[ObservedEvent], title: str, text: str, said: Sequence[str]) -> Finding:
    """Return a finding; `said` has what each of the observed events shows, in their order."""
    evidence = tuple(Evidence(each.position, words) for each, words in zip(observed, said, strict=True))
    return Finding(cause, observed[0].at, title, text, evidence[:MAX_EVIDENCE], max(0, len(evidence) - MAX_EVIDENCE))


def first_few(names: Sequence[str], most: int = 4) -> str:
    """Return names in a row, the first few of many."""
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - most} more" if len(each) > most else ""
    return ", ".join(each[:most]) + more


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `3 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
