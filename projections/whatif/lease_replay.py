"""Recorded behaviour under other rules: each recorded lease again, by the project's own decisions, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.agent import Agent
from domain.decisions.dispatch import decide
from domain.decisions.granting import grant, sign_of_life
from domain.draft import Draft, Request
from domain.due import due_at
from domain.events import task as ev
from domain.lifecycles import AgentStatus, TaskStatus
from domain.pool import Pool
from domain.service_commands import Extend, Judge, Rearm
from domain.task import Task
from domain.timestamps import EPOCH, after
from projections.state.due_times import DueTimes
from projections.whatif.ledger import Ledger
from projections.whatif.steps import Deaf, Ended, Forgiven, Granted, Heard, Lost, Pleaded, Spoke

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from datetime import datetime

    from domain.draft import Decision
    from domain.steal import Steal
    from projections.whatif.policy import Policy
    from projections.whatif.steps import Attempt, Step

PATIENCE_S = 15.0
"""How long a verdict stays open for the plea of a probe, which looks when the lease is due and takes its time."""
_AT_ONCE = 200
_COARSE = 2.0
"""How often the gap between recorded signs of life has to fit into a term and its grace."""


class LeaseReplay:
    """All leases under one policy. Implements the domain's `PoolView` for the decisions that it asks for.

    A task stands for one recorded lease and is named by its token, so that a lease that lives longer than it did does
    not stand in the way of the one that really followed.
    """

    def __init__(self, pool_id: str, policy: Policy) -> None:
        self.policy = policy
        self.ledger = Ledger()
        self.misfits: dict[str, int] = {}
        """Why named lease fields do nothing on some leases -> on how many."""
        self.granted = 0
        self.finer = 0
        """Leases on which this policy judges more finely than the record tells signs of life apart."""
        self.pool = Pool(pool_id)
        self._pool_since = EPOCH
        self.position = 0
        self._tasks: dict[str, Task] = {}
        self._attempts: dict[str, Attempt] = {}
        self._expiries: dict[str, int] = {}
        """Task -> expiries in a row, carried from one lease to the next."""
        self._latest: dict[str, str] = {}
        """Task -> its latest lease, while it lives."""
        self._heard: Sequence[str] = ()
        self._due = DueTimes(policy.rules, self._tasks.get)

    def __len__(self) -> int:
        return len(self._tasks)

    def take(self, step: Step) -> None:
        """Let time pass until the step, judge what fell due, and carry the step out."""
        if isinstance(step, Deaf):
            self._judge_until(step.since)
            self._floor(step)
            return
        self._judge_until(after(step.time, -PATIENCE_S))
        match step:
            case Heard():
                self._settle(step.attempts, step.time, step.behind)
                self._hear(step.attempts, step.time)
                self._sign(step.agent_id, step.attempts, step.time)
            case Spoke():
                meant = (step.attempt, *step.also)
                self._settle(meant, step.time, step.behind)
                self._hear(meant, step.time)
                self._speak(step)
            case Granted():
                self._grant(step)
            case Ended():
                self._settle((step.attempt,), step.time, step.behind)
                self._end(step)
            case Lost():
                # Whether it is lost here, too, is decided here; but no probe pleads for it any more.
                self._settle((step.attempt,), step.time, ())
            case Pleaded():
                self._plead(step)
            case Forgiven():
                self._expiries.pop(step.task_id, None)

    def finish(self, end: datetime) -> None:
        """Judge what falls due until the end of the record, and beyond it where the record says no more will come."""
        self._judge_until(end)
        for key, attempt in list(self._attempts.items()):
            if attempt.lost and key in self._tasks:
                due = due_at(self._tasks[key], self.pool, self.policy.rules)
                if due is not None:
                    self._judge(key, due)

    # What decisions look at

    def task(self, task_id: str) -> Task | None:
        """Return a lease's task."""
        return self._tasks.get(task_id)

    def agent(self, agent_id: str) -> Agent:
        """Return an agent that may do what it did: the record let it."""
        return Agent(agent_id, 1, 1, 1, AgentStatus.LIVE)

    def steal(self, operation_id: str) -> Steal | None:  # noqa: ARG002 - the protocol's signature
        """Return None: leases are judged on the moves of the record."""
        return None

    def held_by(self, agent_id: str) -> Sequence[str]:  # noqa: ARG002 - the step says whom it is about
        """Return the leases for which the step at hand is a sign of life."""
        return self._heard

    def tasks_held(self, agent_id: str) -> int:
        """Return how many those are."""
        return len(self.held_by(agent_id))

    def queued_for(self, capabilities: frozenset[str], limit: int) -> Sequence[Task]:  # noqa: ARG002 - the view's form
        """Return none: grants are the record's, so nothing is queued here."""
        return ()

    def best_agent(self, required: frozenset[str]) -> str | None:  # noqa: ARG002 - the view's form
        """Return nobody: grants are the record's, so nobody is chosen here."""
        return None

    # Steps

    def _grant(self, step: Granted) -> None:
        attempt, recorded = step.attempt, step.task
        key, before = str(attempt.token), self._latest.get(attempt.task_id, "")
        if before in self._tasks:
            self._settle((self._attempts[before],), step.time, ())
        latest = self._tasks.get(before)
        expiries = latest.expiries if latest is not None else self._expiries.get(attempt.task_id, 0)
        definition = self.policy.definition(recorded.definition)
        self._tasks[key] = recorded._replace(
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
        # The token is the position of the grant, as it was: the reprieve after an outage depends on it.
        self.position = attempt.token - 1
        draft = Draft(self, Request(Judge(()), "", "", attempt.agent_id), step.time, self.policy.rules)
        grant(draft, self._tasks[key], attempt.agent_id)
        self._apply(draft.decided())
        self.granted += 1
        self.finer += self._is_finer(key, step.coarseness_s)
        misfit = self.policy.misfit(recorded.definition)
        if misfit is not None:
            self.misfits[misfit] = self.misfits.get(misfit, 0) + 1

    def _is_finer(self, key: str, coarseness_s: float) -> bool:
        lease = self._tasks[key].lease
        return lease is not None and lease.lease_s + lease.grace_s < _COARSE * coarseness_s

    def _hear(self, attempts: Iterable[Attempt], now: datetime) -> None:
        if self.ledger.waits:
            for attempt in attempts:
                self.ledger.heard(attempt, now)

    def _sign(self, agent_id: str, attempts: Iterable[Attempt], now: datetime) -> None:
        self._heard = self._alive(attempts)
        if self._heard:
            draft = Draft(self, Request(Judge(()), "", "", agent_id), now, self.policy.rules)
            sign_of_life(draft, agent_id)
            self._apply(draft.decided())

    def _speak(self, step: Spoke) -> None:
        attempt, key = step.attempt, str(step.attempt.token)
        if key not in self._tasks:
            self._sign(attempt.agent_id, step.also, step.time)
        else:
            self._heard = self._alive((attempt, *step.also))
            request = Request(step.command, f"agent/{attempt.agent_id}", "", attempt.agent_id)
            self._apply(decide(self, request, step.time, self.policy.rules))
            if step.late and key in self._tasks:
                # It was told to stop, so what it would have done from here on is not on record.
                self._drop(key)
        if step.accepted:
            self.ledger.accepted(attempt)

    def _alive(self, attempts: Iterable[Attempt]) -> Sequence[str]:
        return [key for each in attempts if (key := str(each.token)) in self._tasks]

    def _end(self, step: Ended) -> None:
        key = str(step.attempt.token)
        task = self._tasks.get(key)
        if task is not None and (not step.of_stuck or task.status is TaskStatus.STUCK):
            # Who freed a stuck task would not have done so had it not been stuck.
            self._drop(key)

    def _plead(self, step: Pleaded) -> None:
        key = str(step.attempt.token)
        if key in self._tasks:
            command = Extend(key, step.attempt.token, step.probe, step.evidence)
            self._apply(decide(self, Request(command, "sweeper", ""), step.time, self.policy.rules))

    def _floor(self, step: Deaf) -> None:
        before, self._pool_since = self.pool, step.time
        if not self.policy.rearms:
            self.pool = step.pool
        elif step.blind_s:
            request = Request(Rearm(step.reason, step.blind_s), "writer", "")
            self._apply(decide(self, request, step.time, self.policy.rules))
        else:
            self.pool = self.pool._replace(expiry_held=step.pool.expiry_held)
        self._due.replace_pool(before, self.pool, self._tasks)

    # Judging

    def _settle(self, attempts: Iterable[Attempt], now: datetime, behind: Container[object]) -> None:
        """Judge those that fell due before now, unless the pool was behind at that time."""
        for attempt in attempts:
            key = str(attempt.token)
            if not self._due.may_be_due(key, now):
                continue
            due = due_at(self._tasks[key], self.pool, self.policy.rules)
            if due is not None and due <= now and attempt not in behind:
                self._judge(key, due)

    def _judge_until(self, moment: datetime) -> None:
        while due := self._due.due(moment, _AT_ONCE, self.pool):
            for key in due:
                at = due_at(self._tasks[key], self.pool, self.policy.rules)
                self._judge(key, at or moment)

    def _judge(self, key: str, due: datetime) -> None:
        attempt = self._attempts[key]
        # What is overdue when its holder speaks, or when judging goes on, is judged then.
        at = max(due, attempt.last_sign, self._pool_since)
        decision = decide(self, Request(Judge((key,)), "sweeper", ""), at, self.policy.rules)
        self._apply(decision)
        for recorded in decision.records:
            if isinstance(recorded.event, ev.Expired):
                self.ledger.took(attempt, at)
            elif isinstance(recorded.event, ev.Stuck):
                self.ledger.told(attempt, at)
            elif isinstance(recorded.event, ev.Failed) and attempt.lost:
                self.ledger.ended(attempt, at)

    def _apply(self, decision: Decision) -> None:
        for recorded in decision.records:
            kind = type(recorded.event)
            self.ledger.renewals += kind is ev.Renewed
            self.ledger.quarantined += kind is ev.Quarantined
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
