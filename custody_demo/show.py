"""One performance: the service, the fleet, the operator and whoever watches, from the first task to the checked log."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from custody_demo.log_check import Inspection, inspect_log
from custody_demo.mirror import Mirror
from custody_demo.operations import SimulatedOperator
from custody_demo.plain import PlainView
from custody_demo.screen import ScreenView
from custody_demo.simulated_agents import SimulatedAgent
from custody_demo.story import Story
from custody_demo.summary import Facts
from custody_demo.world import World
from infra.codec import CloudEventsCodec
from infra.nats import Auth, BrokerUnavailableError, NatsEventLog, connect
from infra.service.serving import PoolServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from rich.console import Console

    from custody_demo.log_check import Verdict
    from custody_demo.plan import Plan
    from domain.recorded import Recorded
    from domain.task import Task
    from infra.broker.embedded import EmbeddedBroker
    from infra.nats import NatsConnection
    from infra.settings.settings import Settings


class Show:
    """Brings everybody on stage, and looks at the log when they have left."""

    def __init__(self, plan: Plan, settings: Settings, broker: EmbeddedBroker) -> None:
        self._plan = plan
        self._settings = settings
        self._broker = broker
        self.world = World(plan, settings.pool, broker.url, broker.credentials, self._tell)
        self.story = Story(self.world.elapsed_s)
        self._codec = CloudEventsCodec(settings.pool)
        self._operator: SimulatedOperator | None = None
        self._mirror: Mirror | None = None
        self._all_at_rest = asyncio.Event()

    async def play(self, console: Console | None, say: Callable[[str], None]) -> Facts:
        """Play to the end; on the console's screen, or without one in lines.

        Raises BrokerError or LogUnavailableError.
        """
        settings, rules = self._settings, self._settings.rules()
        watcher = await connect(self._broker.url, name="demo-dashboard", auth=self._auth("operator"))
        server = PoolServer(settings, self._broker.url)
        mirror = self._mirror = Mirror(watcher, settings.pool, rules, self._codec, self._see)
        agents = [SimulatedAgent(each, self.world) for each in self._plan.agents]
        try:
            await mirror.listen()
            await server.start(self._auth, sync_interval=settings.broker_sync_interval)
            view = (
                PlainView(self.world, mirror, self.story, say)
                if console is None
                else ScreenView(self.world, mirror, self.story, agents, console)
            )
            try:
                await self._perform(server, mirror, agents, view.run())
            finally:
                took_s = self.world.elapsed_s()
                await server.stop()
            say("check     reading the whole log back from the broker")
            verdict = await self._inspected(watcher, server)
        finally:
            await watcher.close()
        durable = settings.broker_sync_interval == "always"
        return Facts(
            self._plan, verdict, self.story.tally, self.world.refusals, self.world.latencies_s, took_s, durable
        )

    async def _perform(
        self,
        server: PoolServer,
        mirror: Mirror,
        agents: list[SimulatedAgent],
        watching: Coroutine[Any, Any, None],
    ) -> None:
        """Run until every task is at rest or time is up."""
        nc = await self.world.connect("operator", "operator")
        operator = self._operator = SimulatedOperator(self.world, self.world.client(nc))
        company = [
            asyncio.create_task(each)
            for each in (
                mirror.run(),
                operator.run(),
                watching,
                server.served(),
                self._served_on(),
                *(agent.run() for agent in agents),
            )
        ]
        ending = asyncio.create_task(self._ending())
        try:
            while not ending.done():
                await asyncio.wait({ending, *company}, return_when=asyncio.FIRST_COMPLETED)
                for each in [each for each in company if each.done()]:
                    company.remove(each)
                    each.result()
        finally:
            operator.close()
            for each in (ending, *company):
                each.cancel()
            await asyncio.gather(ending, *company, return_exceptions=True)
            await nc.close()

    async def _served_on(self) -> None:
        """Raise BrokerUnavailableError when the broker ends before the show does."""
        status = await self._broker.wait()
        raise BrokerUnavailableError(f"the broker ended by itself, with status {status}")

    async def _ending(self) -> None:
        """Return when every task has come to rest, or when time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._plan.pace.limit_s):
                await self._all_at_rest.wait()
                # The last answers are still on their way, and the eye wants to see the end.
                await asyncio.sleep(2 * self._plan.pace.beat_s)

    async def _inspected(self, connection: NatsConnection, server: PoolServer) -> Verdict:
        log = await NatsEventLog.open(connection, self._settings.pool)
        try:
            inspection = Inspection(self._settings.pool, self._settings.rules(), self._codec)
            await inspect_log(inspection, log)
        finally:
            await log.close()
        return inspection.verdict(self._plan.task_ids, server.pool.memory.state)

    def _see(self, recorded: Recorded, before: Task | None) -> None:
        self.story.see(recorded, before)
        if self._operator is not None:
            self._operator.see(recorded)
        if self._mirror is not None and self._mirror.at_rest == len(self._plan.tasks):
            self._all_at_rest.set()

    def _tell(self, kind: Any, text: str) -> None:
        self.story.tell(kind, text)

    def _auth(self, purpose: str) -> Auth:
        access = self._broker.credentials(purpose)
        return Auth(user=access["user"], password=access["password"])
