"""The pool's writer: the one coroutine that decides, and the only one that appends.

Commands wait in a queue. Those that arrive while an append is in flight are decided meanwhile, in order, each on the
tentative state that its predecessors leave. They are appended next as one batch, on the condition that the log ends
where that state began. A few commands of one event each go as a chain instead, which costs less and of which the log
may take a prefix; a chain may be sent behind chains in flight. No caller is answered before the log has acknowledged
all that the answer rests on; when an append is refused, everything tentative is undone and decided again.

Invariants:
- With nothing in flight and nothing decided, the state is exactly the fold of the log up to its position.
- Every job is answered exactly once, in the order in which the jobs were decided.
- While the outcome of an append is unknown, nothing else is appended, except chains that are only stored behind it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from domain.errors import RefusalCode
from domain.refusal import Refusal
from domain.timestamps import seconds_between
from handlers.ports import LogUnavailableError
from handlers.writer.agent_liveness import AgentLiveness
from handlers.writer.appending import Conflicted, Rejected, Stored, Unsent, pause
from handlers.writer.batch import Batch
from handlers.writer.broker_link import BrokerLink
from handlers.writer.deciding import Decider
from handlers.writer.deferred_reads import DeferredReads
from handlers.writer.job_queue import JobQueue
from handlers.writer.jobs import NOT_DECIDED, NOT_WRITER, OUTCOME_UNKNOWN, OVERLOADED, STOPPING, Answer, Job
from handlers.writer.notable_events import NotableEvents
from handlers.writer.obeyed_directives import drop_obeyed_directives
from handlers.writer.pool_clock import PoolClock
from handlers.writer.refold import refold
from handlers.writer.replies import REPLIES_AT_ONCE, BatchReplies
from handlers.writer.sending import Sender
from handlers.writer.waiting_claims import WaitingClaims
from handlers.writer.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.rules import Rules
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, Codec, EventLog, Steady
    from handlers.writer.flights import Flight
    from handlers.writer.observer import WriterObserver

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

SLICE = 128
"""Commands decided, or events made by them, before the event loop gets its turn.

