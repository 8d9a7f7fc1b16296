"""The pool's writer: the one coroutine that decides, and the only one that appends.

Commands wait in a queue. What waits is decided together, in order, each on the tentative state that those before it
leave, and appended as one batch on the condition that the log ends where the state does. Until the log has
acknowledged the batch nobody is answered; a refused batch is undone as a whole and decided again.

Invariants:
- Outside an append, the state is exactly the fold of the log up to its position.
- Every job is answered exactly once, after what its answer rests on was acknowledged.
- An append whose outcome is unknown is found out before anything else happens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from domain.decisions import decide
from domain.draft import Decision, Refusal
from domain.errors import RefusalCode
from domain.events.agent import Deregistered, Lost
from domain.events.agent import Registered as AgentRegistered
from domain.events.pool import Led
from domain.events.task import Leased, Requeued, Stolen, Submitted
from domain.limits import MAX_EVENTS_PER_COMMAND
from domain.terms import lease_document
from domain.timestamps import after, seconds_between
from handlers.jobs import NOT_DECIDED, OVERLOADED, Answer, Job, unavailable
from handlers.memory import Memory, catch_up
from handlers.ports import (
    AppendConflictError,
    AppendRejectedError,
    LogUnavailableError,
    OutcomeUnknownError,
)
from handlers.presence import Presence
from handlers.waiting import WaitingClaims

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.draft import EntityKey, EntityState
    from domain.recorded import Recorded
    from domain.rules import Rules
    from handlers.ports import Clock, Codec, EventLog, NewMessage

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""A batch is closed once its bodies exceed this; one command's own events may."""
RETRY_S = 0.25
"""Pause before an unanswered append or look-up is sent again."""


_AGENT_CHANGES = frozenset({AgentRegistered, Deregistered, Lost})
_WAKING = _AGENT_CHANGES | {Submitted, Requeued, Leased, Stolen}
_FAULT = Decision([], {}, refusal=unavailable("an internal fault; nothing was done; please report it"))


_LINGER_PART = 0.5


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class SupersededError(Exception):
    """Another service leads the pool now; this one must stop."""


class WriterLimits(NamedTuple):
    """What the writer takes on; durations in seconds."""

    queue_commands: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    reply_timeout_s: float = 5.0
    """After this a caller is told that the outcome is unknown."""
    linger_s: float = 0.0
    """How long at most to wait for the callers of the last batch to come back, before the next one is closed.

    A batch costs the broker about the same whatever its size, so callers that come back a moment too late for one
    wait for two. Nobody lingers for a lone caller, nor for longer than a part of what an append takes.
    """
    outage_s: float = 2.0
    """An append that takes longer counts as a spell in which the pool could not hear its agents."""


class _Group(NamedTuple):
    base: int
    jobs: list[Job]
    decisions: list[Decision]
    messages: list[NewMessage]
    tail_hash: str | None


