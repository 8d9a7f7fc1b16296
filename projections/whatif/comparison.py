"""Several policies over one log, beside what was recorded; and which of them nothing beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.actors import STEALER
from domain.errors import FoldError
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lifecycles import IllegalTransitionError
from domain.timestamps import seconds_between
from projections.whatif.behaviour import Behaviour
from projections.whatif.lease_replay import LeaseReplay
from projections.whatif.ledger import Ledger, Measures
from projections.whatif.policy import Policy
from projections.whatif.steal_replay import StealReplay
from projections.whatif.steps import Heard, Lost, Spoke

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.rules import Rules
    from projections.whatif.steps import Step

RECORDED, REPLAYED = "recorded", "replayed"
"""The rows that every comparison has: what the log says, and what comes of replaying it under its own settings."""


_FEW = 0.05


class Row(NamedTuple):
    """A policy and what it cost."""

    policy: Policy
    measures: Measures
    holds_s: list[float]
    """How long each holder that was never heard again held its task, in rising order."""
    misfits: list[str]
    """Why named lease fields did nothing, on any lease."""
    finer: bool
    """Whether it judges leases more finely than the record tells signs of life apart: too many may look false."""


class Agreement(NamedTuple):
    """How the replay under the recorded settings compares with the record: the check of the whole method."""

    recorded: int
    """Recoveries in the record."""
    same: int
    """Of those, recovered in the replay, too."""
    added: int
    """Recoveries of the replay that the record has not."""
    largest_difference_s: float
    """Between the times of the same recovery."""

    @property
    def whole(self) -> bool:
        """Whether the same leases were recovered."""
        return self.same == self.recorded and not self.added


class Outcome(NamedTuple):
    """A comparison's result."""

    recorded: Row
    replayed: Row
    policies: list[Row]
    agreement: Agreement
    leases: int
    """Leases looked at."""
    first_at: datetime | None
    last_at: datetime | None
    unreadable: int
    other_thresholds_s: list[float]
    """Staleness thresholds that the log names and the settings at hand do not have."""


class Comparison:
    """Takes the log event by event; memory follows what is live, times the number of policies."""

    def __init__(self, pool_id: str, rules: Rules, policies: Iterable[Policy], *, since: int = 1) -> None:
        self._behaviour = Behaviour(pool_id, rules, since=since)
        self._rules = rules
        self._recorded = Ledger()
        self._replays = [LeaseReplay(pool_id, each) for each in (Policy(REPLAYED, rules), *policies)]
        record = self._behaviour.record
        self._steals = {each.policy.rules.steal: StealReplay(record, each.policy.rules) for each in self._replays}
        """One for each configuration of the stealer: moves depend on nothing else."""
        self._since = since
        self._first_at: datetime | None = None
        self._last_at: datetime | None = None
        self._unreadable = 0
        self._other_thresholds_s: set[float] = set()

    @property
    def replays(self) -> int:
        """How many policies are replayed, the recorded settings included."""
        return len(self._replays)

    def take(self, recorded: Recorded) -> None:
        """Take the next event of the log; one that does not apply is skipped, as every fold does."""
        if not isinstance(recorded.event, pool_ev.Led):
            for each in self._steals.values():
                each.passes_until(recorded.time, counted=recorded.position >= self._since)
        try:
            for step in self._behaviour.take(recorded):
                self._step(step)
        except (FoldError, IllegalTransitionError):
            self.skip(recorded.position)
            return
        for each in self._steals.values():
            each.observe(recorded)
        if recorded.position >= self._since:
            self._first_at = self._first_at or recorded.time
            self._last_at = recorded.time
            self._observe(recorded)

    def skip(self, position: int) -> None:
        """Pass over a message that cannot be read."""
        self._unreadable += 1
        self._behaviour.record.skip(position)

    def finish(self) -> Outcome:
        """Return the result; nothing may follow."""
        for step in self._behaviour.flush():
            self._step(step)
        if self._last_at is not None:
            for replay in self._replays:
                replay.finish(self._last_at)
        for replay in self._replays:
            replay.ledger.steals = self._steals[replay.policy.rules.steal].moved
        open_tokens = self._behaviour.open_tokens()
        rows = [_row(each.policy, each.ledger, open_tokens, each) for each in self._replays]
        baseline = self._replays[0]
        return Outcome(
            recorded=_row(Policy(RECORDED, self._rules), self._recorded, open_tokens),
            replayed=rows[0],
            policies=rows[1:],
            agreement=_agreement(self._recorded.taken_at, baseline.ledger.taken_at),
            leases=baseline.granted,
            first_at=self._first_at,
            last_at=self._last_at,
            unreadable=self._unreadable,
            other_thresholds_s=sorted(self._other_thresholds_s),
        )

    def _step(self, step: Step) -> None:
        for replay in self._replays:
            replay.take(step)
        if isinstance(step, Lost):
            self._recorded.took(step.attempt, step.time)
        elif isinstance(step, Heard | Spoke):
            meant = step.attempts if isinstance(step, Heard) else (step.attempt, *step.also)
            for attempt in meant:
                self._recorded.heard(attempt, step.time)
            if isinstance(step, Spoke) and step.accepted:
                self._recorded.accepted(step.attempt)

    def _observe(self, recorded: Recorded) -> None:
        """Count what the record itself says of the leases looked at."""
        event, ledger = recorded.event, self._recorded
        if not isinstance(event, ev.TaskEvent):
            return
        if isinstance(event, ev.Renewed):
            ledger.renewals += self._behaviour.attempt(event.token) is not None
        elif isinstance(event, ev.Stuck):
            attempt = self._behaviour.attempt(event.token)
            if attempt is not None:
                ledger.told(attempt, recorded.time)
            threshold_s = event.numbers.stuck_threshold_s
            if threshold_s not in {None, self._rules.stuck_threshold_s}:
                self._other_thresholds_s.add(threshold_s or 0.0)
        elif isinstance(event, ev.Quarantined):
            ledger.quarantined += 1
        elif isinstance(event, ev.Stolen) and recorded.actor == STEALER:
            ledger.steals += 1


def front(rows: Sequence[Measures]) -> list[bool]:
    """Return for each row whether it is on the Pareto front of false recoveries against time held by the dead.

    On it stands what no other row beats: with less of one and no more of the other.
    """
    points = [(each.false, each.held_s) for each in rows]
    return [not any(_beats(other, point) for other in points) for point in points]


def _beats(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


def _row(policy: Policy, ledger: Ledger, open_tokens: frozenset[int], replay: LeaseReplay | None = None) -> Row:
    idle = replay is not None and sum(replay.misfits.values()) == replay.granted
    misfits = list(replay.misfits) if replay is not None and idle else []
    finer = replay is not None and replay.finer > _FEW * replay.granted
    return Row(policy, ledger.measures(open_tokens), ledger.holds_s(open_tokens), misfits, finer)


def _agreement(recorded: dict[int, datetime], replayed: dict[int, datetime]) -> Agreement:
    same = recorded.keys() & replayed.keys()
    differences_s = (abs(seconds_between(recorded[token], replayed[token])) for token in same)
    return Agreement(len(recorded), len(same), len(replayed.keys() - same), max(differences_s, default=0.0))
