"""How a simulated agent works on a task: step by step with reports, and with the incident of the task's script."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from custody_demo.plan import Script

if TYPE_CHECKING:
    from random import Random

    from custody_demo.demo_context import DemoContext


class Crash(Exception):  # noqa: N818 - a simulated crash is no error of the program
    """The agent crashes in the middle of what it does."""

    def __init__(self, *, restart: bool) -> None:
        super().__init__()
        self.restart = restart


class HandedBack(Exception):  # noqa: N818 - a way out of the work, no error
    """The agent gave the task back before its end."""


class Worker(Protocol):
    """What the work needs of the agent that does it."""

    name: str
    context: DemoContext
    random: Random

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
    """Work on a task until it is done, given back or lost, or the agent crashes.

    Raises:
        CustodyRefusedError: a command was refused, such as after the task was lost.
        HandedBack: the agent gave it back.
        Crash: the agent crashes.
    """
    await _Attempt(agent, lease).run()


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

    async def run(self) -> None:
        """Do the remaining steps."""
        await self._follow((await self._ask("start"))["directive"])
        if self._script is Script.POISON:
            await asyncio.sleep(self._step_s)
            await self._agent.awake()
            self._agent.crash(restart=True)
        incident_at = min(self._done + 2, self._steps - 1)
        while self._done < self._steps:
            await asyncio.sleep(self._step_s * self._agent.random.uniform(0.8, 1.2))
            if self._done == incident_at:
                await self._run_incident()
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
        await self._follow(answer["directive"])

    async def _follow(self, directive: str) -> None:
        if directive == "hand_over":
            await self._give_back("asked to hand over")
        if directive == "stop":
            raise HandedBack

    async def _run_incident(self) -> None:
        """Run the incident of the script: once for a task, but every time for a hopeless one."""
        await self._agent.awake()
        timings = self._agent.context.plan.timings
        if self._script is Script.HOPELESS:
            await self._fail("the build is broken: 3 errors")
        if self._script is Script.PLAIN or not self._agent.context.first_time(self._task_id):
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
                await self._ask("silence", for_s=timings.nap_s, reason="the full build, which says nothing")
                await asyncio.sleep(timings.nap_s)
            case Script.LATE:
                self._agent.fall_silent(timings.nap_s)
                self._done = self._steps
            case Script.NAP:
                self._agent.fall_silent(timings.long_nap_s)
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