Many at once cost a quarter less each than a few, which outweighs that an acknowledgement waits for them: 5 ms.
"""


class SupersededError(Exception):
    """Another service leads the pool now; this one must stop."""


class WriterLimits(NamedTuple):
    """What the writer takes on; durations in seconds."""

    queue_commands: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    reply_timeout_s: float = 5.0
    """After this a caller is told that the outcome is unknown."""
    batch_wait_s: float = 0.0
    """The longest that a batch waits for the callers of the previous one to return."""
    outage_s: float = 2.0
    """An append that takes longer counts as a spell in which the pool could not hear its agents."""
    loss_confirm_s: float = 0.0
    """How long the log has to lack what was acknowledged until that is believed."""


class Writer:
    """Decides and appends for one pool. `run` does its work; everything else is called from the same event loop."""

    def __init__(
        self,
        memory: Memory,
        log: EventLog,
        codec: Codec,
        clock: Clock,
        rules: Rules,
        limits: WriterLimits,
        observer: WriterObserver,
    ) -> None:
        self.memory = memory
        self.rules = rules
        self.liveness = AgentLiveness(rules.lost_after_s)
        self.broker_link = BrokerLink(limits.outage_s, observer.agents_unheard)
        self.waiting = WaitingClaims(
            memory, self.liveness, clock, resubmit=self.submit_first, on_parked=observer.state_changed
        )
        self._log = log
        self._codec = codec
        self._clock = clock
        self._pool_clock = PoolClock(clock)
        self._limits = limits
        self._observer = observer
        self._notable_events = NotableEvents(clock)
        self._decider = Decider(memory, rules, self.liveness, self.broker_link, clock)
        self._queue = JobQueue(limits.queue_commands, limits.queue_bytes)
        self._open: Batch | None = None
        """The batch that is being decided."""
        self._wake = asyncio.Event()
        self._sender = Sender(log, clock, limits.batch_wait_s, self._wake.set)
        self._flights = self._sender.flights
        self._replies: BatchReplies | None = None
        """The acknowledged batch whose jobs are not all answered yet."""
        self._deferred_reads = DeferredReads(memory)
        self._refolding = False
        self._log_doubted = False
        self._stopping = False
        self._leader: str | None = None
        """The name under which this writer leads; None before `lead_as`."""
        self._ended: Refusal | None = None
        """Why nothing is decided any more; None while the writer runs, or has yet to."""

    @property
    def queued(self) -> int:
        """Commands that wait to be decided."""
        return len(self._queue)

    @property
    def now(self) -> datetime:
        """The pool's time."""
        return self._pool_clock.now(self.memory.state.last_time)

    def lead_as(self, leader: str) -> None:
        """Lead under a name from now on: another one in the log ends the writer."""
        self._leader = leader

    def submit(self, job: Job) -> None:
        """Queue a job; it is answered `overloaded` at once when the queue is full."""
        if self._ended is not None:
            self.refuse(job, self._ended)
        elif self._queue.offer(job):
            if job.trace is not None:
                job.trace.queued()
            self._wake.set()
        else:
            self.refuse(job, OVERLOADED)

    def submit_first(self, job: Job) -> None:
        """Queue a job of the service's own, or one that was decided before, ahead of all others."""
        if self._ended is not None:
            self.refuse(job, self._ended)
            return
        self._queue.put_first(job)
        if job.trace is not None:
            job.trace.queued()
        self._wake.set()

    def refuse(self, job: Job, refusal: Refusal) -> None:
        """Refuse a job. If an earlier append of its command is in the log, its outcome is unknown instead."""
        self.waiting.settle(job)
        reason = OUTCOME_UNKNOWN if job.prior else refusal
        job.answer(Answer(self.memory.state.committed_position, refusal=reason))

    async def read(self, read: Callable[[Memory], _T]) -> _T:
        """Call `read` when all of the state is acknowledged, and return what it returns; it must not wait.

        Raises LogUnavailableError when the log does not acknowledge it in time, or the service ended before.
        """
        if self._at_rest:
            return read(self.memory)
        if self._ended is not None:
            msg = "the service ended while it folded the log, so its state is incomplete"
            raise LogUnavailableError(msg)
        future = self._deferred_reads.defer(read, self._clock.steady())
        self._wake.set()
        return await future

    def check_log(self) -> None:
        """Check that the log continues what was folded, once nothing is in flight, and fold what others appended.

        An append would show it, but there may be none.
        """
        self._log_doubted = True
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return once everything queued is decided and answered; waiting claims end empty."""
        self._stopping = True
        self.waiting.end_all()
        self._wake.set()

    async def run(self) -> None:
        """Decide and append until stopped.

        Raises:
            SupersededError: another service leads the pool.
            LogLostError: the log lacks what was acknowledged, or is another one.
        """
        watchdog = Watchdog(self, self.memory, self._clock, self._limits.reply_timeout_s)
        watching = asyncio.create_task(watchdog.run())
        watching.add_done_callback(lambda _: self._wake.set())
        ended = NOT_DECIDED
        try:
            while True:
                self._wake.clear()
                if watching.done():
                    watching.result()  # raises: without the watchdog no caller would be timed out
                if self._flights and self._flights.first.has_news:
                    await self._land(self._flights.first)
                    # Before anything more is decided: a queue that never empties must not keep reads waiting.
                    self._run_deferred_reads()
                self._decide_slice()
                self._launch()
                self._run_deferred_reads()
                if (self._queue and self._may_decide()) or (self._flights and self._flights.first.has_news):
                    await asyncio.sleep(0)
                elif self._stopping and not self._queue and self._at_rest:
                    ended = STOPPING
                    return
                elif self.broker_link.owes_answer and self._at_rest and not self._queue:
                    await self._ping_broker()
                elif self._log_doubted and self._at_rest:
                    await self._check_log()
                else:
                    await self._wake.wait()
        except SupersededError:
            ended = NOT_WRITER
            raise
        finally:
            watching.cancel()
            self._end(ended)

    @property
    def _at_rest(self) -> bool:
        """Whether the state is acknowledged as a whole, and complete."""
        return not self._flights and self._open is None and not self._refolding

    def _end(self, refusal: Refusal) -> None:
        """Answer every job that still waits; the outcome of what is in flight stays unknown."""
        self._ended = refusal
        if self._replies is not None:
            self._replies.answer_rest()
        unknown = self._flights.cancel()
        decided = self._open.jobs if self._open is not None else ()
        undecided = [*decided, *self._queue, *self.waiting.take_all()]
        self._open = None
        self._queue.clear()
        self.memory.undo()
        for job in unknown:
            self.refuse(job, OUTCOME_UNKNOWN)
        for job in undecided:
            self.refuse(job, refusal)
        self._run_deferred_reads()
        self._deferred_reads.fail_all()

    # Deciding

    def _may_decide(self) -> bool:
        """Return whether the next job may be decided now: its batch has room, and no read is deferred."""
        if self._open is None:
            return not self._deferred_reads or not self._flights
        return not self._open.full and not self._deferred_reads

    def _decide_slice(self) -> None:
        """Decide the next jobs in the queue into the open batch."""
        if not self._queue or not self._may_decide():
            return
        state, loop = self.memory.state, asyncio.get_running_loop()
        started_s = loop.time()
        now, steady = self.now, self._clock.steady()
        self.memory.set_silence(self.liveness.silence_at(steady))
        batch = self._open = self._open or self._new_batch()
        for _ in range(min(SLICE, len(self._queue))):
            if len(batch.unencoded) >= SLICE:
                break
            job = self._queue.first
            if batch.full or (job.alone and batch.jobs):
                batch.close()
                break
            self._queue.pop()
            if self._looks_up_again(job):
                continue
            if job.wait_until is not None and (job.wait_until <= steady or self.waiting.is_of_earlier_session(job)):
                self.waiting.end(job)
                continue
            decision = self._decider.decide(job, now, steady)
            self.waiting.note_session(job, decision)
            if not batch.has_room_for(len(decision.records)):
                self._queue.put_first(job)
                batch.close()
                break
            self.memory.apply(decision)
            batch.add(job, decision)
        batch.encode(self._codec, state.last_time)
        batch.spend(loop.time() - started_s)
        if not batch.jobs:
            self._open = None

    def _new_batch(self) -> Batch:
        state = self.memory.state
        tail_hash = self._flights.last.batch.tail_hash if self._flights else self.memory.tail_hash
        return Batch(state.position, self._sender.max_commands, tail_hash, state.last_time)

    def _looks_up_again(self, job: Job) -> bool:
        """Send a job back to be looked up if something that it names has left memory, or may have, since."""
        state = self.memory.state
        if job.on_stale_look_up is None or state.knows_all(job.names):
            return False
        for name in job.names:
            if not state.knows(name) and (name not in job.absent or job.looked_up_at < state.ended.evicted_through):
                # A claim that was woken may be answered without coming back.
                self.waiting.settle(job)
                job.on_stale_look_up(job)
                return True
        return False

    # Appending

    def _launch(self) -> None:
        """Send the open batch if it should go now."""
        batch = self._open
        if batch is None:
            return
        if not batch.messages and not self._flights:
            # Nothing was in flight, so its refusals rest on acknowledged state alone.
            self._open = None
            drop_obeyed_directives(self.memory, batch)
            BatchReplies(batch, self.waiting, self.submit_first).answer_rest()
        elif self._sender.offer(batch):
            self._open = None
            self.broker_link.asked(self._clock.steady())

    async def _land(self, flight: Flight) -> None:
        """Act on what is known of the first append in flight."""
        # First, for it may raise: then the batch is still in flight, and `_end` answers its jobs.
        outcome = flight.result
        stored = flight.batch if isinstance(outcome, Stored) else flight.take_stored()
        if stored is not None:
            self._learn(flight, stored)
            self._commit(stored)
        if outcome is not None:
            self._flights.remove_first()
        match outcome:
            case Conflicted() | Unsent():
                self._undo(flight.batch)
            case Rejected(reason):
                self._reject(flight.batch, reason)
        if stored is not None or isinstance(outcome, Rejected):
            self._note_answer()
        if stored is not None:
            await self._reply(stored)
        match outcome:
            case Conflicted():
                await self._refold()
                self._note_answer()
            case Unsent():
                await pause(self._clock)

    def _note_answer(self) -> None:
        """Note that the broker answers, and that it owes an answer to what else is in flight."""
        now = self._clock.steady()
        self.broker_link.answered(now)
        if self._flights:
            self.broker_link.asked(now)

    def _learn(self, flight: Flight, stored: Batch) -> None:
        """Learn how many callers there are, and what an append costs."""
        waiting = len(self._queue) + (len(self._open.jobs) if self._open is not None else 0)
        append_s = self._sender.stored(flight, stored, waiting)
        self._observer.appended(len(stored.jobs), append_s)

    def _commit(self, batch: Batch) -> None:
        """Make an acknowledged batch final."""
        self.memory.commit(batch.decisions, batch.changes, batch.end, batch.end_time, batch.tail_hash)
        self._observer.committed(batch.end, batch.tail_hash)
        batch.note_stored()
        drop_obeyed_directives(self.memory, batch)
        for decision in batch.decisions:
            self._notable_events.observe(decision.records)

    async def _reply(self, batch: Batch) -> None:
        """Answer a committed batch; the broker gets the next batch first, where that does not depend on the answers."""
        self._replies = BatchReplies(batch, self.waiting, self.submit_first)
        answered_all = False
        if self._open is None or not self._open.messages or self._may_wake(batch):
            # A claim that this batch wakes has to be decided before the next one goes.
            answered_all = not self._replies.answer_next(REPLIES_AT_ONCE)
        else:
            self._launch()
        while not answered_all:
            await asyncio.sleep(0)
            answered_all = not self._replies.answer_next(REPLIES_AT_ONCE)
        self._replies = None
        self._observer.state_changed()

    def _may_wake(self, batch: Batch) -> bool:
        """Return whether a claim may be woken or answered by a batch."""
        return batch.affects_waiting and (len(self.waiting) > 0 or any(each.waits for each in batch.decisions))

    async def _ping_broker(self) -> None:
        """Ask the broker whether it is back: with nothing to append, no append would show it."""
        try:
            await self._log.last_position()
        except LogUnavailableError:
            await pause(self._clock)
        else:
            self.broker_link.answered(self._clock.steady())

    async def _check_log(self) -> None:
        self._log_doubted = False
        try:
            await self._log.last_position()
        except LogUnavailableError:
            return
        if self._at_rest:
            await self._refold()

    def _undo(self, batch: Batch) -> None:
        """Take back everything tentative: the batch and all behind it; its jobs are decided again, in their order."""
        opened, self._open = self._open, None
        self.memory.undo()
        jobs = [*batch.jobs, *self._flights.cancel(), *(opened.jobs if opened is not None else ())]
        for job in reversed(jobs):
            self._queue.put_first(job)

    def _reject(self, batch: Batch, reason: str) -> None:
        """Refuse the one command that the broker will not take; try those that shared its batch one by one."""
        _LOG.error("the broker rejected an append of %d events: %s", len(batch.messages), reason)
        rejected = batch.jobs[0] if len(batch.jobs) == 1 else None
        for job in batch.jobs:
            job.go_alone()
        self._undo(batch)
        if rejected is not None:
            self._queue.pop()
            refusal = Refusal(RefusalCode.INVALID_COMMAND, f"the broker does not take it: {reason}", {"fields": []})
            self.refuse(rejected, refusal)

    async def _refold(self) -> None:
        """Fold what others appended.

        Raises:
            SupersededError: one of them leads the pool now.
            LogLostError: the log lacks what was acknowledged.
        """
        self._refolding = True
        leads = await refold(self.memory, self._log, self._clock, self._limits.loss_confirm_s)
        self._refolding = False
        if leads and self._leader is not None:
            msg = f"{leads[-1]} leads the pool"
            raise SupersededError(msg)
        # What was undone may have hidden work from a claim that was then parked.
        self.waiting.resubmit_all()

    def _run_deferred_reads(self) -> None:
        if self._deferred_reads and self._at_rest:
            self._deferred_reads.run_all()

    # Called by the watchdog

    def looked(self, now: Steady) -> None:
        """Let silence be judged until the next look is overdue."""
        self.broker_link.looked(now)

    def end_timed_out(self, now: Steady) -> None:
        """Tell callers whose commands are in a batch that the outcome is unknown; drop the others; fail late reads."""
        self._notable_events.end_period()
        timeout_s = self._limits.reply_timeout_s
        for job in [*self._flights.jobs, *(self._open.jobs if self._open is not None else ())]:
            if job.on_timeout is not None and seconds_between(job.received_at, now) >= timeout_s:
                job.time_out()
        if self._deferred_reads.fail_timed_out(now, timeout_s):
            self._wake.set()
        for job in self._queue.remove_timed_out(now, timeout_s):
            self.refuse(job, NOT_DECIDED)
        self.waiting.end_timed_out(now)

    def clock_changed(self) -> None:
        """Notify the observer."""
        self._observer.clock_changed()

    def stood_still(self, seconds: float) -> None:
        """Count the spell as an outage: no agent was heard meanwhile."""
        self._observer.agents_unheard(seconds)
