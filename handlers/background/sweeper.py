"""The sweeper: acts on what falls due: leases, deadlines, stale holders, silent agents, waiting claims, delayed tasks.

It does not poll: it sleeps until the next due moment that the views know of, and wakes early when an append brings an
earlier one. The interval only re-checks. Its commands go through the writer like all others, so there is no race: a
task whose holder was heard meanwhile is no longer due.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from domain.actors import SWEEPER
from domain.commands.service_commands import EndDrain, Extend, Judge, MarkLost
from domain.due import due_at
from domain.lifecycles import AgentStatus
from domain.policies.probes import MAX_EXTENSIONS
from domain.timestamps import after, seconds_between
from handlers.ports import steadily_after

if TYPE_CHECKING:
    from datetime import datetime

    from domain.commands.service_commands import ServiceCommand
    from domain.task import Lease, Task
    from handlers.background.probe import Probe
    from handlers.ports import Clock, Steady
    from handlers.writer.jobs import Answer
    from handlers.writer.pool_access import PoolAccess

_LOG = logging.getLogger(__name__)

MAX_JUDGED = 200
"""Tasks judged in one command; each takes three events at the most, so that all fit into one batch. With 300, others
waited half as long again, and with 100 the sweep took half as long again; see docs/performance-parts.md."""
IN_FLIGHT = 2
"""Commands that judge at a time: one is decided while the other is appended. What others ask goes with the next."""
RECHECK_S = 1.0
"""Pause before what was due and could not be done is tried again."""


class _Plan(NamedTuple):
    """The moment of the next sweep, on the steady clock and in the pool's time."""

    steady: Steady
    pool: datetime


