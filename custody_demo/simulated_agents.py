"""Simulated agents: bare NATS clients with their own connection and rights that speak the wire contract."""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from custody_demo.happenings import Happening
from custody_demo.plan import Mishap, seeded
from custody_demo.work import Crash, HandedBack, work
from infra.nats.contract_client import CustodyError, CustodyRefusedError

if TYPE_CHECKING:
    from custody_demo.plan import AgentPlan
    from custody_demo.world import Asker, World

_LOOK_S = 0.05
_IDLE_CPU, _CPU_PER_TASK, _MOST_CPU = 8.0, 17.0, 97.0
LATE_CODES = frozenset({"stale_token", "task_finished"})
"""How the service answers a command on a task that its sender has lost."""


class Condition(StrEnum):
    """How an agent is, which only it knows itself."""

    UP = "up"
    SILENT = "silent"
    CRASHED = "crashed"


class _Job(NamedTuple):
    token: int
    doing: asyncio.Task[None]


class SimulatedAgent:
    """One agent, through all its lives."""

    def __init__(self, plan: AgentPlan, world: World) -> None:
        self.plan = plan
        self.name = plan.name
        self.world = world
        self.condition = Condition.UP
        self.chance = seeded(world.plan.seed, plan.name)
        self._jobs: dict[str, _Job] = {}
        self._mishaps = list(plan.mishaps)
        self._awake = asyncio.Event()
        self._hands = asyncio.Semaphore(plan.hands)
        self._asker: Asker | None = None
        self._life: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Live; after a crash live again with nothing remembered, unless it was for good."""
        await self.world.opened.wait()
        if not self.plan.hoards:
            await asyncio.sleep(self.world.plan.pace.beat_s * self.chance.uniform(0.5, 1.5))
        while True:
            try:
                await self._live()
            except* Crash as crashes:
                restart = all(crash.restart for crash in _leaves(crashes))
            else:
                return
            held = ", ".join(sorted(self._jobs)) or "nothing"
            self.world.tell(Happening.CRASHED, f"{self.name} crashed, holding {held}")
            self._jobs.clear()
            if not restart:
                return
            await asyncio.sleep(self.world.plan.pace.restart_s)
            self.world.tell(Happening.RESTARTED, f"{self.name} started again, remembering nothing")

    async def awake(self) -> None:
        """Wait until the agent is not silent."""
        await self._awake.wait()

    async def ask(self, verb: str, body: dict[str, Any] | None = None, *, wait_s: float = 0.0) -> dict[str, Any]:
        """Send a command as this agent once it is awake, and return the result. Raises CustodyError."""
        await self.awake()
        if self._asker is None:
            msg = f"{self.name} is not connected"
            raise RuntimeError(msg)
        return await self._asker.ask(f"agent.{self.name}.{verb}", body, wait_s=wait_s)

    def crash(self, *, restart: bool) -> NoReturn:
        """Die on the spot, in the middle of everything; raises Crash through all that the agent is doing."""
        self.condition = Condition.CRASHED
        raise Crash(restart=restart)

    def fall_silent(self, for_s: float) -> None:
        """Send nothing for a while, and think on undisturbed."""
        held = ", ".join(sorted(self._jobs)) or "nothing"
        self.world.tell(Happening.SILENT, f"{self.name} fell silent, holding {held}")
        self.condition = Condition.SILENT
        self._awake.clear()
        asyncio.get_running_loop().call_later(for_s, self._wake)

    def _wake(self) -> None:
        if self.condition is Condition.SILENT:
            self.condition = Condition.UP
            self._awake.set()
            self.world.tell(Happening.BACK, f"{self.name} is back and goes on as if nothing had happened")

    async def _live(self) -> None:
        nc = await self.world.connect(self.name, f"agent-{self.name}", inbox_prefix=f"_INBOX.{self.name}")
        try:
            self._asker = self.world.client(nc)
            self._hands = asyncio.Semaphore(self.plan.hands)
            self.condition = Condition.UP
            self._awake.set()
            async with asyncio.TaskGroup() as life:
                self._life = life
                await self._retried("register", self._registration())
                life.create_task(self._beat())
                life.create_task(self._seek())
                life.create_task(self._suffer())
        finally:
            self._life = None
            await nc.close()

    def _registration(self) -> dict[str, Any]:
        return {"capabilities": list(self.plan.capabilities), "capacity": self.plan.capacity}

    async def _beat(self) -> None:
        """Tell the load every so often, and do as the answer says."""
        beat_s = self.world.plan.pace.beat_s
        while True:
            await asyncio.sleep(beat_s * self.chance.uniform(0.8, 1.2))
            if not self._awake.is_set():
                await self._awake.wait()
                # Whoever was silent lets its work go on first: it does not know yet what it has missed.
                continue
            busy = min(len(self._jobs), self.plan.hands) + 3 * self.plan.hoards
            cpu = min(_IDLE_CPU + _CPU_PER_TASK * busy + self.chance.uniform(-4, 4), _MOST_CPU)
            answer = await self._retried("heartbeat", {"load": {"cpu": round(cpu, 1), "memory": round(cpu / 2, 1)}})
            await self._obey(answer)

    async def _obey(self, answer: dict[str, Any]) -> None:
        for directive in answer["directives"]:
            if directive["do"] == "stop":
                self._drop(directive["task_id"])
        for held in answer["leases"]:
            job = self._jobs.get(held["task_id"])
            if job is None or job.token != held["token"]:
                with contextlib.suppress(CustodyError):
                    self._take(await self.ask("lease", {"task_id": held["task_id"], "token": held["token"]}))

    async def _seek(self) -> None:
        """Claim work while there is room for it; a claim waits for work to come."""
        pace = self.world.plan.pace
        most = self.plan.capacity if self.plan.hoards else 1
        while True:
            room = self.plan.capacity - len(self._jobs)
            if room <= 0 or (self.plan.hoards and room < self.plan.capacity - self.plan.hands):
                await asyncio.sleep(_LOOK_S)
                continue
            try:
                answer = await self.ask("claim", {"max": min(most, room), "wait_s": pace.wait_s}, wait_s=pace.wait_s)
            except CustodyError:
                await asyncio.sleep(pace.beat_s)
                continue
            for lease in answer["leases"]:
                self._take(lease)

    async def _suffer(self) -> None:
        """Meet each mishap when it is due and there is something to lose."""
        while self._mishaps:
            at_s, mishap = self._mishaps[0]
            await asyncio.sleep(max(at_s - self.world.elapsed_s(), _LOOK_S))
            if self.world.elapsed_s() < at_s or not self._jobs or not self._awake.is_set():
                continue
            self._mishaps.pop(0)
            if mishap is Mishap.SILENCE:
                self.fall_silent(self.world.plan.pace.nap_s)
            else:
                self.crash(restart=mishap is Mishap.CRASH)

    def _take(self, lease: dict[str, Any]) -> None:
        task_id, token = lease["task_id"], lease["token"]
        job = self._jobs.get(task_id)
        if job is not None and job.token >= token:
            return
        self._drop(task_id)
        if self._life is not None and self.condition is not Condition.CRASHED:
            self._jobs[task_id] = _Job(token, self._life.create_task(self._work(lease)))

    def _drop(self, task_id: str) -> None:
        job = self._jobs.pop(task_id, None)
        if job is not None:
            job.doing.cancel()

    async def _work(self, lease: dict[str, Any]) -> None:
        task_id, token = lease["task_id"], lease["token"]
        try:
            async with self._hands:
                await work(self, lease)
        except HandedBack:
            pass
        except CustodyRefusedError as error:
            self.world.refusals[error.code] = self.world.refusals.get(error.code, 0) + 1
            if error.code in LATE_CODES:
                self.world.tell(Happening.REFUSED, f"{task_id}: {self.name} is refused, {_why(error)}")
        except CustodyError:
            # No answer: the lease will run out, and somebody else goes on.
            pass
        job = self._jobs.get(task_id)
        if job is not None and job.token == token:
            del self._jobs[task_id]

    async def _retried(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask until there is an answer that is no refusal."""
        while True:
            try:
                return await self.ask(verb, body)
            except CustodyError:
                await asyncio.sleep(self.world.plan.pace.beat_s)


def _why(error: CustodyRefusedError) -> str:
    if error.code == "task_finished":
        return f"task_finished: it is {error.details.get('status')} already"
    holder = error.details.get("holder")
    return "stale_token: " + (f"{holder} holds it now" if holder else f"it is {error.details.get('status')} again")


def _leaves(group: BaseExceptionGroup[Crash]) -> list[Crash]:
    found: list[Crash] = []
    for each in group.exceptions:
        found.extend(_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    return found
