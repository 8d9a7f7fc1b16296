"""What a set of rules cost: the measures that policies are compared by."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from projections.whatif.steps import Attempt

_P95 = 0.95


class Measures(NamedTuple):
    """One row of a comparison. Durations are in seconds."""

    recoveries: int
    """Leases taken from silent holders."""
    false: int
    """Of those, taken from holders that were heard again: they were at work."""
    undecided: int
    """Of those, where the log ends before it shows whether the holder was."""
    held_s: float
    """From the last sign of life of each holder that was never heard again until the pool took or told it, summed."""
    held_median_s: float | None
    held_p95_s: float | None
    held_max_s: float | None
    redone_s: float
    """Work of recovered attempts since the grant or the last checkpoint: done once more by whoever comes next."""
    renewals: int
    """`renewed` events."""
    steals: int
    """Tasks moved by the stealer."""
    stuck: int
    """Times that a task was called stuck."""
    stuck_false: int
    """Of those, where the holder was heard again."""
    quarantined: int
    """Times that a task was put aside with a budget used up."""


class _Taken(NamedTuple):
    attempt: Attempt
    held_s: float
    lost_s: float


class MeasureCounter:
    """Counts as a replay, or the record itself, goes on."""

    def __init__(self) -> None:
        self.taken_at: dict[int, datetime] = {}
        """Token -> when the lease was taken from its holder."""
        self.renewals = 0
        self.stuck = 0
        self.stuck_false = 0
        self.quarantined = 0
        self.steals = 0
        self.false = 0
        self._taken: dict[int, _Taken] = {}
        """Recoveries of holders that were not heard since."""
        self._told: dict[int, float] = {}
        """Token -> seconds held, of tasks called stuck whose holders were not heard since."""
        self._held_s: list[float] = []
        self._redone_s: dict[int, float] = {}

    @property
    def recoveries(self) -> int:
        """How many leases were taken from silent holders."""
        return len(self.taken_at)

    @property
    def awaits_holders(self) -> bool:
        """Whether anybody was judged silent who was not heard since."""
        return bool(self._taken or self._told)

    def count_recovery(self, attempt: Attempt, at: datetime) -> None:
        """Count a recovery."""
        token = attempt.token
        self._told.pop(token, None)
        self.taken_at[token] = at
        lost_s = seconds_between(attempt.saved_at, attempt.last_heard_at)
        self._taken[token] = _Taken(attempt, seconds_between(attempt.last_heard_at, at), lost_s)

    def count_stuck(self, attempt: Attempt, at: datetime) -> None:
        """Count a task called stuck."""
        self.stuck += 1
        self._told[attempt.token] = seconds_between(attempt.last_heard_at, at)

    def count_hold(self, attempt: Attempt, at: datetime) -> None:
        """Take note that a silent holder's hold was ended by something else than its silence."""
        if attempt.token not in self._told:
            self._held_s.append(seconds_between(attempt.last_heard_at, at))

    def holder_heard(self, attempt: Attempt, at: datetime) -> None:
        """Take note that a holder was heard; if it had been judged silent, that was false."""
        token = attempt.token
        self.stuck_false += self._told.pop(token, None) is not None
        if self._taken.pop(token, None) is not None:
            self.false += 1
            self._redone_s[token] = seconds_between(attempt.saved_at, at)

    def completion_accepted(self, attempt: Attempt) -> None:
        """Take note that a recovered holder's completion was accepted: nothing is done again."""
        self._redone_s.pop(attempt.token, None)

    def measures(self, open_tokens: frozenset[int]) -> Measures:
        """Return the row. `open_tokens`: leases that are held where the record ends, so that nobody can tell."""
        decided = [each for token, each in self._taken.items() if token not in open_tokens]
        held_s = self.holds_s(open_tokens)
        return Measures(
            recoveries=self.recoveries,
            false=self.false,
            undecided=len(self._taken) - len(decided),
            held_s=math.fsum(held_s),
            held_median_s=_quantile(held_s, 0.5),
            held_p95_s=_quantile(held_s, _P95),
            held_max_s=held_s[-1] if held_s else None,
            redone_s=math.fsum(self._redone_s.values()) + math.fsum(each.lost_s for each in decided),
            renewals=self.renewals,
            steals=self.steals,
            stuck=self.stuck,
            stuck_false=self.stuck_false,
            quarantined=self.quarantined,
        )

    def holds_s(self, open_tokens: frozenset[int]) -> list[float]:
        """Return how long each holder that was never heard again held its task, in rising order."""
        decided = [each.held_s for token, each in self._taken.items() if token not in open_tokens]
        told = [for_s for token, for_s in self._told.items() if token not in open_tokens]
        return sorted([*self._held_s, *decided, *told])


def _quantile(rising: list[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed."""
    return rising[max(math.ceil(share * len(rising)) - 1, 0)] if rising else None