class Writer:
    """Decides and appends for one pool. `run` is its life; everything else is called from the same event loop."""

    def __init__(
        self, memory: Memory, log: EventLog, codec: Codec, clock: Clock, rules: Rules, limits: WriterLimits
    ) -> None:
        self.memory = memory
        self.rules = rules
        self.waiting = WaitingClaims()
        self.presence = Presence(rules.lost_after_s)
        self.leader: str | None = None
        """The name under which this writer leads; seeing another one in the log ends it."""
        self._log = log
        self._codec = codec
        self._clock = clock
        self._limits = limits
        self._queue: deque[Job] = deque()
        self._queued_bytes = 0
        self._in_flight: _Group | None = None
        self._wake = asyncio.Event()
        self._gathered: asyncio.Future[None] | None = None
        self._expected_jobs = 0
        self._append_s = 0.0
        self._stopping = False
        self._boundary: list[Callable[[], None]] = []
        self.committed: Callable[[], None] = lambda: None
        """Called after each acknowledged group; the sweeper looks whether something falls due earlier."""
        self.outage: Callable[[float], None] = lambda _blind_s: None
        """Called with the seconds of a spell in which the log did not answer."""

    @property
    def queued(self) -> int:
        """Commands that wait to be decided."""
        return len(self._queue)

    def submit(self, job: Job) -> None:
        """Queue a job; it is answered `overloaded` at once when the queue is full."""
        limits = self._limits
        if len(self._queue) >= limits.queue_commands or self._queued_bytes + job.size > limits.queue_bytes:
            job.done(Answer(self.memory.state.position, (), None, OVERLOADED))
            return
        self._queue.append(job)
        self._queued_bytes += job.size
        self._wake.set()
        if self._gathered is not None and len(self._queue) >= self._expected_jobs and not self._gathered.done():
            self._gathered.set_result(None)

    def submit_first(self, job: Job) -> None:
        """Queue the service's own business ahead of everybody's, whatever the queue's length."""
        self._queue.appendleft(job)
        self._queued_bytes += job.size
        self._wake.set()

    def load(self, key: EntityKey, entity: EntityState) -> None:
        """Bring an ended entity back into memory, as a look-up found it in the log."""
        self.memory.state.load(key, entity)

    async def at_boundary(self, look: Callable[[Memory], _T]) -> _T:
        """Call `look` when the state is acknowledged as a whole, and return what it returns; it must not wait."""
        if self._in_flight is None:
            return look(self.memory)
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

        def call() -> None:
            if not future.cancelled():
                try:
                    future.set_result(look(self.memory))
                except Exception as error:  # noqa: BLE001 - handed to the one who asked
                    future.set_exception(error)

        self._boundary.append(call)
        return await future

    def stop(self) -> None:
        """Let `run` return once everything queued is decided and answered; waiting claims end empty."""
        self._stopping = True
        for job in self.waiting.everything():
            self._end_wait(job)
        self._wake.set()

    async def run(self) -> None:
        """Decide and append until stopped.

        Raises:
            SupersededError: another service leads the pool.
        """
        watch = asyncio.create_task(self._watch_overdue())
        try:
            while True:
                if not self._queue:
                    if self._stopping:
                        return
                    self._wake.clear()
                    await self._wake.wait()
                    if len(self._queue) < self._expected_jobs and self._limits.linger_s > 0:
                        await self._linger()
                    continue
                await self._turn()
        finally:
            watch.cancel()

    async def _linger(self) -> None:
        """Wait for as many commands as the last batch had, but not for long."""
        loop = asyncio.get_running_loop()
        self._gathered = loop.create_future()
        patience_s = min(self._limits.linger_s, self._append_s * _LINGER_PART)
        timer = loop.call_later(patience_s, _resolve, self._gathered)
        try:
            await self._gathered
        finally:
            timer.cancel()
            self._gathered = None

    async def _turn(self) -> None:
        group = self._decide_group()
        if group.messages:
            self._in_flight = group
            started_s = asyncio.get_running_loop().time()
            try:
                stored = await self._settle(group)
            finally:
                self._in_flight = None
            if not stored:
                return
            self._append_s = asyncio.get_running_loop().time() - started_s
            self._expected_jobs = len(group.jobs)
        self._finish(group)
        self._run_boundary()
        # A turn without I/O would otherwise keep the loop to itself.
        await asyncio.sleep(0)

    # Deciding

    def _decide_group(self) -> _Group:
        state = self.memory.state
        now = max(self._clock.now(), state.last_time)
        group = _Group(state.position, [], [], [], None)
        tail, size = self.memory.tail_hash, 0
        while self._queue and size < MAX_BATCH_BYTES:
            job = self._queue[0]
            if group.messages and job.alone:
                break
            if self._out_of_date(job):
                self._pop()
                continue
            decision = self._decide(job, now)
            if len(group.messages) + len(decision.records) > MAX_EVENTS_PER_COMMAND:
                break
            if decision.records:
                messages, tail = self._codec.encode(decision.records, tail)
                size += sum(len(message.body) for message in messages)
                group.messages.extend(messages)
                state.apply(decision)
            self._pop()
            group.jobs.append(job)
            group.decisions.append(decision)
            if job.alone:
                break
        return group._replace(tail_hash=tail)

    def _decide(self, job: Job, now: datetime) -> Decision:
        if job.request.agent_id is not None:
            self.presence.heard(job.request.agent_id, now)
        try:
            decision = decide(self.memory.state, job.request, now, self.rules)
        except Exception:  # noqa: BLE001 - a fault in the rules must cost one command, not the pool
            _LOG.exception("could not decide %s for %s", job.request.verb, job.request.actor)
            return _FAULT
        if len(decision.records) > MAX_EVENTS_PER_COMMAND:
            _LOG.error("%s for %s came to %d events", job.request.verb, job.request.actor, len(decision.records))
            return _FAULT
        return decision

    def _out_of_date(self, job: Job) -> bool:
        """Send a job back to be looked up again if something that it names may have left memory since."""
        state = self.memory.state
        if job.look_up is None or job.known_at >= state.evicted_through:
            return False
        if all(state.knows(key) for key in job.names):
            return False
        job.look_up(job)
        return True

    def _pop(self) -> Job:
        job = self._queue.popleft()
        self._queued_bytes -= job.size
        return job

    # Appending

    async def _settle(self, group: _Group) -> bool:
        """Append the group; return True once it is known to be stored, False once it is known not to be and undone."""
        started = self._clock.now()
        maybe_stored = False
        while True:
            try:
                await self._log.append(group.messages, expected_position=group.base)
                break
            except AppendConflictError:
                verdict = await self._is_stored(group)
                if verdict is None:
                    await self._pause()
                    continue
                if verdict:
                    break
                self._undo(group)
                await self._follow()
                return False
            except AppendRejectedError as error:
                self._reject(group, str(error))
                return False
            except OutcomeUnknownError:
                maybe_stored = True
                await self._pause()
            except LogUnavailableError:
                if not maybe_stored:
                    self._undo(group)
                    await self._pause()
                    self._note_outage(started)
                    return False
                await self._pause()
        self._note_outage(started)
        return True

    async def _is_stored(self, group: _Group) -> bool | None:
        """Find out, after a conflict, whether the log holds this very group; None: ask again later.

        A conflict alone is no proof: an earlier send may have been stored, and a leader without a quorum counts
        what is not. A batch is stored whole or not at all, so its first message speaks for it.
        """
        first = group.messages[0]
        try:
            message = await self._log.get(group.base + 1)
            if message is not None:
                return message.subject == first.subject and message.body == first.body
            if await self._log.last_position() < group.base:
                return False
        except LogUnavailableError:
            return None
        return None

    async def _follow(self) -> None:
        """Fold what others appended; rebuild everything if the log ends before the state does."""
        while True:
            try:
                end = await self._log.last_position()
                if end < self.memory.state.position:
                    _LOG.critical(
                        "the log ends at %d, and position %d was acknowledged: the broker lost its tail; rebuilding",
                        end,
                        self.memory.state.position,
                    )
                    self.memory.reset()
                await catch_up(self.memory, self._log, until=end, seen=self._seen)
                break
            except LogUnavailableError:
                await self._pause()

    def _seen(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, Led) and self.leader is not None and event.leader != self.leader:
            msg = f"{event.leader} leads the pool since position {recorded.position}"
            raise SupersededError(msg)

    def _undo(self, group: _Group) -> None:
        self.memory.state.undo()
        self._in_flight = None
        for job in reversed(group.jobs):
            self._queue.appendleft(job)
            self._queued_bytes += job.size

    def _reject(self, group: _Group, reason: str) -> None:
        _LOG.error("the broker rejected an append of %d events: %s", len(group.messages), reason)
        if len(group.jobs) > 1:
            for job in group.jobs:
                job.alone = True
            self._undo(group)
            return
        self.memory.state.undo()
        refusal = Refusal(RefusalCode.INVALID_COMMAND, f"the broker does not take it: {reason}", {"fields": []})
        group.jobs[0].done(Answer(self.memory.state.position, (), None, refusal))

    def _note_outage(self, started: datetime) -> None:
        blind_s = seconds_between(started, self._clock.now())
        if blind_s > self._limits.outage_s:
            self.outage(blind_s)

    async def _pause(self) -> None:
        await self._clock.sleep_until(after(self._clock.now(), RETRY_S))

    # Answering

    def _finish(self, group: _Group) -> None:
        memory = self.memory
        memory.state.commit()
        if group.messages:
            memory.tail_hash = group.tail_hash
        for decision in group.decisions:
            for recorded in decision.records:
                memory.observe(recorded)
        for job, decision in zip(group.jobs, group.decisions, strict=True):
            self._answer(job, decision)
        for decision in group.decisions:
            for recorded in decision.records:
                self._wake_waiting(recorded)
        if group.messages:
            self.committed()

    def _answer(self, job: Job, decision: Decision) -> None:
        if decision.follow_up is not None:
            job.request = decision.follow_up
            job.prior.extend(decision.records)
            self._queue.appendleft(job)
            self._queued_bytes += job.size
            return
        if decision.waits and not self._stopping:
            self._park(job, decision)
            return
        records = [*job.prior, *decision.records] if job.prior else decision.records
        position = records[-1].position if records else self.memory.state.position
        job.done(Answer(position, records, decision.result, decision.refusal))

    def _park(self, job: Job, decision: Decision) -> None:
        request = job.request
        agent = self.memory.state.agent(request.agent_id or "")
        now = self._clock.now()
        wait_s = getattr(request.command, "wait_s", 0.0)
        until = job.waits_until or after(now, wait_s)
        job.prior.extend(decision.records)
        if agent is None or until <= now:
            self._end_wait(job)
        elif self.waiting.full(agent.agent_id):
            job.done(Answer(self.memory.state.position, (), None, OVERLOADED))
        else:
            job.waits_until = until
            self.waiting.park(job, agent.capabilities, until)
            self.committed()

    def end_waits(self, now: datetime) -> None:
        """Answer the waiting claims whose patience has ended."""
        for job in self.waiting.expired(now):
            self._end_wait(job)

    def _end_wait(self, job: Job) -> None:
        job.done(Answer(self.memory.state.position, job.prior, {"leases": []}, None))

    def _wake_waiting(self, recorded: Recorded) -> None:
        """Let waiting claims follow one acknowledged event: work came, was given, or its agent changed."""
        event = recorded.event
        kind = type(event)
        # By exact type: on models isinstance is slow, and this runs for every event.
        if kind not in _WAKING:
            return
        if kind in _AGENT_CHANGES:
            self._wake_agent(recorded)
        if not len(self.waiting):
            return
        if isinstance(event, Submitted | Requeued):
            task = self.memory.state.tasks.get(recorded.entity_id)
            if task is None or task.position != recorded.position:
                return
            job = self.waiting.for_task(frozenset(task.definition.required_capabilities))
            if job is not None:
                self.submit_first(job)
        elif isinstance(event, Leased | Stolen):
            self._give(event, recorded)

    def _wake_agent(self, recorded: Recorded) -> None:
        if isinstance(recorded.event, AgentRegistered):
            self.presence.heard(recorded.entity_id, recorded.time)
        else:
            self.presence.forget(recorded.entity_id)
        for job in self.waiting.all_of(recorded.entity_id):
            self.submit_first(job)

    def _give(self, event: Leased | Stolen, recorded: Recorded) -> None:
        """Answer a waiting claim of the agent that was given a task."""
        task = self.memory.state.tasks.get(recorded.entity_id)
        if task is None or task.lease is None or task.lease.token != event.token:
            return
        if recorded.actor == f"agent/{event.agent_id}":
            return
        job = self.waiting.of_agent(event.agent_id)
        if job is not None:
            lease = lease_document(task, recorded.time)
            job.done(Answer(self.memory.state.position, job.prior, {"leases": [lease]}, None))

    def _run_boundary(self) -> None:
        calls, self._boundary = self._boundary, []
        for call in calls:
            call()

    async def _watch_overdue(self) -> None:
        """Tell callers in time when nobody knows yet what became of their commands."""
        timeout_s = self._limits.reply_timeout_s
        while True:
            now = self._clock.now()
            self._answer_overdue(now)
            await self._clock.sleep_until(after(now, timeout_s / 4))

    def _answer_overdue(self, now: datetime) -> None:
        timeout_s = self._limits.reply_timeout_s
        for job in self._in_flight.jobs if self._in_flight is not None else ():
            if job.overdue is not None and seconds_between(job.received_at, now) >= timeout_s:
                overdue, job.overdue = job.overdue, None
                overdue()
        late = [job for job in self._queue if self._may_drop(job, now)]
        if late:
            dropped = set(map(id, late))
            self._queue = deque(job for job in self._queue if id(job) not in dropped)
            for job in late:
                self._queued_bytes -= job.size
                job.done(Answer(self.memory.state.position, (), None, NOT_DECIDED))

    def _may_drop(self, job: Job, now: datetime) -> bool:
        """Only what a caller asked, was never decided, and is late; parts of a command that began go on."""
        return (
            job.overdue is not None
            and not job.prior
            and job.waits_until is None
            and seconds_between(job.received_at, now) >= self._limits.reply_timeout_s
        )
