"""Acts when something falls due: leases, deadlines, stale holders, silent agents, waiting claims.

It does not poll: it sleeps until the next due moment that the views know of, and wakes early when an append brings an
earlier one. The interval only re-checks. What it decides goes through the writer like everybody's commands, so it
races with nobody; a task that was heard meanwhile is simply no longer due.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Protocol

from domain.actors import SWEEPER
from domain.draft import Request
from domain.due import due_at
from domain.lifecycles import AgentStatus
from domain.policies.probes import MAX_EXTENSIONS
from domain.service_commands import Extend, Judge, MarkLost
from domain.timestamps import after
from handlers.writer.jobs import Answer, Job

if TYPE_CHECKING:
    from datetime import datetime

    from domain.service_commands import ServiceCommand
    from domain.task import Lease, Task
    from handlers.ports import Clock
    from handlers.writer.writer import Writer

_LOG = logging.getLogger(__name__)

AT_ONCE = 200
"""Tasks judged in one command; each takes two events at the most."""
RECHECK_S = 1.0
"""Pause before what could not be judged, because the pool was deaf just then, is looked at again."""


class Probe(Protocol):
    """Pleads for a silent lease with evidence from outside the pool."""

    @property
    def name(self) -> str:
        """The name that the `extended` event records."""
        ...

    async def evidence(self, task: Task, lease: Lease) -> tuple[str, ...]:
        """Return what speaks for work going on; empty for nothing. Never raises, and ends within its own limit."""
        ...


class Sweeper:
    """The pool's clockwork."""

    def __init__(self, writer: Writer, clock: Clock, *, interval_s: float, probe: Probe | None = None) -> None:
        self._writer = writer
        self._clock = clock
        self._interval_s = interval_s
        self._probe = probe
        self._wake = asyncio.Event()
        self._planned: datetime | None = None
        self._excluded: dict[str, datetime] = {}
        self._probing: set[asyncio.Task[None]] = set()
        self.findings: dict[str, int] = {}
        """What judging came to so far, by the name of the finding."""

    def look_again(self) -> None:
        """Wake up if something falls due before the planned moment; called after each append."""
        planned, writer = self._planned, self._writer
        if planned is None:
            self._wake.set()
            return
        waiting, lost = writer.answering.waiting.next_at(), writer.presence.next_at()
        if (
            (waiting is not None and waiting < planned)
            or (lost is not None and lost < planned)
            or writer.memory.state.may_fall_due_before(planned)
        ):
            due = self._next_due()
            if due is not None and due < planned:
                self._wake.set()

    async def run(self) -> None:
        """Judge what is due, until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 - the clockwork must not stop; what was due is still due
                _LOG.exception("a sweep failed")
            now = self._clock.now()
            planned = after(now, self._interval_s)
            due = self._next_due()
            if due is not None and due < planned:
                # What is due and could not be judged must not spin.
                planned = due if due > now and not self._writer.deaf else after(now, RECHECK_S)
            self._planned = planned
            await self._sleep_until(planned)

    async def sweep(self) -> None:
        """Judge everything that is due now."""
        now = self._clock.now()
        self._writer.answering.end_waits(now)
        if self._writer.deaf:
            return
        await self._mark_lost(now)
        self._excluded = {task_id: until for task_id, until in self._excluded.items() if until > now}
        while True:
            state = self._writer.memory.state
            due = [each for each in state.due(now, AT_ONCE + len(self._excluded)) if each not in self._excluded]
            due = [task_id for task_id in due[:AT_ONCE] if not self._plead(task_id, now)]
            if not due:
                return
            await self._judge(due, now)

    async def _mark_lost(self, now: datetime) -> None:
        silent = self._writer.presence.silent(now)
        await asyncio.gather(*(self._ask(MarkLost(agent_id, silence_s), "lost") for agent_id, silence_s in silent))
        agents = self._writer.memory.state.agents
        for agent_id, _ in silent:
            agent = agents.get(agent_id)
            if agent is None or agent.status is not AgentStatus.LIVE:
                self._writer.presence.forget(agent_id)

    async def _judge(self, due: list[str], now: datetime) -> bool:
        """Judge these tasks; return whether anything came of it. What nothing comes of is set aside for a while."""
        answer = await self._ask(Judge(tuple(due)), "judge")
        if answer.refusal is not None and len(due) > 1:
            # One task that cannot be judged must not stop the sweep: find it by judging each alone.
            return any([await self._judge([task_id], now) for task_id in due])
        for finding, count in (answer.result or {}).items():
            self.findings[finding] = self.findings.get(finding, 0) + count
        if answer.refusal is not None:
            _LOG.error("task %s could not be judged: %s", due[0], answer.refusal.message)
            self._excluded |= dict.fromkeys(due, after(now, self._interval_s))
        elif not answer.records:
            self._excluded |= dict.fromkeys(due, after(now, RECHECK_S))
        return bool(answer.records)

    def _plead(self, task_id: str, now: datetime) -> bool:
        """Let the probe look before the lease is judged; return whether the judgement has to wait for it."""
        probe = self._probe
        task = self._writer.memory.state.tasks.get(task_id)
        lease = task.lease if task is not None else None
        if probe is None or task is None or lease is None or not task.ticking or lease.extensions >= MAX_EXTENSIONS:
            return False
        deadline = task.definition.deadline
        if deadline is not None and deadline < now:
            return False
        self._excluded[task_id] = after(now, self._interval_s)
        work = asyncio.get_running_loop().create_task(self._probed(probe, task, lease))
        self._probing.add(work)
        work.add_done_callback(self._probing.discard)
        return True

    async def _probed(self, probe: Probe, task: Task, lease: Lease) -> None:
        try:
            evidence = await probe.evidence(task, lease)
        except Exception:  # noqa: BLE001 - a broken probe pleads for nobody, and judges nobody
            _LOG.exception("the probe %s failed on task %s", probe.name, task.task_id)
            evidence = ()
        answer: Answer | None = None
        if evidence:
            answer = await self._ask(Extend(task.task_id, lease.token, probe.name, evidence), "extend")
        if (answer is not None and answer.records) or await self._judge([task.task_id], self._clock.now()):
            self._excluded.pop(task.task_id, None)
        self._wake.set()

    async def _ask(self, command: ServiceCommand, verb: str) -> Answer:
        return await ask(self._writer, self._clock, command, SWEEPER, verb)

    def _next_due(self) -> datetime | None:
        writer = self._writer
        moments = (self._next_judgement(), writer.presence.next_at(), writer.answering.waiting.next_at())
        return min((moment for moment in moments if moment is not None), default=None)

    def _next_judgement(self) -> datetime | None:
        """Return when a task falls due, those set aside for now left out, or when the first of them comes back."""
        state = self._writer.memory.state
        if not self._excluded:
            return state.next_due_at()
        moments = [min(self._excluded.values())]
        for task_id in state.due(after(self._clock.now(), self._interval_s), len(self._excluded) + 1):
            task = state.tasks.get(task_id)
            moment = due_at(task, state.pool, state.rules) if task is not None else None
            if task_id not in self._excluded and moment is not None:
                moments.append(moment)
                break
        return min(moments)

    async def _sleep_until(self, planned: datetime) -> None:
        self._wake.clear()
        sleep = asyncio.ensure_future(self._clock.sleep_until(planned))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleep, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not sleep.done():
                self._planned = None
            sleep.cancel()
            wake.cancel()


async def ask(writer: Writer, clock: Clock, command: ServiceCommand, actor: str, verb: str) -> Answer:
    """Put a command of the service's own through the writer and return its answer."""
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def done(_: Job, answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    request = Request(command, actor, uuid.uuid4().hex, verb=verb)
    writer.submit_first(Job(request, done, clock.now()))
    return await answered
