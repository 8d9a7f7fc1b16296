"""Replaying each recorded lease under other rules, with the domain's own decisions, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from domain.actors import SWEEPER, WRITER, agent_actor
from domain.agent import Agent
from domain.commands.service_commands import Extend, Judge, Rearm
from domain.decisions.dispatch import decide_named
from domain.decisions.granting import grant, sign_of_life
from domain.draft import Draft
from domain.due import due_at
from domain.events import task as ev
from domain.lifecycles import AgentStatus, TaskStatus
from domain.pool import Pool
from domain.request import Request
from domain.task import Task
from domain.timestamps import EPOCH, after
from domain.values import OnStall
from projections.state.due_times import DueTimes
from projections.whatif.measures import MeasureCounter
from projections.whatif.recorded_steps import (
    AgentHeard,
    ExpiriesReset,
    HolderCommand,
    LeaseEnded,
    LeaseExpired,
    LeaseGranted,
    PoolChanged,
    ProbeEvidence,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from datetime import datetime

    from domain.decision import Decision
    from domain.steal import Steal
    from projections.whatif.policy import Policy
    from projections.whatif.recorded_steps import Attempt, Step

PROBE_WINDOW_S = 15.0
"""How long judging a due lease waits for a probe's evidence. A probe starts when the lease is due."""
_INSTANT = timedelta(microseconds=1)
_BATCH = 200
"""Leases judged at once."""
_JUDGEMENTS = 2
"""A silent holder is judged twice at the most: its task is called stuck, then its lease expires."""
_GAPS_PER_TERM = 2.0
"""A term and its grace must be this many times the gap between recorded signs of life to be judged reliably."""


