"""The pool's writer: the one coroutine that decides, and the only one that appends.

Commands wait in a queue. What arrives while an append is in flight is decided meanwhile, in order, each on the
tentative state that those before it leave, and appended next as one batch, on the condition that the log ends where
that state began. Nobody is answered until the log has acknowledged all that the answer rests on; when an append is
refused, everything tentative is undone and decided again.

Invariants:
- With nothing in flight and nothing decided, the state is exactly the fold of the log up to its position.
- Every job is answered exactly once, in the order in which the jobs were decided.
- An append whose outcome is unknown is found out before anything else is appended.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from domain.decisions.dispatch import decide
from domain.draft import Decision, Refusal
from domain.errors import RefusalCode
from domain.limits import MAX_EVENTS_PER_COMMAND
from domain.service_commands import Judge, MarkLost
from domain.timestamps import after, seconds_between
from handlers.ports import LogUnavailableError
from handlers.writer.agent_liveness import Presence
from handlers.writer.appending import Conflicted, Rejected, Stored, Unsent, append, pause
from handlers.writer.batch import Group
from handlers.writer.batch_sizing import Linger
from handlers.writer.broker_link import Hearing
from handlers.writer.deferred_reads import Boundary
from handlers.writer.job_queue import JobQueue
from handlers.writer.jobs import FAULT, NOT_DECIDED, NOT_WRITER, OUTCOME_UNKNOWN, OVERLOADED, STOPPING, Answer, Job
from handlers.writer.refold import follow
from handlers.writer.replies import Answering
from projections.state.pool_state import is_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from domain.draft import EntityKey, EntityState
    from domain.rules import Rules
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, Codec, EventLog
    from handlers.writer.appending import Verdict

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

SLICE = 128
"""Commands decided, or events that came of them, before the event loop gets its turn.

Many at once take a quarter less time each than a few, which outweighs that an acknowledgement waits for them: 5 ms."""
WATCH_S = 1.0
"""How often at least overdue answers and the clock are looked at."""
STALL_S = 2.0
"""Waking up this much too late means that the process stood still, and heard nobody meanwhile."""
BEHIND_S = 5.0
"""A clock that is so much behind the log's last event was set back, or that event was written by a wrong one."""
_FAULT = Decision([], {}, refusal=FAULT)
_OF_SILENCE = (Judge, MarkLost)


class SupersededError(Exception):
    """Another service leads the pool now; this one must stop."""


class WriterLimits(NamedTuple):
    """What the writer takes on; durations in seconds."""

    queue_commands: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    reply_timeout_s: float = 5.0
    """After this a caller is told that the outcome is unknown."""
    linger_s: float = 0.0
    """How long at most to wait for the callers of the last batch to come back, before the next one goes."""
    outage_s: float = 2.0
    """An append that takes longer counts as a spell in which the pool could not hear its agents."""


class _Flight(NamedTuple):
    group: Group
    verdict: asyncio.Task[Verdict]
    started_s: float


