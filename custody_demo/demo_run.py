"""One run: the service, the agents, the operator and the view, from the first task to the checked log."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from custody_demo.activity_log import ActivityLog
from custody_demo.demo_context import DemoContext
from custody_demo.followed_tasks import FollowedTasks
from custody_demo.log_check import LogInspection, inspect_log
from custody_demo.plain_view import PlainView
from custody_demo.screen_view import ScreenView
from custody_demo.simulated_agents import SimulatedAgent
from custody_demo.simulated_operator import SimulatedOperator
from custody_demo.summary import DemoResult
from handlers.follower.follower import Follower
from infra.codec import CloudEventsCodec
from infra.host.clock import SystemClock
from infra.nats.broker_errors import BrokerUnavailableError
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.service.serving import PoolServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from rich.console import Console

    from custody_demo.incidents import Incident
    from custody_demo.log_check import Verdict
    from custody_demo.plan import Plan
    from domain.recorded import Recorded
    from domain.task import Task
    from infra.broker.embedded import EmbeddedBroker
    from infra.settings.settings import Settings

_MOST_LIMITS = 3
"""A machine that takes longer than so many time limits to submit the tasks has time for no more."""


class DemoRun:
    """Runs the service with all its simulated clients, then checks the log."""

    def __init__(self, plan: Plan, settings: Settings, broker: EmbeddedBroker) -> None:
        self._plan = plan
        self._settings = settings
        self._broker = broker
        self.context = DemoContext(plan, settings.pool, broker.url, broker.credentials, self._report)
        self.activity = ActivityLog(self.context.elapsed_s)
        self._codec = CloudEventsCodec(settings.pool)
        self._operator: SimulatedOperator | None = None
        self._followed = FollowedTasks(self._on_event)
        self._all_at_rest = asyncio.Event()

    async def run(self, console: Console | None, say: Callable[[str], None]) -> DemoResult:
        """Run to the end, shown on the console, or in plain lines without one.

        Raises:
            BrokerError: the broker cannot be used any more.
            LogUnavailableError: the log cannot be read.
        """
        settings, rules = self._settings, self._settings.rules()
        dashboard = await connect(self._broker.url, name="demo-dashboard", auth=self._broker.auth("operator"))
        server = PoolServer(settings, self._broker.url)
        log = await NatsEventLog.open(dashboard, settings.pool)
        followed = self._followed
        follower = Follower(settings.pool, log, self._codec, SystemClock(), rules, listeners=[followed], at_once=1)
        agents = [SimulatedAgent(each, self.context) for each in self._plan.agents]
        try:
            await server.start(self._broker.auth, sync_interval=settings.broker_sync_interval)
            # From the first event on: what is told of them is counted.
            await follower.open(until=0)
            view = (
                PlainView(self.context, follower, followed, self.activity, say)
                if console is None
                else ScreenView(self.context, follower, followed, self.activity, agents, console)
            )
            try:
                await self._run_until_at_rest(server, follower, agents, view.run())
            finally:
                took_s = self.context.elapsed_s()
                await server.stop()
            say("check     reading the whole log back from the broker")
            verdict = await self._check_log(log, server)
        finally:
            await log.close()
            await dashboard.close()
        durable = settings.broker_sync_interval == "always"
        return DemoResult(
            self._plan, verdict, self.activity.tally, self.context.refusals, self.context.latencies_s, took_s, durable
        )

    async def _run_until_at_rest(
        self,
        server: PoolServer,
        follower: Follower,
        agents: list[SimulatedAgent],
        view: Coroutine[Any, Any, None],
    ) -> None:
        """Run until every task is at rest or the time limit is reached."""
        nc = await self.context.connect("operator", "operator")
        operator = self._operator = SimulatedOperator(self.context, self.context.client(nc))
        tasks = [
            asyncio.create_task(each)
            for each in (
                follower.run(),
                operator.run(),
                view,
                server.served(),
                self._watch_broker(),
                *(agent.run() for agent in agents),
            )
        ]
        end = asyncio.create_task(self._wait_for_end())
        try:
            while not end.done():
                await asyncio.wait({end, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                for each in [each for each in tasks if each.done()]:
                    tasks.remove(each)
                    each.result()
        finally:
            operator.close()
            for each in (end, *tasks):
                each.cancel()
            await asyncio.gather(end, *tasks, return_exceptions=True)
            await nc.close()

    async def _watch_broker(self) -> None:
        """Raise BrokerUnavailableError when the broker ends before the run does."""
        status = await self._broker.wait()
        raise BrokerUnavailableError(f"the broker ended by itself, with status {status}")

    async def _wait_for_end(self) -> None:
        """Return when every task is at rest, or at the time limit, which submissions that come late put off."""
        timings = self._plan.timings
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOST_LIMITS * timings.limit_s):
                await self.context.all_tasks_submitted.wait()
            async with asyncio.timeout(timings.limit_s - self._plan.tasks[-1].at_s):
                await self._all_at_rest.wait()
                # The last replies are still in flight, and the screen should show the final state for a moment.
                await asyncio.sleep(2 * timings.beat_s)

    async def _check_log(self, log: NatsEventLog, server: PoolServer) -> Verdict:
        inspection = LogInspection(self._settings.pool, self._settings.rules(), self._codec)
        await inspect_log(inspection, log)
        submitted = self.context.submitted
        accepted = [task_id for task_id, answered in submitted.items() if answered]
        return inspection.verdict(accepted, server.pool.memory.state, unanswered=submitted.keys() - set(accepted))

    def _on_event(self, recorded: Recorded, before: Task | None) -> None:
        self.activity.observe(recorded, before)
        if self._operator is not None:
            self._operator.observe(recorded)
        if self._followed.at_rest == len(self._plan.tasks):
            self._all_at_rest.set()

    def _report(self, kind: Incident, text: str) -> None:
        self.activity.add(kind, text)
