"""Claims that wait for work: when one is parked, what wakes or answers it, and when it ends empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import Entity
from domain.events.agent import Deregistered, Lost, Registered
from domain.events.task import Leased, Requeued, Stolen, Submitted
from domain.lease_terms import lease_document
from domain.lifecycles import TaskStatus
from domain.task import Task
from handlers.ports import steadily_after
from handlers.writer.claim_line import ClaimLine
from handlers.writer.jobs import OVERLOADED, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from domain.draft import Decision
    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, Steady
    from handlers.writer.agent_liveness import AgentLiveness
    from handlers.writer.jobs import Job

_AGENT_CHANGES = frozenset({Registered, Deregistered, Lost})
_WORK = frozenset({Submitted, Requeued})
_GRANTS = frozenset({Leased, Stolen})
_RELEVANT = _AGENT_CHANGES | _WORK | _GRANTS


def affects_waiting(records: Sequence[Recorded]) -> bool:
    """Return whether a waiting claim may be woken or answered by these events."""
    # By exact type: on models isinstance is slow, and this runs for every event.
    return not _RELEVANT.isdisjoint([type(recorded.event) for recorded in records])


class WaitingClaims:
    """Parks claims, and lets them follow what was acknowledged: work came, was granted, or an agent changed."""

    def __init__(
        self,
        memory: Memory,
        liveness: AgentLiveness,
        clock: Clock,
        *,
        resubmit: Callable[[Job], None],
        on_parked: Callable[[], None],
    ) -> None:
        """`resubmit` puts a claim first into the queue; `on_parked` is called when one begins to wait."""
        self._memory = memory
        self._liveness = liveness
        self._clock = clock
        self._resubmit = resubmit
        self._on_parked = on_parked
        self._line = ClaimLine()
        self.open = True
        """Whether claims may still be parked; no longer once the service stops."""

    def __len__(self) -> int:
        return len(self._line)

    def park(self, job: Job, decision: Decision) -> None:
        """Let an empty claim wait; answer it at once if it may not, or no longer."""
        agent_id = job.request.agent_id or ""
        agent = self._memory.state.agent(agent_id)
        wait_s: float = getattr(job.request.command, "wait_s", 0.0)
        until = job.wait_until or steadily_after(job.received_at, wait_s)
        if agent is not None and until > self._clock.steady() and not self._line.full(agent_id):
            job.park(until, decision.records)
            self._line.add(job, agent.capabilities, until)
            self._on_parked()
            return
        job.park(until, decision.records)
        if agent is None or until <= self._clock.steady() or job.prior:
            # A claim that renewed something on the side is no refusal, for that stands.
            self.end(job)
        else:
            job.answer(Answer(self._memory.state.committed_position, (), None, OVERLOADED))

    def withdraw(self, job: Job) -> bool:
        """Take a claim out of the line, if it still waits; return whether it did."""
        return self._line.withdraw(job)

    def end(self, job: Job) -> None:
        """Answer a claim that found no work."""
        self._end_at(job, self._memory.state.committed_position)

    def end_timed_out(self, now: Steady) -> None:
        """Answer the claims whose wait has ended."""
        for job in self._line.take_timed_out(now):
            self.end(job)

    def end_all(self) -> None:
        """Answer every waiting claim, and let none wait from now on."""
        self.open = False
        for job in self._line.take_all():
            self.end(job)

    def next_timeout_at(self) -> Steady | None:
        """Return when the next claim's wait ends."""
        return self._line.next_timeout_at()

    def take_all(self) -> list[Job]:
        """Take every claim out of the line, oldest first."""
        return self._line.take_all()

    def resubmit_all(self) -> None:
        """Let every waiting claim be decided again."""
        self._resubmit_in_order(self._line.take_all())

    def follow(self, decisions: Iterable[Decision], position: int) -> None:
        """Follow acknowledged decisions that end at `position`: answer claims by grants, wake others for work.

        Grants to waiting agents go first: a claim that is answered by one needs no other work.
        """
        woken: list[Job] = []
        queued: list[Task] = []
        for decision in decisions:
            for recorded in decision.records:
                kind = type(recorded.event)
                if kind not in _RELEVANT:
                    continue
                if kind in _AGENT_CHANGES:
                    woken += self._follow_agent(recorded, position)
                elif len(self._line):
                    task = decision.after.get((Entity.TASK, recorded.entity_id))
                    if isinstance(task, Task) and task.status is TaskStatus.QUEUED:
                        queued.append(task)
                    elif isinstance(task, Task):
                        self._answer_by_grant(recorded, task, position)
        for task in queued:
            job = self._line.take_for_task(frozenset(task.definition.required_capabilities))
            if job is not None:
                woken.append(job)
        self._resubmit_in_order(woken)

    def _follow_agent(self, recorded: Recorded, position: int) -> list[Job]:
        """Return the claims to be decided again because their agent changed."""
        agent_id = recorded.entity_id
        if isinstance(recorded.event, Registered):
            self._liveness.heard(agent_id, self._clock.steady(), recorded.time)
        else:
            self._liveness.forget(agent_id)
        jobs = self._line.take_all_of(agent_id)
        if not isinstance(recorded.event, Lost):
            return jobs
        for job in jobs:
            # Deciding it again would revive an agent that sent nothing.
            self._end_at(job, position)
        return []

    def _answer_by_grant(self, recorded: Recorded, task: Task, position: int) -> None:
        """Answer a claim of the agent that others gave the task to."""
        lease = task.lease
        if lease is None or lease.token != recorded.position or recorded.actor == f"agent/{lease.agent_id}":
            return
        job = self._line.take_of_agent(lease.agent_id)
        if job is not None:
            job.answer(Answer(position, job.prior, {"leases": [lease_document(task, recorded.time)]}, None))

    def _resubmit_in_order(self, jobs: list[Job]) -> None:
        now = self._clock.steady()
        for job in reversed(jobs):
            job.resubmitted(now)
            self._resubmit(job)

    def _end_at(self, job: Job, position: int) -> None:
        job.answer(Answer(position, job.prior, {"leases": []}, None))