class Writer:
    """Decides and appends for one pool. `run` is its life; everything else is called from the same event loop."""

    def __init__(
        self, memory: Memory, log: EventLog, codec: Codec, clock: Clock, rules: Rules, limits: WriterLimits
    ) -> None:
        self.memory = memory
        self.rules = rules
        self.presence = Presence(rules.lost_after_s)
        self.leader: str | None = None
        """The name under which this writer leads; seeing another one in the log ends it."""
        self.unled: Callable[[], None] = lambda: None
        """Called when the log has lost the record of this writer's lead."""
        self.hearing = Hearing(limits.outage_s)
        self.answering = Answering(memory, self.presence, clock, self.submit_first)
        self._log = log
        self._codec = codec
        self._clock = clock
        self._limits = limits
        self._queue = JobQueue(limits.queue_commands, limits.queue_bytes)
        self._open: Group | None = None
        self._flight: _Flight | None = None
        self._landed: Iterator[None] | None = None
        """Answers what the log has acknowledged, and not everybody was told yet."""
        self._wake = asyncio.Event()
        self._following = False
        self._stopping = False
        self._behind = False
        """Whether the clock is behind the log."""
        self._ended: Refusal | None = None
        """What everybody is told once nobody decides any more."""
        self._boundary = Boundary(memory)
        self._linger = Linger(limits.linger_s, self._wake.set)

    @property
    def queued(self) -> int:
        """Commands that wait to be decided."""
        return len(self._queue)

    @property
    def deaf(self) -> bool:
        """Whether the pool cannot be sure to hear its agents just now."""
        return self.hearing.deaf(self._clock.now())

    def submit(self, job: Job) -> None:
        """Queue a job; it is answered `overloaded` at once when the queue is full."""
        if self._ended is not None:
            job.done(Answer(self.memory.state.committed_position, (), None, self._ended))
            return
        if self._queue.offer(job):
            self._wake.set()
        else:
            job.done(Answer(self.memory.state.committed_position, (), None, OVERLOADED))

    def submit_first(self, job: Job) -> None:
        """Queue the service's own business ahead of everybody's, whatever the queue's length."""
        if self._ended is not None:
            job.done(Answer(self.memory.state.committed_position, (), None, self._ended))
            return
        self._queue.put_first(job)
        self._wake.set()

    def load(self, key: EntityKey, entity: EntityState) -> bool:
        """Bring an ended entity back into memory, as a look-up found it in the log; return whether it is there.

        What is alive, or was changed beyond what is folded here, comes to memory by folding only.
        """
        state = self.memory.state
        if entity.position <= state.committed_position and is_over(entity):
            state.load(key, entity)
        return state.knows(key)

    async def at_boundary(self, look: Callable[[Memory], _T]) -> _T:
        """Call `look` when the state is acknowledged as a whole, and return what it returns; it must not wait.

        Raises LogUnavailableError when the log does not acknowledge it in time.
        """
        if self._at_rest:
            return look(self.memory)
        future = self._boundary.ask(look, self._clock.now())
        self._wake.set()
        return await future

    def stop(self) -> None:
        """Let `run` return once everything queued is decided and answered; waiting claims end empty."""
        self._stopping = True
        self.answering.end_all_waits()
        self._wake.set()

    async def run(self) -> None:
        """Decide and append until stopped.

        Raises:
            SupersededError: another service leads the pool.
        """
        watch = asyncio.create_task(self._watch())
        ended = NOT_DECIDED
        try:
            while True:
                self._wake.clear()
                if self._flight is not None and self._flight.verdict.done():
                    await self._land(self._flight)
                    # Before anything more is decided: a queue that never empties must not keep queries waiting.
                    self._run_boundary()
                self._decide_slice()
                self._launch()
                self._run_boundary()
                if self._queue and self._may_decide():
                    await asyncio.sleep(0)
                elif self._stopping and not self._queue and self._at_rest:
                    ended = STOPPING
                    return
                elif self.hearing.waits and self._at_rest and not self._queue:
                    await self._knock()
                else:
                    await self._wake.wait()
        except SupersededError:
            ended = NOT_WRITER
            raise
        finally:
            watch.cancel()
            self._end(ended)

    @property
    def _at_rest(self) -> bool:
        """Whether the state is acknowledged as a whole, and complete."""
        return self._flight is None and self._open is None and not self._following

    def _end(self, refusal: Refusal) -> None:
        """Tell everybody who still waits why nothing more is decided; what is in flight stays unknown."""
        self._ended = refusal
        for _ in self._landed or ():
            pass
        unknown: list[Job] = []
        if self._flight is not None:
            self._flight.verdict.cancel()
            unknown = self._flight.group.jobs
        decided = self._open.jobs if self._open is not None else ()
        undecided = [*decided, *self._queue, *self.answering.waiting.everything()]
        self._flight = self._open = None
        self._queue.clear()
        self.memory.state.undo()
        position = self.memory.state.position
        for job in unknown:
            job.done(Answer(position, (), None, OUTCOME_UNKNOWN))
        for job in undecided:
            self._give_up(job, refusal)
        self._following = False
        self._run_boundary()

    def _give_up(self, job: Job, refusal: Refusal) -> None:
        """Tell why a job is not carried out; where an earlier append of it stands, that it is not known how it ends."""
        job.done(Answer(self.memory.state.position, (), None, OUTCOME_UNKNOWN if job.prior else refusal))

    # Deciding

    def _may_decide(self) -> bool:
        """Return whether the next job may be decided now: its group has room, and nobody waits for a boundary."""
        if self._open is None:
            return not self._boundary or self._flight is None
        return not self._open.full and not self._boundary

    def _decide_slice(self) -> None:
        """Decide the next jobs in the queue into the open group."""
        if not self._queue or not self._may_decide():
            return
        state, loop = self.memory.state, asyncio.get_running_loop()
        started_s = loop.time()
        now = max(self._clock.now(), state.last_time)
        group = self._open
        if group is None:
            tail = self._flight.group.tail_hash if self._flight is not None else self.memory.tail_hash
            group = self._open = Group(state.position, self._linger.most, tail, state.last_time)
        for _ in range(min(SLICE, len(self._queue))):
            if len(group.unencoded) >= SLICE:
                break
            job = self._queue.first
            if group.full or (job.alone and group.jobs):
                group.closed = True
                break
            self._queue.pop()
            if self._out_of_date(job):
                continue
            if job.waits_until is not None and job.waits_until <= now:
                self.answering.end_wait(job)
                continue
            decision = self._decide(job, now)
            if not group.has_room_for(len(decision.records)):
                self._queue.put_first(job)
                group.closed = True
                break
            state.apply(decision)
            group.add(job, decision)
        group.seal(self._codec, state.last_time)
        group.deciding_s += loop.time() - started_s
        if not group.jobs:
            self._open = None

    def _decide(self, job: Job, now: datetime) -> Decision:
        if job.request.agent_id is not None and job.waits_until is None:
            self.presence.heard(job.request.agent_id, now)
        command = job.request.command
        if isinstance(command, _OF_SILENCE) and (self.deaf or not self._still_silent(command)):
            return Decision([], {}, {})
        try:
            decision = decide(self.memory.state, job.request, now, self.rules)
        except Exception:  # noqa: BLE001 - a fault in the rules must cost one command, not the pool
            _LOG.exception("could not decide %s for %s", job.request.verb, job.request.actor)
            return _FAULT
        if len(decision.records) > MAX_EVENTS_PER_COMMAND:
            _LOG.error("%s for %s came to %d events", job.request.verb, job.request.actor, len(decision.records))
            return _FAULT
        return decision

    def _still_silent(self, command: Judge | MarkLost) -> bool:
        return isinstance(command, Judge) or self.presence.is_silent(command.agent_id, self._clock.now())

    def _out_of_date(self, job: Job) -> bool:
        """Send a job to be looked up again if something that it names has left memory, or may have, since."""
        state = self.memory.state
        if job.look_up is None or state.knows_all(job.names):
            return False
        for name in job.names:
            if not state.knows(name) and (name not in job.absent or job.known_at < state.evicted_through):
                job.look_up(job)
                return True
        return False

    # Appending

    def _launch(self) -> None:
        """Send the open group off, unless one is in flight or its callers' fellows are worth a moment."""
        group = self._open
        if group is None:
            return
        if self._flight is not None:
            self._log.stage(group.messages, expected_position=group.base)
            return
        if not group.messages:
            # Nothing was in flight, so its refusals rest on acknowledged state alone.
            self._open = None
            for _ in self.answering.answer(group):
                pass
            return
        if self._linger.holds(group):
            return
        self._open = None
        self._linger.launched()
        loop = asyncio.get_running_loop()
        verdict = loop.create_task(append(self._log, self._clock, group.messages, group.base))
        verdict.add_done_callback(lambda _: self._wake.set())
        self.hearing.asked(self._clock.now())
        self._flight = _Flight(group, verdict, loop.time())

    async def _land(self, flight: _Flight) -> None:
        """Act on what became of the group in flight."""
        self._flight = None
        verdict = flight.verdict.result()
        group = flight.group
        match verdict:
            case Stored():
                waiting = len(self._queue) + (len(self._open.jobs) if self._open is not None else 0)
                self._linger.landed(len(group.jobs) + waiting, asyncio.get_running_loop().time() - flight.started_s)
                self.hearing.answered(self._clock.now())
                self.answering.commit(group)
                self._landed = self.answering.answer(group)
                if self._open is not None and self._open.messages and not group.stirs:
                    # The broker is not kept waiting for the next group while the callers of this one are answered;
                    # but what waits for work is to be decided again before that.
                    self._launch()
                    await asyncio.sleep(0)
                for _ in self._landed:
                    await asyncio.sleep(0)
                self._landed = None
            case Conflicted():
                self._undo(group)
                await self._follow()
                self.hearing.answered(self._clock.now())
            case Rejected(reason):
                self.hearing.answered(self._clock.now())
                self._reject(group, reason)
            case Unsent():
                self._undo(group)
                await pause(self._clock)

    async def _knock(self) -> None:
        """Ask the broker whether it is back; with nothing to append nobody else would."""
        try:
            await self._log.last_position()
        except LogUnavailableError:
            await pause(self._clock)
        else:
            self.hearing.answered(self._clock.now())

    def _undo(self, group: Group) -> None:
        """Take back everything tentative; its jobs are decided again, in their order."""
        opened, self._open = self._open, None
        self.memory.state.undo()
        jobs = [*group.jobs, *(opened.jobs if opened is not None else ())]
        for job in reversed(jobs):
            self._queue.put_first(job)

    def _reject(self, group: Group, reason: str) -> None:
        """Refuse the one command that the broker will not take; try those that shared its append one by one."""
        _LOG.error("the broker rejected an append of %d events: %s", len(group.messages), reason)
        guilty = group.jobs[0] if len(group.jobs) == 1 else None
        for job in group.jobs:
            job.alone = True
        self._undo(group)
        if guilty is not None:
            self._queue.pop()
            refusal = Refusal(RefusalCode.INVALID_COMMAND, f"the broker does not take it: {reason}", {"fields": []})
            self._give_up(guilty, refusal)

    async def _follow(self) -> None:
        """Fold what others appended. Raises SupersededError if one of them leads the pool now."""
        self._following = True
        followed = await follow(self.memory, self._log, self._clock, self._forget_lookups)
        if self.leader is not None:
            other = followed.superseding(self.leader)
            if other is not None:
                msg = f"{other} leads the pool"
                raise SupersededError(msg)
            if followed.rebuilt and self.leader not in followed.leads:
                self.unled()
        # What was undone may have hidden work from a claim that was then parked.
        self.answering.resubmit(self.answering.waiting.everything())
        self._following = False

    def _forget_lookups(self) -> None:
        """What was looked for in the log that was is not known of the one that is."""
        for job in self._queue:
            job.known_at = -1

    def _run_boundary(self) -> None:
        if self._boundary and self._at_rest:
            self._boundary.reached()

    async def _watch(self) -> None:
        """Tell callers in time when nobody knows yet what became of their commands, and notice a standstill."""
        pause_s = min(self._limits.reply_timeout_s / 4, WATCH_S)
        while True:
            now = self._clock.now()
            self._answer_overdue(now)
            self.answering.end_waits(now)
            self._compare_clock(now)
            await self._clock.sleep_until(after(now, pause_s))
            late_s = seconds_between(now, self._clock.now()) - pause_s
            if late_s > STALL_S:
                _LOG.warning("the service stood still for %.1f s", late_s)
                self.hearing.outage(late_s)

    def _compare_clock(self, now: datetime) -> None:
        """Say once that the clock is behind: times in a log never go back, so the pool's time stands still."""
        behind_s = seconds_between(now, self.memory.state.last_time)
        was_behind, self._behind = self._behind, behind_s > BEHIND_S
        if self._behind and not was_behind:
            _LOG.warning(
                "this clock is %.0f s behind the log's last event; nothing expires until it has caught up", behind_s
            )

    def _answer_overdue(self, now: datetime) -> None:
        timeout_s = self._limits.reply_timeout_s
        decided = [group for group in (self._flight and self._flight.group, self._open) if group is not None]
        for group in decided:
            for job in group.jobs:
                if job.overdue is not None and seconds_between(job.received_at, now) >= timeout_s:
                    overdue, job.overdue = job.overdue, None
                    overdue(job)
        if self._boundary.give_up(now, timeout_s):
            self._wake.set()
        for job in self._queue.drop_late(now, timeout_s):
            job.done(Answer(self.memory.state.committed_position, (), None, NOT_DECIDED))
