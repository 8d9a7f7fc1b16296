"""The measures that policies are compared by, and how they are counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from projections.whatif.recorded_steps import Attempt

_P95 = 0.95


class Measures(NamedTuple):
    """One row of a comparison. Durations are in seconds."""

    recoveries: int
    """Leases that were recovered from silent holders."""
    false: int
    """Of those, recovered from holders that were heard again: they were at work."""
    undecided: int
    """Of those, the ones where the log ends before it shows whether the holder was at work."""
    held_s: float
    """Sum over the holders that were never heard again: from the last sign of life to the recovery, or to `stuck`."""
    held_median_s: float | None
    held_p95_s: float | None
    held_max_s: float | None
    redone_s: float
    """Work of recovered attempts since the grant or the last checkpoint, which the next holder has to do again."""
    renewals: int
    """The number of `renewed` events."""
    steals: int
    """Tasks moved by the stealer."""
    stuck: int
    """How often a task was called stuck."""
    stuck_false: int
    """Of those, where the holder was heard again."""
    quarantined: int
    """How often a task was quarantined because a budget was spent."""


class _Recovery(NamedTuple):
    held_s: float
    """From the last sign of life to the recovery."""
    unsaved_s: float
    """Work since the grant or the last checkpoint."""


class MeasureCounter:
    """Counts the measures of a replay, or of the record itself."""

    def __init__(self) -> None:
        self.recovered_at: dict[int, datetime] = {}
        """Token -> when the lease was recovered."""
        self.renewals = 0
        self.stuck = 0
        self.stuck_false = 0
        self.quarantined = 0
        self.steals = 0
        self.false = 0
        self._recovered: dict[int, _Recovery] = {}
        """Token -> recovery, while its holder has not been heard since."""
        self._stuck_holds_s: dict[int, float] = {}
        """Token -> seconds held when the task was called stuck, while its holder has not been heard since."""
        self._held_s: list[float] = []
        """Seconds that silent holders held tasks that were ended for another reason than silence."""
        self._redone_s: dict[int, float] = {}
        """Token -> seconds of work to be done again, of holders that were recovered falsely."""

    @property
    def recoveries(self) -> int:
        """How many leases were recovered from silent holders."""
        return len(self.recovered_at)

    @property
    def awaits_holders(self) -> bool:
        """Whether a holder that was judged silent has not been heard since."""
        return bool(self._recovered or self._stuck_holds_s)

    def count_recovery(self, attempt: Attempt, at: datetime) -> None:
        """Count a recovery."""
        token = attempt.token
        self._stuck_holds_s.pop(token, None)
        self.recovered_at[token] = at
        unsaved_s = seconds_between(attempt.saved_at, attempt.last_heard_at)
        self._recovered[token] = _Recovery(seconds_between(attempt.last_heard_at, at), unsaved_s)

    def count_stuck(self, attempt: Attempt, at: datetime) -> None:
        """Count a task called stuck."""
        self.stuck += 1
        self._stuck_holds_s[attempt.token] = seconds_between(attempt.last_heard_at, at)

    def count_hold(self, attempt: Attempt, at: datetime) -> None:
        """Count the hold of a silent holder that ended for another reason than its silence."""
        if attempt.token not in self._stuck_holds_s:
            self._held_s.append(seconds_between(attempt.last_heard_at, at))

    def holder_heard(self, attempt: Attempt, at: datetime) -> None:
        """Note a sign of life: if the holder had been judged silent, that judgement was false."""
        token = attempt.token
        self.stuck_false += self._stuck_holds_s.pop(token, None) is not None
        if self._recovered.pop(token, None) is not None:
            self.false += 1
            self._redone_s[token] = seconds_between(attempt.saved_at, at)

    def completion_accepted(self, attempt: Attempt) -> None:
        """Note that a late completion was accepted: no work has to be done again."""
        self._redone_s.pop(attempt.token, None)

    def measures(self, open_tokens: frozenset[int]) -> Measures:
        """Return the measures. `open_tokens`: leases held at the record's end, of which nothing can be decided."""
        decided = [each for token, each in self._recovered.items() if token not in open_tokens]
        held_s = self.holds_s(open_tokens)
        return Measures(
            recoveries=self.recoveries,
            false=self.false,
            undecided=len(self._recovered) - len(decided),
            held_s=math.fsum(held_s),
            held_median_s=_quantile(held_s, 0.5),
            held_p95_s=_quantile(held_s, _P95),
            held_max_s=held_s[-1] if held_s else None,
            redone_s=math.fsum(self._redone_s.values()) + math.fsum(each.unsaved_s for each in decided),
            renewals=self.renewals,
            steals=self.steals,
            stuck=self.stuck,
            stuck_false=self.stuck_false,
            quarantined=self.quarantined,
        )

    def holds_s(self, open_tokens: frozenset[int]) -> list[float]:
        """Return how long each holder that was never heard again had held its task, in seconds and rising order."""
        decided = [each.held_s for token, each in self._recovered.items() if token not in open_tokens]
        stuck = [for_s for token, for_s in self._stuck_holds_s.items() if token not in open_tokens]
        return sorted([*self._held_s, *decided, *stuck])


def _quantile(rising: list[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed."""
    return rising[max(math.ceil(share * len(rising)) - 1, 0)] if rising else None
