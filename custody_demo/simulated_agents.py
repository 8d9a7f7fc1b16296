"""Simulated agents: plain NATS clients that use the wire contract, each with its own connection and rights."""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from custody_demo.incidents import Incident
from custody_demo.plan import Mishap, seeded_random
from custody_demo.work import Crash, HandedBack, work
from infra.nats.contract_client import CustodyError, CustodyRefusedError

if TYPE_CHECKING:
    from custody_demo.demo_context import DemoContext, TimedClient
    from custody_demo.plan import AgentPlan

_POLL_S = 0.05
_IDLE_CPU, _CPU_PER_TASK, _MOST_CPU = 8.0, 17.0, 97.0
LATE_CODES = frozenset({"stale_token", "task_finished"})
"""Error codes for a command on a task that its sender has lost."""


class Condition(StrEnum):
    """The agent's own condition, which the service cannot see."""

    UP = "up"
    SILENT = "silent"
    CRASHED = "crashed"


class _Job(NamedTuple):
    token: int
    doing: asyncio.Task[None]


class SimulatedAgent:
    """One agent, through all its restarts."""

    def __init__(self, plan: AgentPlan, context: DemoContext) -> None:
        self.plan = plan
        self.name = plan.name
        self.context = context
        self.condition = Condition.UP
        self.random = seeded_random(context.plan.seed, plan.name)
        self._jobs: dict[str, _Job] = {}
        self._mishaps = list(plan.mishaps)
        self._awake = asyncio.Event()
        self._slots = asyncio.Semaphore(plan.parallel)
        self._client: TimedClient | None = None
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Run; after a crash run again without any memory, unless the crash was for good."""
        await self.context.initial_tasks_submitted.wait()
        if not self.plan.hoards:
            await asyncio.sleep(self.context.plan.timings.beat_s * self.random.uniform(0.5, 1.5))
        while True:
            try:
                await self._run_once()
            except* Crash as crashes:
                restart = all(crash.restart for crash in _crashes_of(crashes))
            else:
                return
            held = ", ".join(sorted(self._jobs)) or "nothing"
            self.context.report(Incident.CRASHED, f"{self.name} crashed, holding {held}")
            self._jobs.clear()
            if not restart:
                return
            await asyncio.sleep(self.context.plan.timings.restart_s)
            self.context.report(Incident.RESTARTED, f"{self.name} started again, remembering nothing")

    async def awake(self) -> None:
        """Wait until the agent is not silent."""
        await self._awake.wait()

    async def ask(self, verb: str, body: dict[str, Any] | None = None, *, wait_s: float = 0.0) -> dict[str, Any]:
        """Send a command as this agent once it is awake, and return the result. Raises CustodyError."""
        await self.awake()
        if self._client is None:
            msg = f"{self.name} is not connected"
            raise RuntimeError(msg)
        return await self._client.ask(f"agent.{self.name}.{verb}", body, wait_s=wait_s)

    def crash(self, *, restart: bool) -> NoReturn:
        """Crash at once; the exception Crash cancels everything that the agent is doing."""
        self.condition = Condition.CRASHED
        raise Crash(restart=restart)

    def fall_silent(self, for_s: float) -> None:
        """Send nothing for `for_s`; the work goes on meanwhile."""
        held = ", ".join(sorted(self._jobs)) or "nothing"
        self.context.report(Incident.SILENT, f"{self.name} fell silent, holding {held}")
        self.condition = Condition.SILENT
        self._awake.clear()
        asyncio.get_running_loop().call_later(for_s, self._wake)

    def _wake(self) -> None:
        if self.condition is Condition.SILENT:
            self.condition = Condition.UP
            self._awake.set()
            self.context.report(Incident.BACK, f"{self.name} is back and goes on as if nothing had happened")

    async def _run_once(self) -> None:
        nc = await self.context.connect(self.name, f"agent-{self.name}")
        try:
            self._client = self.context.client(nc)
            self._slots = asyncio.Semaphore(self.plan.parallel)
            self.condition = Condition.UP
            self._awake.set()
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._retried("register", self._registration())
                group.create_task(self._send_heartbeats())
                group.create_task(self._claim_work())
                group.create_task(self._run_mishaps())
        finally:
            self._group = None
            await nc.close()

    def _registration(self) -> dict[str, Any]:
        return {"capabilities": list(self.plan.capabilities), "capacity": self.plan.capacity}

    async def _send_heartbeats(self) -> None:
        """Send the load at regular intervals, and follow the directives in the reply."""
        beat_s = self.context.plan.timings.beat_s
        while True:
            await asyncio.sleep(beat_s * self.random.uniform(0.8, 1.2))
            if not self._awake.is_set():
                await self._awake.wait()
                # After a silence the work goes on first: the agent does not know yet what it has missed.
                continue
            busy = min(len(self._jobs), self.plan.parallel) + 3 * self.plan.hoards
            cpu = min(_IDLE_CPU + _CPU_PER_TASK * busy + self.random.uniform(-4, 4), _MOST_CPU)
            answer = await self._retried("heartbeat", {"load": {"cpu": round(cpu, 1), "memory": round(cpu / 2, 1)}})
            await self._follow(answer)

    async def _follow(self, answer: dict[str, Any]) -> None:
        for directive in answer["directives"]:
            if directive["do"] == "stop":
                self._cancel_job(directive["task_id"])
        for held in answer["leases"]:
            job = self._jobs.get(held["task_id"])
            if job is None or job.token != held["token"]:
                with contextlib.suppress(CustodyError):
                    self._start_job(await self.ask("lease", {"task_id": held["task_id"], "token": held["token"]}))

    async def _claim_work(self) -> None:
        """Claim tasks while there is capacity; a claim waits for tasks."""
        timings = self.context.plan.timings
        most = self.plan.capacity if self.plan.hoards else 1
        while True:
            room = self.plan.capacity - len(self._jobs)
            if room <= 0 or (self.plan.hoards and room < self.plan.capacity - self.plan.parallel):
                await asyncio.sleep(_POLL_S)
                continue
            try:
                answer = await self.ask(
                    "claim", {"max": min(most, room), "wait_s": timings.wait_s}, wait_s=timings.wait_s
                )
            except CustodyError:
                await asyncio.sleep(timings.beat_s)
                continue
            for lease in answer["leases"]:
                self._start_job(lease)

    async def _run_mishaps(self) -> None:
        """Run each mishap when it is due and the agent holds a task."""
        while self._mishaps:
            at_s, mishap = self._mishaps[0]
            await asyncio.sleep(max(at_s - self.context.elapsed_s(), _POLL_S))
            if self.context.elapsed_s() < at_s or not self._jobs or not self._awake.is_set():
                continue
            self._mishaps.pop(0)
            if mishap is Mishap.SILENCE:
                self.fall_silent(self.context.plan.timings.nap_s)
            else:
                self.crash(restart=mishap is Mishap.CRASH)

    def _start_job(self, lease: dict[str, Any]) -> None:
        task_id, token = lease["task_id"], lease["token"]
        job = self._jobs.get(task_id)
        if job is not None and job.token >= token:
            return
        self._cancel_job(task_id)
        if self._group is not None and self.condition is not Condition.CRASHED:
            self._jobs[task_id] = _Job(token, self._group.create_task(self._work(lease)))

    def _cancel_job(self, task_id: str) -> None:
        job = self._jobs.pop(task_id, None)
        if job is not None:
            job.doing.cancel()

    async def _work(self, lease: dict[str, Any]) -> None:
        task_id, token = lease["task_id"], lease["token"]
        try:
            async with self._slots:
                await work(self, lease)
        except HandedBack:
            pass
        except CustodyRefusedError as error:
            self.context.refusals[error.code] = self.context.refusals.get(error.code, 0) + 1
            if error.code in LATE_CODES:
                self.context.report(Incident.REFUSED, f"{task_id}: {self.name} is refused, {_why(error)}")
        except CustodyError:
            # No reply: the lease expires, and another agent goes on.
            pass
        job = self._jobs.get(task_id)
        if job is not None and job.token == token:
            del self._jobs[task_id]

    async def _retried(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send the command until it succeeds."""
        while True:
            try:
                return await self.ask(verb, body)
            except CustodyError:
                await asyncio.sleep(self.context.plan.timings.beat_s)


def _why(error: CustodyRefusedError) -> str:
    if error.code == "task_finished":
        return f"task_finished: it is {error.details.get('status')} already"
    holder = error.details.get("holder")
    return "stale_token: " + (f"{holder} holds it now" if holder else f"it is {error.details.get('status')} again")


def _crashes_of(group: BaseExceptionGroup[Crash]) -> list[Crash]:
    found: list[Crash] = []
    for each in group.exceptions:
        found.extend(_crashes_of(each) if isinstance(each, BaseExceptionGroup) else [each])
    return found