class LeaseReplay:
    """All recorded leases under one policy. Implements the domain's `PoolView`.

    Each recorded lease is a task of its own, named by the token. So a lease that lives longer here than in the record
    can overlap the one that followed it.
    """

    def __init__(self, pool_id: str, policy: Policy) -> None:
        self.policy = policy
        self.counter = MeasureCounter()
        self.misfits: dict[str, int] = {}
        """Why the named lease fields have no effect -> on how many leases."""
        self.granted = 0
        self.finer_than_record = 0
        """Leases whose term is too short to be judged reliably by the signs of life in the record."""
        self.pool = Pool(pool_id)
        self._pool_since = EPOCH
        self.position = 0
        self._tasks: dict[str, Task] = {}
        self._attempts: dict[str, Attempt] = {}
        self._expiries: dict[str, int] = {}
        """Task -> expiries in a row, carried over from one lease to the next."""
        self._latest: dict[str, str] = {}
        """Task -> its latest lease, while that is live here."""
        self._heard: Sequence[str] = ()
        self._due = DueTimes(policy.rules, self._tasks.get)

    def __len__(self) -> int:
        return len(self._tasks)

    def take(self, step: Step) -> None:
        """Judge what falls due before the step, then apply the step."""
        if isinstance(step, PoolChanged):
            self._judge_until(step.since)
            self._change_pool(step)
            return
        self._judge_until(after(step.time, -PROBE_WINDOW_S))
        match step:
            case AgentHeard():
                self._judge_if_due(step.attempts, step.time, step.overdue)
                self._count_heard(step.attempts, step.time)
                self._sign_of_life(step.agent_id, step.attempts, step.time)
            case HolderCommand():
                heard = (step.attempt, *step.also)
                self._judge_if_due(heard, step.time, step.overdue)
                self._count_heard(heard, step.time)
                self._apply_command(step)
            case LeaseGranted():
                self._grant(step)
            case LeaseEnded():
                self._judge_if_due((step.attempt,), step.time, step.overdue)
                self._end(step)
            case LeaseExpired():
                # Whether it expires here too is decided here. No probe's evidence can follow any more.
                self._judge_if_due((step.attempt,), step.time, ())
            case ProbeEvidence():
                self._extend(step)
            case ExpiriesReset():
                self._expiries.pop(step.task_id, None)

    def finish(self, end: datetime, unjudged_since: datetime | None) -> None:
        """Judge what falls due until the end of the record; leases that expired in the record also beyond it.

        `unjudged_since`: since when something had been due that the record had not come to judge when it ended. What
        fell due from then on is not judged here either.
        """
        if unjudged_since is not None and unjudged_since <= end:
            end = max(unjudged_since - _INSTANT, after(end, -PROBE_WINDOW_S))
        self._judge_until(end)
        for key, attempt in list(self._attempts.items()):
            for _ in range(_JUDGEMENTS):
                if attempt.expired and key in self._tasks:
                    due = due_at(self._tasks[key], self.pool, self.policy.rules)
                    if due is not None:
                        self._judge(key, due)

    # The `PoolView` of the decisions

    def task(self, task_id: str) -> Task | None:
        """Return a lease's task."""
        return self._tasks.get(task_id)

    def agent(self, agent_id: str) -> Agent:
        """Return an agent that is allowed to do what it did in the record."""
        return Agent(agent_id, 1, 1, 1, AgentStatus.LIVE)

    def steal(self, operation_id: str) -> Steal | None:  # noqa: ARG002 - the protocol's signature
        """Return None: steals are the record's."""
        return None

    def held_by(self, agent_id: str) -> Sequence[str]:  # noqa: ARG002 - the step says whom it is about
        """Return the leases for which the current step is a sign of life."""
        return self._heard

    def tasks_held(self, agent_id: str) -> int:
        """Return their number."""
        return len(self.held_by(agent_id))

    def silence_s(self, agent_id: str) -> None:
        """Return None: nothing is given unasked here."""

    # Steps

    def _grant(self, step: LeaseGranted) -> None:
        attempt, recorded = step.attempt, step.task
        key, before = str(attempt.token), self._latest.get(attempt.task_id, "")
        if before in self._tasks:
            self._judge_if_due((self._attempts[before],), step.time, ())
        latest = self._tasks.get(before)
        expiries = latest.expiries if latest is not None else self._expiries.get(attempt.task_id, 0)
        # What is stalled here is, for that decides which beats are recorded; but only the record ends a lease for it.
        definition = replace(self.policy.definition(recorded.definition), on_stall=OnStall.FLAG)
        self._tasks[key] = replace(
            recorded,
            task_id=key,
            definition=definition,
            status=TaskStatus.QUEUED,
            expiries=expiries,
            lease=None,
            last_lease=None,
            former=(),
            handoff=None,
            late_token=None,
            outcome=None,
        )
        self._attempts[key] = attempt
        self._latest[attempt.task_id] = key
        # The token stays the position of the recorded grant: the floor after an outage depends on it.
        self.position = attempt.token - 1
        draft = Draft(self, Request(Judge(()), "", "", attempt.agent_id), step.time, self.policy.rules)
        grant(draft, self._tasks[key], attempt.agent_id)
        self._apply(draft.decided())
        self.granted += 1
        self.finer_than_record += self._is_finer(key, step.recording_gap_s)
        misfit = self.policy.misfit(recorded.definition)
        if misfit is not None:
            self.misfits[misfit] = self.misfits.get(misfit, 0) + 1

    def _is_finer(self, key: str, recording_gap_s: float) -> bool:
        lease = self._tasks[key].lease
        return lease is not None and lease.lease_s + lease.grace_s < _GAPS_PER_TERM * recording_gap_s

    def _count_heard(self, attempts: Iterable[Attempt], now: datetime) -> None:
        if self.counter.awaits_holders:
            for attempt in attempts:
                self.counter.holder_heard(attempt, now)

    def _sign_of_life(self, agent_id: str, attempts: Iterable[Attempt], now: datetime) -> None:
        self._heard = self._alive(attempts)
        if self._heard:
            draft = Draft(self, Request(Judge(()), "", "", agent_id), now, self.policy.rules)
            sign_of_life(draft, agent_id)
            self._apply(draft.decided())

    def _apply_command(self, step: HolderCommand) -> None:
        attempt, key = step.attempt, str(step.attempt.token)
        if key not in self._tasks:
            self._sign_of_life(attempt.agent_id, step.also, step.time)
        else:
            self._heard = self._alive((attempt, *step.also))
            request = Request(step.command, agent_actor(attempt.agent_id), "", attempt.agent_id)
            self._apply(decide_named(self, request, step.time, self.policy.rules))
            if step.late and key in self._tasks:
                # In the record it was told to stop, so the log does not show what it would have done from here on.
                self._drop(key)
        if step.accepted:
            self.counter.completion_accepted(attempt)

    def _alive(self, attempts: Iterable[Attempt]) -> Sequence[str]:
        return [key for each in attempts if (key := str(each.token)) in self._tasks]

    def _end(self, step: LeaseEnded) -> None:
        key = str(step.attempt.token)
        task = self._tasks.get(key)
        if task is not None and (not step.of_stuck or task.status is TaskStatus.STUCK):
            # An operator who revoked a stuck task's lease would not have done so if it had not been stuck.
            self._drop(key)

    def _extend(self, step: ProbeEvidence) -> None:
        key = str(step.attempt.token)
        if key in self._tasks:
            command = Extend(key, step.attempt.token, step.probe, step.evidence)
            self._apply(decide_named(self, Request(command, SWEEPER, ""), step.time, self.policy.rules))

    def _change_pool(self, step: PoolChanged) -> None:
        before, self._pool_since = self.pool, step.time
        if not self.policy.rearms:
            self.pool = step.pool
        elif step.blind_s:
            request = Request(Rearm(step.reason, step.blind_s), WRITER, "")
            self._apply(decide_named(self, request, step.time, self.policy.rules))
        else:
            self.pool = replace(self.pool, expiry_held=step.pool.expiry_held)
        self._due.replace_pool(before, self.pool, self._tasks)

    # Judging

    def _judge_if_due(self, attempts: Iterable[Attempt], now: datetime, overdue: Container[object]) -> None:
        """Judge those that fell due before now, except those that the record had not judged by then either."""
        for attempt in attempts:
            key = str(attempt.token)
            if not self._due.may_be_due(key, now):
                continue
            due = due_at(self._tasks[key], self.pool, self.policy.rules)
            if due is not None and due <= now and attempt not in overdue:
                self._judge(key, due)

    def _judge_until(self, moment: datetime) -> None:
        while due := self._due.due(moment, _BATCH, self.pool):
            for key in due:
                at = due_at(self._tasks[key], self.pool, self.policy.rules)
                self._judge(key, at or moment)

    def _judge(self, key: str, due: datetime) -> None:
        attempt = self._attempts[key]
        # A lease that is still due after a sign of life, or after judging was resumed, is judged at that moment.
        at = max(due, attempt.last_heard_at, self._pool_since)
        decision = decide_named(self, Request(Judge((key,)), SWEEPER, ""), at, self.policy.rules)
        self._apply(decision)
        for recorded in decision.records:
            if isinstance(recorded.event, ev.Expired):
                self.counter.count_recovery(attempt, at)
            elif isinstance(recorded.event, ev.Stuck):
                self.counter.count_stuck(attempt, at)
            elif isinstance(recorded.event, ev.Failed) and attempt.expired:
                self.counter.count_hold(attempt, at)

    def _apply(self, decision: Decision) -> None:
        for recorded in decision.records:
            kind = type(recorded.event)
            self.counter.renewals += kind is ev.Renewed
            self.counter.quarantined += kind is ev.Quarantined
        for (_, key), after_it in decision.after.items():
            if isinstance(after_it, Task):
                self._tasks[key] = after_it
                self._due.replace(key, after_it)
                if not after_it.held:
                    self._drop(key)
            elif isinstance(after_it, Pool):
                self.pool = after_it

    def _drop(self, key: str) -> None:
        task, attempt = self._tasks.pop(key), self._attempts.pop(key)
        self._due.replace(key, None)
        if self._latest.get(attempt.task_id) == key:
            del self._latest[attempt.task_id]
            if task.expiries:
                self._expiries[attempt.task_id] = task.expiries
            else:
                self._expiries.pop(attempt.task_id, None)
