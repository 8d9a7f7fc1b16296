"""Findings: a named cause, and the events and numbers that show it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from projections.postmortem.observed_events import BURST_S, FLOOD_BURST, FLOOD_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from projections.postmortem.observed_events import ObservedEvent


class Cause(StrEnum):
    """The causes, in the order of the page: those that most likely explain the others come first."""

    TAIL_LOST = "tail_lost"
    OUTAGE = "outage"
    EXPIRY_HELD = "expiry_held"
    FLOOD = "flood"
    SILENT = "silent"
    NEVER_HEARD = "never_heard"
    OVERRAN = "overran"
    STALE = "stale"
    STALLED = "stalled"
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
    OPERATOR = "operator"


RULES: dict[Cause, str] = {
    Cause.TAIL_LOST: "`tail_lost`: events that were acknowledged are gone from the log, and an operator accepted that;"
    " what they said is not on record",
    Cause.OUTAGE: "`rearmed`: while the pool could not hear its agents, silence does not count; nothing is judged"
    " before `not_before` plus the lease's share of the jitter",
    Cause.EXPIRY_HELD: "`expiry_held`: no lease is judged until `expiry_resumed`",
    Cause.FLOOD: f"no rule of the pool: {FLOOD_EVENTS} or more events of one kind by one actor, half of all events here"
    f" or {FLOOD_BURST} of them within {BURST_S} s",
    Cause.SILENT: "a lease past its expiry and grace ends once its holder has been silent for longer than its median"
    " interval between reports × `silence_multiplier`; with fewer than two reports, at once",
    Cause.NEVER_HEARD: "a lease whose holder is never heard on it ends with its first term and grace",
    Cause.OVERRAN: "an announced silence counts as a sign of life until its end, and no longer",
    Cause.STALE: "before a lease is due, a holder whose last beat is older than `stuck_threshold_s` is stuck",
    Cause.STALLED: "a task whose holder is heard is stalled when neither percent nor checkpoint changed for `stall_s`",
    Cause.HARD_CAP: "`max_lease_s`: at its longest life a lease expires whatever is reported",
    Cause.LOST: "an agent that sent no command for `agent_lost_after_s` is lost",
    Cause.OVERLOAD: "overloaded: more tasks than `steal_overloaded_above_tasks`, or cpu above"
    " `steal_overloaded_above_cpu`",
    Cause.ALIVE: "what a former holder reports after its lease expired is kept as `late_progress`, or accepted as a"
    " late completion if no other agent was granted the task",
    Cause.DEADLINE: "past its deadline a task fails, in whatever status",
    Cause.CAPACITY: "a task is granted only to a live agent that takes grants, has every capability that it requires,"
    " and holds fewer tasks than its capacity",
    Cause.CASCADE: "a stolen task is stolen again before it is started, or the agent that received it is stolen from"
    " within the stealer's `cooldown_s`",
    Cause.BUDGET: "`budgets`: the n-th failure fails a task; the n-th expiry in a row, the n-th release or the last"
    " attempt quarantines it",
    Cause.GAVE_UP: "a failure that is reported as not retryable ends the task",
    Cause.FAILURES: "a retryable failure within the budget sends the task back to the queue",
    Cause.BLOCKED: "a blocked task waits for `unblock`",
    Cause.OVERDUE: "a lease is past its expiry and has not been judged yet",
    Cause.RESTART: "`led`: a service took over the pool again",
    Cause.PAUSED: "a pool or an agent that is paused or draining gets no new grants",
    Cause.OPERATOR: "what an operator cancels, revokes, requeues, completes, fails or blocks is a person's decision",
}
"""The rule behind each cause, in words."""

CONTEXT = frozenset({Cause.CAPACITY, Cause.FAILURES, Cause.BLOCKED, Cause.RESTART, Cause.PAUSED, Cause.OPERATOR})
"""Causes that are more often ordinary than a problem."""


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
    """Advice; may be empty."""
    evidence: tuple[Evidence, ...]
    omitted: int = 0
    """How many further events show the same."""


MAX_EVIDENCE = 8
"""The most events listed in a finding."""


def finding(
    cause: Cause, observed: Sequence[ObservedEvent], title: str, said: Sequence[str], text: str = ""
) -> Finding:
    """Return a finding; `said`: what each of the observed events shows, in their order; `text`: advice."""
    evidence = tuple(Evidence(each.position, words) for each, words in zip(observed, said, strict=True))
    return Finding(cause, observed[0].at, title, text, evidence[:MAX_EVIDENCE], max(0, len(evidence) - MAX_EVIDENCE))


def first_few(names: Sequence[str], most: int = 4) -> str:
    """Return names in words: each once, at most `most` of them, and the number of the rest."""
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - most} more" if len(each) > most else ""
    return ", ".join(each[:most]) + more