class Sweeper:
    """Judges what falls due in one pool."""

    def __init__(self, pool: PoolAccess, clock: Clock, *, interval_s: float, probe: Probe | None = None) -> None:
        self._pool = pool
        self._clock = clock
        self._interval_s = interval_s
        self._probe = probe
        self._wake = asyncio.Event()
        self._planned: _Plan | None = None
        """When the next sweep is planned; None while one runs."""
        self._set_aside: dict[str, Steady] = {}
        """Tasks that are not judged for a while: a probe looks at them, or judging changed nothing."""
        self._judging: set[str] = set()
        """Tasks that a command in flight judges."""
        self._looked_at = clock.steady()
        """When the last sweep looked what is due."""
        self._advanced = False
        """Whether a judgement of the last sweep made an event."""
        self._probing: set[asyncio.Task[None]] = set()
        self.findings: dict[str, int] = {}
        """How often judging came to each finding, by its name."""

    def look_again(self) -> None:
        """Wake up if something falls due before the planned moment; called after each append."""
        planned = self._planned
        if planned is None:
            self._wake.set()
            return
        timeout_at = self._pool.next_timeout_at()
        timed_out = timeout_at is not None and timeout_at < planned.steady
        delayed_at, drains = self._pool.next_delayed_at(), self._pool.state.drains_to_end()
        ready = delayed_at is not None and delayed_at < planned.pool
        if timed_out or ready or (drains and drains[0][0] < planned.pool):
            self._wake.set()
        elif self._pool.state.may_fall_due_before(planned.pool):
            due = self._next_judgement()
            if due is not None and due < planned.pool:
                self._wake.set()

    def plan_again(self) -> None:
        """Wake up in any case: the wall clock was set, so the planned moment may be wrong."""
        self._wake.set()

    async def run(self) -> None:
        """Judge what is due, until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 - the sweeper must go on; what was due is still due
                _LOG.exception("a sweep failed")
            await self._sleep(self._pause_s())

    def cancel_probes(self) -> list[asyncio.Task[None]]:
        """Cancel the probes that still run; return their tasks, which end soon."""
        probing = list(self._probing)
        for task in probing:
            task.cancel()
        return probing

    async def sweep(self) -> None:
        """Judge everything that is due now."""
        now, self._looked_at = self._pool.now, self._clock.steady()
        self._advanced = False
        self._pool.end_timed_out_waits()
        self._pool.release_delayed()
        if self._pool.cannot_judge:
            return
        await self._mark_lost()
        for at, agent_id in self._pool.state.drains_to_end():
            if at <= now:
                await self._ask(EndDrain(agent_id), "drain")
        steady = self._clock.steady()
        self._set_aside = {task_id: until for task_id, until in self._set_aside.items() if until > steady}
        while self._pool.state.settle_due(now):  # noqa: ASYNC110 # others get a turn; nothing is waited for
            await asyncio.sleep(0)
        await asyncio.gather(*(self._judge_due(now) for _ in range(IN_FLIGHT)))

    async def _judge_due(self, now: datetime) -> None:
        """Judge what is due, command by command, beside others that do the same."""
        while due := self._take_due(now):
            self._judging.update(due)
            try:
                await self._judge(due)
            finally:
                self._judging.difference_update(due)

    def _take_due(self, now: datetime) -> list[str]:
        """Return the tasks of the next command that judges."""
        skipped = self._set_aside.keys() | self._judging
        due = [each for each in self._pool.state.due(now, MAX_JUDGED + len(skipped)) if each not in skipped]
        return [task_id for task_id in due[:MAX_JUDGED] if not self._run_probe(task_id, now)]

    async def _mark_lost(self) -> None:
        silent = self._pool.silent_agents()
        lost = [MarkLost(agent_id, silence_s, self._pool.heard_at(agent_id)) for agent_id, silence_s in silent]
        await asyncio.gather(*(self._ask(command, "lost") for command in lost))
        agents = self._pool.state.agents
        for agent_id, _ in silent:
            agent = agents.get(agent_id)
            if agent is None or agent.status is not AgentStatus.LIVE:
                self._pool.forget_agent(agent_id)

    async def _judge(self, due: list[str]) -> bool:
        """Judge these tasks; return whether that made an event. If it did not, they are set aside for a while."""
        answer = await self._ask(Judge(tuple(due)), "judge")
        if answer.refusal is not None and len(due) > 1:
            # One task that cannot be judged must not stop the sweep: find it by judging each alone.
            return any([await self._judge([task_id]) for task_id in due])
        for finding, count in (answer.result or {}).items():
            self.findings[finding] = self.findings.get(finding, 0) + count
        if answer.refusal is not None:
            _LOG.error("task %s could not be judged: %s", due[0], answer.refusal.message)
            self._set_aside |= dict.fromkeys(due, self._steadily_in(self._interval_s))
        elif answer.records:
            self._advanced = True
        else:
            self._set_aside |= dict.fromkeys(due, self._steadily_in(RECHECK_S))
        return bool(answer.records)

    def _run_probe(self, task_id: str, now: datetime) -> bool:
        """Let the probe look before the lease is judged; return whether the judgement has to wait for it."""
        probe = self._probe
        task = self._pool.state.tasks.get(task_id)
        lease = task.lease if task is not None else None
        if probe is None or task is None or lease is None or not task.ticking or lease.extensions >= MAX_EXTENSIONS:
            return False
        deadline = task.definition.deadline
        if deadline is not None and deadline < now:
            return False
        self._set_aside[task_id] = self._steadily_in(self._interval_s)
        work = asyncio.get_running_loop().create_task(self._probe_then_judge(probe, task, lease))
        self._probing.add(work)
        work.add_done_callback(self._probing.discard)
        return True

    async def _probe_then_judge(self, probe: Probe, task: Task, lease: Lease) -> None:
        try:
            evidence = await probe.evidence(task, lease)
        except Exception:  # noqa: BLE001 - a broken probe finds nothing, and the lease is judged without it
            _LOG.exception("the probe %s failed on task %s", probe.name, task.task_id)
            evidence = ()
        answer: Answer | None = None
        if evidence:
            answer = await self._ask(Extend(task.task_id, lease.token, probe.name, evidence), "extend")
        if (answer is not None and answer.records) or await self._judge([task.task_id]):
            self._set_aside.pop(task.task_id, None)
        self._wake.set()

    async def _ask(self, command: ServiceCommand, verb: str) -> Answer:
        return await self._pool.ask(command, SWEEPER, verb)

    def _pause_s(self) -> float:
        """Return for how many seconds there is nothing to do, at most the interval."""
        pause_s, delayed_at = self._judging_pause_s(), self._pool.next_delayed_at()
        return pause_s if delayed_at is None else min(pause_s, max(seconds_between(self._pool.now, delayed_at), 0.0))

    def _judging_pause_s(self) -> float:
        """Return for how many seconds nothing falls due, at most the interval."""
        due, timeout_at = self._next_judgement(), self._pool.next_timeout_at()
        pauses_s = [self._interval_s]
        if drains := self._pool.state.drains_to_end():
            pauses_s.append(seconds_between(self._pool.now, drains[0][0]))
        if due is not None:
            pauses_s.append(seconds_between(self._pool.now, due))
        if timeout_at is not None:
            pauses_s.append(seconds_between(self._clock.steady(), timeout_at))
        pause_s = min(pauses_s)
        if pause_s < self._interval_s and self._pool.cannot_judge:
            return RECHECK_S
        if pause_s > 0:
            return pause_s
        # What fell due since the sweep looked comes next, also where a timer woke it a moment too early; what was due
        # before and cannot be done must not make a busy loop.
        passed_s = seconds_between(self._looked_at, self._clock.steady())
        fell_due_since = any(-passed_s < each <= 0 for each in pauses_s)
        if self._advanced or fell_due_since:
            return 0.0
        return min(RECHECK_S, *(each for each in pauses_s if each > 0))

    def _next_judgement(self) -> datetime | None:
        """Return when a task falls due that is not set aside, or when the first of those comes back; or earlier."""
        state = self._pool.state
        if not self._set_aside:
            return state.due_not_before()
        now = self._pool.now
        moments = [after(now, seconds_between(self._clock.steady(), min(self._set_aside.values())))]
        for task_id in state.due(after(now, self._interval_s), len(self._set_aside) + 1):
            task = state.tasks.get(task_id)
            moment = due_at(task, state.pool, state.rules) if task is not None else None
            if task_id not in self._set_aside and moment is not None:
                moments.append(moment)
                break
        return min(moments)

    def _steadily_in(self, seconds: float) -> Steady:
        return steadily_after(self._clock.steady(), seconds)

    async def _sleep(self, pause_s: float) -> None:
        self._planned = _Plan(steadily_after(self._clock.steady(), pause_s), after(self._pool.now, pause_s))
        self._wake.clear()
        sleep = asyncio.ensure_future(self._clock.sleep(pause_s))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleep, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._planned = None
            sleep.cancel()
            wake.cancel()
