"""Replaying one log under several policies, beside what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.actors import STEALER
from domain.errors import FoldError
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lifecycles import IllegalTransitionError
from projections.whatif.behaviour import RecordedBehaviour
from projections.whatif.comparison_result import RECORDED, REPLAYED, Agreement, ComparisonResult, PolicyResult
from projections.whatif.lease_replay import LeaseReplay
from projections.whatif.measures import MeasureCounter
from projections.whatif.policy import Policy
from projections.whatif.recorded_steps import AgentHeard, HolderCommand, LeaseExpired
from projections.whatif.steal_replay import StealReplay

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.rules import Rules
    from projections.whatif.recorded_steps import Step

_MANY_LEASES = 0.05
"""The share of leases from which on a policy counts as finer than the record."""


class Comparison:
    """Takes the log event by event. Memory is bounded by what is live, times the number of policies."""

    def __init__(self, pool_id: str, rules: Rules, policies: Iterable[Policy], *, since: int = 1) -> None:
        self._behaviour = RecordedBehaviour(pool_id, rules, since=since)
        self._rules = rules
        self._recorded = MeasureCounter()
        self._replays = [LeaseReplay(pool_id, each) for each in (Policy(REPLAYED, rules), *policies)]
        record = self._behaviour.record
        self._steals = {each.policy.rules.steal: StealReplay(record, each.policy.rules) for each in self._replays}
        """By the stealer's configuration, on which alone its moves depend."""
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
        """Take the next event of the log. An event that does not apply is skipped, as by every fold."""
        if not isinstance(recorded.event, pool_ev.Led):
            for each in self._steals.values():
                each.run_passes_until(recorded.time, counted=recorded.position >= self._since)
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
        """Skip a message that cannot be read or applied."""
        self._unreadable += 1
        self._behaviour.record.skip(position)

    def finish(self) -> ComparisonResult:
        """Return the result. Nothing may be taken after that."""
        for step in self._behaviour.flush():
            self._step(step)
        if self._last_at is not None:
            unjudged_since = self._behaviour.record.next_due_at()
            for replay in self._replays:
                replay.finish(self._last_at, unjudged_since)
        for replay in self._replays:
            replay.counter.steals = self._steals[replay.policy.rules.steal].moved
        open_tokens = self._behaviour.open_tokens()
        rows = [_row(each.policy, each.counter, open_tokens, each) for each in self._replays]
        baseline = self._replays[0]
        return ComparisonResult(
            recorded=_row(Policy(RECORDED, self._rules), self._recorded, open_tokens),
            replayed=rows[0],
            policies=rows[1:],
            agreement=Agreement.between(self._recorded.recovered_at, baseline.counter.recovered_at),
            leases=baseline.granted,
            first_at=self._first_at,
            last_at=self._last_at,
            unreadable=self._unreadable,
            other_thresholds_s=sorted(self._other_thresholds_s),
        )

    def _step(self, step: Step) -> None:
        for replay in self._replays:
            replay.take(step)
        if isinstance(step, LeaseExpired):
            self._recorded.count_recovery(step.attempt, step.time)
        elif isinstance(step, AgentHeard | HolderCommand):
            heard = step.attempts if isinstance(step, AgentHeard) else (step.attempt, *step.also)
            for attempt in heard:
                self._recorded.holder_heard(attempt, step.time)
            if isinstance(step, HolderCommand) and step.accepted:
                self._recorded.completion_accepted(step.attempt)

    def _observe(self, recorded: Recorded) -> None:
        """Count the measures of the record that are events: renewals, stuck tasks, quarantines, steals."""
        event, counter = recorded.event, self._recorded
        if not isinstance(event, ev.TaskEvent):
            return
        if isinstance(event, ev.Renewed):
            counter.renewals += self._behaviour.attempt(event.token) is not None
        elif isinstance(event, ev.Stuck):
            attempt = self._behaviour.attempt(event.token)
            if attempt is not None:
                counter.count_stuck(attempt, recorded.time)
            threshold_s = event.numbers.stuck_threshold_s
            if threshold_s not in {None, self._rules.stuck_threshold_s}:
                self._other_thresholds_s.add(threshold_s or 0.0)
        elif isinstance(event, ev.Quarantined):
            counter.quarantined += 1
        elif isinstance(event, ev.Stolen) and recorded.actor == STEALER:
            counter.steals += 1


def _row(
    policy: Policy, counter: MeasureCounter, open_tokens: frozenset[int], replay: LeaseReplay | None = None
) -> PolicyResult:
    without_effect = replay is not None and sum(replay.misfits.values()) == replay.granted
    misfits = list(replay.misfits) if replay is not None and without_effect else []
    finer = replay is not None and replay.finer_than_record > _MANY_LEASES * replay.granted
    return PolicyResult(policy, counter.measures(open_tokens), counter.holds_s(open_tokens), misfits, finer)
