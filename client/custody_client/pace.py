"""When the next beat is due: by the terms of what is held, never by a constant alone."""

from __future__ import annotations

from collections.abc import Iterable

from custody_client.holding import Holding

BEATS_IN_TERM = 3.0
"""Beats in each term: two may be lost."""
IDLE_S = 20.0
"""Between beats of an agent that holds nothing."""
SHORTEST_S = 0.05
"""Between any two beats."""
RETRY_S = 1.0
"""The longest pause after a beat that got no answer."""


def interval_s(holding: Holding) -> float:
    """Return the time between two beats for a lease."""
    return max(holding.term.term_s / BEATS_IN_TERM, SHORTEST_S)


def beat_due_at(
    held: Iterable[Holding], *, sent_at: float, answered: bool, now: float, at_least_every_s: float = float("inf")
) -> float:
    """Return when the next beat is due, by `steady_s`.

    `held`: all leases. `sent_at`: when the last beat was sent. `answered`: whether it had an answer.
    `at_least_every_s`: while something is held, because its answer is the only way to hear of a stop.
    """
    vouched = [each for each in held if each.vouched(now)]
    if not vouched:
        return sent_at + (IDLE_S if answered else RETRY_S)
    due = min(sent_at + at_least_every_s, *(each.term.confirmed_at + interval_s(each) for each in vouched))
    if not answered:
        due = min(due, sent_at + RETRY_S)
    shortest = min(map(interval_s, vouched))
    return max(due, sent_at + min(shortest / 2, RETRY_S), sent_at + SHORTEST_S)
