"""What becomes of a decided job once the log has acknowledged all that its answer rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.errors import RefusalCode
from domain.timestamps import after
from handlers.writer.jobs import OVERLOADED, Answer
from handlers.writer.waiting_claims import WaitingClaims, Waker, end_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from domain.draft import Decision
    from handlers.memory.memory import Memory
    from handlers.ports import Clock
    from handlers.writer.agent_liveness import Presence
    from handlers.writer.batch import Group
    from handlers.writer.jobs import Job

ANSWERED_AT_ONCE = 64
"""Answers that go out together. The callers of the first ones come back while the others of a large group are told."""


class Answering:
    """Answers jobs, sends those back that have a second part, and parks the claims that wait for work."""

    def __init__(self, memory: Memory, presence: Presence, clock: Clock, again: Callable[[Job], None]) -> None:
        self.waiting = WaitingClaims()
        self.committed: Callable[[], None] = lambda: None
        """Called after each acknowledged group, and when a claim begins to wait."""
        self.parks = True
        """Whether claims may still wait; no longer once the service stops."""
        self._memory = memory
        self._clock = clock
        self._again = again
        self._waker = Waker(self.waiting, presence)

    def commit(self, group: Group) -> None:
        """Make the group final."""
        memory = self._memory
        if group.messages:
            memory.state.commit(group.changes, group.end, group.end_time)
            memory.tail_hash = group.tail_hash
            memory.observe([recorded for decision in group.decisions for recorded in decision.records])

    def answer(self, group: Group) -> Iterator[None]:
        """Answer the jobs of a group that is final, in their order.

        Stops after every few of them, so that these can be on their way, and come back, while the others are answered.
        """
        filled: list[tuple[Job, Decision]] = []
        for number, (job, decision) in enumerate(zip(group.jobs, group.decisions, strict=True)):
            if number and number % ANSWERED_AT_ONCE == 0:
                yield
            if self._was_filled(job, decision):
                # Perhaps by what this group gives its agent, and that is then its answer.
                self._park(job, decision)
                filled.append((job, decision))
            else:
                self._answer(job, decision, group.end)
        if group.stirs:
            self.resubmit(self._waker.follow(group.decisions, group.end))
        if group.messages:
            self.committed()
        for job, decision in filled:
            if self.waiting.withdraw(job):
                self._answer(job, decision, group.end)

    def resubmit(self, jobs: list[Job]) -> None:
        """Let claims that waited be decided again, in their order, before everybody else's commands."""
        now = self._clock.now()
        for job in reversed(jobs):
            job.received_at = now
            self._again(job)

    def end_wait(self, job: Job) -> None:
        """Answer a claim that waited, with what it came to without work."""
        end_wait(job, self._memory.state.committed_position)

    def end_waits(self, now: datetime) -> None:
        """Answer the claims whose patience has ended."""
        for job in self.waiting.expired(now):
            self.end_wait(job)

    def end_all_waits(self) -> None:
        """Answer every claim that waits, and let none wait from now on."""
        self.parks = False
        for job in self.waiting.everything():
            self.end_wait(job)

    def _was_filled(self, job: Job, decision: Decision) -> bool:
        """Return whether a claim waited, and finds now that its agent has no room."""
        refusal = decision.refusal
        return job.waits_until is not None and refusal is not None and refusal.code is RefusalCode.AT_CAPACITY

    def _answer(self, job: Job, decision: Decision, position: int) -> None:
        if decision.follow_up is not None:
            job.request = decision.follow_up
            job.prior.extend(decision.records)
            self._again(job)
            return
        if decision.waits and self.parks:
            self._park(job, decision)
            return
        records = [*job.prior, *decision.records] if job.prior else decision.records
        if job.request.keyed and job.prior:
            # What does not count as its outcome is not shown, so that a repeat is told the same.
            records = [recorded for recorded in records if recorded.keyed]
        job.done(Answer(records[-1].position if records else position, records, decision.result, decision.refusal))

    def _park(self, job: Job, decision: Decision) -> None:
        agent_id = job.request.agent_id or ""
        agent = self._memory.state.agent(agent_id)
        now = self._clock.now()
        wait_s: Any = getattr(job.request.command, "wait_s", 0.0)
        until = job.waits_until or after(job.received_at, wait_s)
        job.prior.extend(decision.records)
        if agent is None or until <= now:
            self.end_wait(job)
        elif self.waiting.full(agent_id) and job.prior:
            # What it renewed stands, so it was no refusal.
            self.end_wait(job)
        elif self.waiting.full(agent_id):
            job.done(Answer(self._memory.state.committed_position, (), None, OVERLOADED))
        else:
            job.waits_until = until
            self.waiting.park(job, agent.capabilities, until)
            self.committed()
