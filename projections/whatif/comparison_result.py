"""The result of a comparison: what each policy cost, how far the replay can be trusted, and which policies are best."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from projections.whatif.measures import Measures
    from projections.whatif.policy import Policy

RECORDED, REPLAYED = "recorded", "replayed"
"""The names of the rows that every comparison has: the log itself, and its replay under the recorded settings."""


class PolicyResult(NamedTuple):
    """A policy and what it cost."""

    policy: Policy
    measures: Measures
    holds_s: list[float]
    """How long each holder that was never heard again had held its task, in seconds and rising order."""
    misfits: list[str]
    """Why the named lease fields had no effect, if they had none on any lease."""
    finer_than_record: bool
    """Whether its terms are shorter than the gaps between recorded signs of life: `false` may be too high."""


class Agreement(NamedTuple):
    """How the replay under the recorded settings compares with the record: the check of the whole method."""

    recorded: int
    """Recoveries in the record."""
    same: int
    """Of those, recoveries that the replay makes too."""
    added: int
    """Recoveries that only the replay makes."""
    largest_difference_s: float
    """The largest difference between the times of the same recovery."""

    @classmethod
    def between(cls, recorded: Mapping[int, datetime], replayed: Mapping[int, datetime]) -> Agreement:
        """Compare two sets of recoveries, token -> time."""
        same = recorded.keys() & replayed.keys()
        differences_s = (abs(seconds_between(recorded[token], replayed[token])) for token in same)
        return cls(len(recorded), len(same), len(replayed.keys() - same), max(differences_s, default=0.0))

    @property
    def whole(self) -> bool:
        """Whether both recover the same leases."""
        return self.same == self.recorded and not self.added


class ComparisonResult(NamedTuple):
    """The rows of a comparison, and what a reader has to know about them."""

    recorded: PolicyResult
    replayed: PolicyResult
    policies: list[PolicyResult]
    agreement: Agreement
    leases: int
    """Leases that were replayed."""
    first_at: datetime | None
    last_at: datetime | None
    unreadable: int
    """Messages that could not be read or applied."""
    other_thresholds_s: list[float]
    """Staleness thresholds in the log that differ from the given settings."""


def pareto_front(rows: Sequence[Measures]) -> list[bool]:
    """Return for each row whether it is on the Pareto front of false recoveries and time held by dead holders.

    It is, if no other row has less of one and no more of the other.
    """
    points = [(each.false, each.held_s) for each in rows]
    return [not any(_dominates(other, point) for other in points) for point in points]


def _dominates(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]
