"""The answers to the jobs of a batch, once the log has acknowledged all that they rest on."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from domain.errors import RefusalCode
from handlers.writer.jobs import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.decision import Decision
    from handlers.writer.batch import Batch
    from handlers.writer.jobs import Job
    from handlers.writer.waiting_claims import WaitingClaims

REPLIES_AT_ONCE = 64
"""Answers sent before the event loop gets its turn: a large batch's first callers return while others are answered."""


class BatchReplies:
    """Answers the jobs of an acknowledged batch in their order, a number at a time."""

    def __init__(self, batch: Batch, waiting: WaitingClaims, continue_job: Callable[[Job], None]) -> None:
        """`continue_job` puts the second part of a command first into the queue."""
        self._batch = batch
        self._waiting = waiting
        self._continue = continue_job
        self._decided = zip(batch.jobs, batch.decisions, strict=True)
        self._left = len(batch.jobs)
        self._without_room: list[tuple[Job, Decision]] = []

    def answer_next(self, count: int) -> bool:
        """Answer the next `count` jobs; return whether there are more. After the last, waiting claims are woken."""
        for job, decision in islice(self._decided, count):
            self._left -= 1
            if decision.begins_session:
                self._waiting.end_earlier_sessions(job.request.agent_id or "")
            if _lost_its_room(job, decision):
                # A grant in this very batch may have filled its agent, and is then its answer.
                self._waiting.park(job, decision)
                self._without_room.append((job, decision))
            else:
                self._answer(job, decision)
        if self._left:
            return True
        self._finish()
        return False

    def answer_rest(self) -> None:
        """Answer all that were not answered yet."""
        while self.answer_next(self._left or 1):
            pass

    def _finish(self) -> None:
        batch = self._batch
        if batch.affects_waiting:
            self._waiting.follow(batch.decisions, batch.end)
        for job, decision in self._without_room:
            if self._waiting.withdraw(job):
                self._answer(job, decision)
        for job in batch.jobs:
            if job.wait_until is not None:
                self._waiting.settle(job)

    def _answer(self, job: Job, decision: Decision) -> None:
        if decision.follow_up is not None:
            job.continue_with(decision.follow_up, decision.records)
            self._continue(job)
            return
        if decision.waits and self._waiting.open:
            self._waiting.park(job, decision)
            return
        records = [*job.prior, *decision.records] if job.prior else decision.records
        if job.request.keyed and job.prior:
            # Events that do not count as the command's outcome are not shown, so that a repeat is told the same.
            records = [recorded for recorded in records if recorded.keyed]
        position = records[-1].position if records else self._batch.end
        job.answer(Answer(position, records, decision.result, decision.refusal))


def _lost_its_room(job: Job, decision: Decision) -> bool:
    """Return whether a claim that waited is refused because its agent has no room any more."""
    refusal = decision.refusal
    return job.wait_until is not None and refusal is not None and refusal.code is RefusalCode.AT_CAPACITY
