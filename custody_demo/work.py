"""How a simulated agent works on a task: step by step with reports, and by the task's script what goes wrong."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from custody_demo.plan import Script

if TYPE_CHECKING:
    from random import Random

    from custody_demo.world import World


class Crash(Exception):  # noqa: N818 - what happens to an agent is no error of the program
    """The agent dies in the middle of what it does."""

    def __init__(self, *, restart: bool) -> None:
        super().__init__()
        self.restart = restart


class HandedBack(Exception):  # noqa: N818 - a way out of the work, no error
    """The agent has let go of the task before its end."""


class Worker(Protocol):
    """What the work needs of the agent that does it."""

    name: str
    world: World
    chance: Random

    async def awake(self) -> None:
        """Wait until the agent is not silent."""
        ...

    async def ask(self, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command as this agent once it is awake, and return the result. Raises CustodyError."""
        ...

    def crash(self, *, restart: bool) -> NoReturn:
        """End the agent in the middle of everything. Raises Crash."""
        ...

    def fall_silent(self, for_s: float) -> None:
        """Send nothing for a while; the work goes on."""
        ...


async def work(agent: Worker, lease: dict[str, Any]) -> None:
    """Work on a task until it is done, given back, lost or the agent dies.

    Raises:
        CustodyRefusedError: the task was lost meanwhile, say.
        HandedBack: the agent let go of it.
        Crash: the agent dies.
    """
    await _Attempt(agent, lease).make()


class _Attempt:
    def __init__(self, agent: Worker, lease: dict[str, Any]) -> None:
        self._agent = agent
        self._task_id: str = lease["task_id"]
        self._ids = {"task_id": lease["task_id"], "token": lease["token"]}
        self._script = Script(lease["payload"]["script"])
        self._steps: int = lease["payload"]["steps"]
        self._step_s: float = lease["payload"]["step_s"]
        checkpoint = (lease["handoff"] or {}).get("last_checkpoint") or {}
        self._done: int = checkpoint.get("steps_done", 0)

    async def make(self) -> None:
        """Go through the steps that are left."""
        await self._obey((await self._ask("start"))["directive"])
        if self._script is Script.POISON:
            await asyncio.sleep(self._step_s)
            await self._agent.awake()
            self._agent.crash(restart=True)
        trouble_at = min(self._done + 2, self._steps - 1)
        while self._done < self._steps:
            await asyncio.sleep(self._step_s * self._agent.chance.uniform(0.8, 1.2))
            if self._done == trouble_at:
                await self._trouble()
            self._done += 1
            if self._done < self._steps:
                await self._report()
        await self._ask("complete", result={"steps": self._steps, "by": self._agent.name})

    async def _report(self) -> None:
        answer = await self._ask(
            "progress",
            percent=round(100 * self._done / self._steps),
            message=f"step {self._done} of {self._steps}",
            checkpoint={"steps_done": self._done},
        )
        await self._obey(answer["directive"])

    async def _obey(self, directive: str) -> None:
        if directive == "hand_over":
            await self._give_back("asked to hand over")
        if directive == "stop":
            raise HandedBack

    async def _trouble(self) -> None:
        """Meet what the script has in store: once for a task, but a hopeless one fails always."""
        await self._agent.awake()
        pace = self._agent.world.plan.pace
        if self._script is Script.HOPELESS:
            await self._fail("the build is broken: 3 errors")
        if self._script is Script.PLAIN or not self._agent.world.first_time(self._task_id):
            return
        match self._script:
            case Script.FLAKY:
                await self._fail("1 of 214 tests failed")
            case Script.HANDOFF:
                await self._give_back("needs someone who knows the old schema")
            case Script.BLOCK:
                await self._ask("block", reason="needs a decision: MIT or Apache?")
                raise HandedBack
            case Script.QUIET:
                await self._ask("silence", for_s=pace.nap_s, reason="the full build, which says nothing")
                await asyncio.sleep(pace.nap_s)
            case Script.LATE:
                self._agent.fall_silent(pace.nap_s)
                self._done = self._steps
            case Script.NAP:
                self._agent.fall_silent(pace.long_nap_s)
            case Script.DOOMED:
                self._agent.crash(restart=False)
            case _:
                return

    async def _fail(self, error: str) -> None:
        await self._ask("fail", error=error)
        raise HandedBack

    async def _give_back(self, reason: str) -> None:
        await self._ask("release", reason=reason, checkpoint={"steps_done": self._done})
        raise HandedBack

    async def _ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        return await self._agent.ask(verb, {**self._ids, **fields})
