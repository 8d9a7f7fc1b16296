"""One pool, served: rebuilt from its log, led, and kept going until it is stopped or superseded."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from domain.actors import WRITER
from domain.commands.service_commands import FillTail, Lead, Open, Rearm
from domain.decisions.judging import Finding
from domain.policies.lease import SHORTEST_LEASE_S
from domain.timestamps import seconds_between
from handlers.background.snapshotter import Snapshotter
from handlers.background.stealer import make_stealer
from handlers.background.sweeper import Sweeper
from handlers.memory.catch_up import catch_up
from handlers.memory.lookup import Lookup
from handlers.memory.memory import Memory
from handlers.memory.snapshots import restore_nearest
from handlers.ports import LogUnavailableError
from handlers.service.command_service import CommandService
from handlers.service.query_service import Health, QueryService
from handlers.telemetry import NO_TELEMETRY, Telemetry
from handlers.writer.pool_access import PoolAccess
from handlers.writer.writer import SupersededError, Writer, WriterLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from domain.rules import Rules
    from handlers.background.probe import Probe
    from handlers.memory.snapshots import Snapshots
    from handlers.ports import Clock, Codec, EventLog
    from handlers.writer.jobs import Answer

_LOG = logging.getLogger(__name__)
STOP_LIMIT_S = 10.0
"""How long a stop waits for an append that the broker does not confirm."""


class PoolOptions(NamedTuple):
    """How a pool is served; durations in seconds."""

    leader: str
    """`<host>:<pid>:<start>`."""
    software: str
    sweeper_interval_s: float = 300.0
    outcomes: int = 200_000
    """Commands whose outcome is remembered for repeats of their id."""
    limits: WriterLimits = WriterLimits()
    guarantees: Mapping[str, Any] = {}
    """What the broker promises of acknowledged events, for `query.health`."""
    on_commit: Callable[[int, str | None], None] | None = None
    """Called with each acknowledged position and the hash there, before any caller is told; None: nothing is."""
    accepted_loss: FillTail | None = None
    """What an operator accepts that the log lost; None: nothing."""
    snapshots: Snapshots | None = None
    """Where snapshots are kept; None: nowhere."""
    telemetry: Telemetry = NO_TELEMETRY
    """What it tells of its own work."""


class PoolService:
    """Writer, sweeper, stealer and command service of one pool. It observes its writer (`WriterObserver`)."""

    def __init__(
        self,
        pool_id: str,
        log: EventLog,
        codec: Codec,
        clock: Clock,
        rules: Rules,
        options: PoolOptions,
        respond: Callable[[str, bytes, Mapping[str, str]], None],
        probe: Probe | None = None,
    ) -> None:
        self.memory = Memory(pool_id, rules, codec, outcomes=options.outcomes)
        self.writer = Writer(self.memory, log, codec, clock, rules, options.limits, self)
        self.access = PoolAccess(self.writer, clock, options.telemetry.tracer)
        self.sweeper = Sweeper(self.access, clock, interval_s=options.sweeper_interval_s, probe=probe)
        self.stealer = make_stealer(self.access, clock)
        lookup = Lookup(pool_id, log, codec, lambda: self.memory.state.committed_position)
        self.queries = QueryService(self.access, log, lookup, clock, self._health, self._findings)
        self.commands = CommandService(
            pool_id, self.writer, self.access, lookup, self.queries, clock, respond, options.telemetry
        )
        self.snapshotter: Snapshotter | None = None
        """What stores snapshots, once the pool is open; None: they are kept nowhere."""
        self._log = log
        self._clock = clock
        self._options = options
        self._running: asyncio.Task[None] | None = None
        self._background: list[asyncio.Task[None]] = []
        self._short_tasks: set[asyncio.Task[None]] = set()
        """Commands of the service's own, which the writer's notifications began."""

    def _findings(self) -> dict[str, int]:
        return {finding.value: self.sweeper.findings.get(finding.value, 0) for finding in Finding}

    async def open(self) -> None:
        """Rebuild everything from the log, take the lead, and set the floor that the blind time asks for.

        Returns when the pool can be served.

        Raises:
            LogUnavailableError: the log cannot be read, or takes no events.
            SupersededError: another service took the lead meanwhile.
            LogLostError: the log lost its tail meanwhile, or was replaced.
        """
        self.snapshotter = await self._restore()
        await catch_up(self.memory, self._log)
        state = self.memory.state
        blind_s = seconds_between(state.last_time, self._clock.now()) if state.position else 0.0
        for agent_id in state.agents:
            self.writer.liveness.watch(agent_id, self._clock.steady())
        self._running = asyncio.create_task(self.writer.run(), name="writer")
        # First: by its first event a log that lost everything is known, should this start be killed meanwhile.
        if self._options.accepted_loss is not None:
            await self._fill_tail(self._options.accepted_loss)
        await self._carry_out(Open(self._options.software), "open")
        self.writer.lead_as(self._options.leader)
        await self._carry_out(Lead(self._options.leader), "lead")
        if blind_s > 0 and state.workloads.anything_held():
            await self._carry_out(Rearm("start", blind_s), "rearm")
        self._background = [
            asyncio.create_task(self.sweeper.run(), name="sweeper"),
            asyncio.create_task(self.stealer.run(), name="stealer"),
        ]
        if self.snapshotter is not None:
            self._background.append(asyncio.create_task(self.snapshotter.run(), name="snapshotter"))

    async def served(self) -> None:
        """Return when the pool was stopped.

        Raises:
            SupersededError: another service leads the pool.
            LogLostError: the log lost its tail, or was replaced.
        """
        if self._running is None:
            msg = "the pool is not open"
            raise RuntimeError(msg)
        done, _ = await asyncio.wait([self._running, *self._background], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()

    @property
    def leading(self) -> bool:
        """Whether this service leads the pool, by what the log says."""
        return self.memory.state.pool.leader == self._options.leader

    async def lag_events(self) -> int:
        """Return how many events the log has beyond what was folded here. Raises LogUnavailableError."""
        end = await self._log.last_position()
        return max(end - self.memory.state.committed_position, 0)

    @property
    def superseded(self) -> bool:
        """Whether it ended because another service leads the pool."""
        running = self._running
        return (
            running is not None
            and running.done()
            and not running.cancelled()
            and isinstance(running.exception(), SupersededError)
        )

    def disconnected(self) -> None:
        """Judge no agent's silence until `reconnected`: agents cannot be heard."""
        self.writer.broker_link.disconnected()

    def reconnected(self, blind_s: float) -> None:
        """Agents can be heard again, after `blind_s` seconds in which they could not."""
        self.writer.broker_link.connected()
        self.agents_unheard(blind_s)

    # What the writer observes

    def committed(self, position: int, tail_hash: str | None) -> None:
        """Note the log's end, if that is wanted."""
        if self._options.on_commit is not None:
            self._options.on_commit(position, tail_hash)

    def appended(self, commands: int, append_s: float) -> None:
        """Count an append, if that is wanted."""
        figures = self._options.telemetry.figures
        if figures is not None:
            figures.appended(commands, append_s)

    def state_changed(self) -> None:
        """Let the sweeper look for an earlier due moment, and the stealer for agents that have nothing to do."""
        self.sweeper.look_again()
        self.stealer.look_again()

    def clock_changed(self) -> None:
        """Let the sweeper plan anew: its due moments are of the wall clock."""
        self.sweeper.plan_again()

    def agents_unheard(self, blind_s: float) -> None:
        """Set the floor after a spell in which agents could not be heard; nothing is judged until it is in the log."""
        if blind_s < SHORTEST_LEASE_S:
            # Shorter than the shortest lease: a floor would change nothing.
            return
        self.writer.liveness.reset_all(self._clock.steady())
        self.writer.broker_link.begin_rearming()
        self._start_short_task(self._rearm(blind_s))

    async def stop(self) -> bool:
        """Answer what was taken, end the waits, and stop; nothing is left half-done.

        Return False when the broker did not confirm the last append within `STOP_LIMIT_S`: then the log has its
        outcome, and the next start finds it there.
        """
        for task in (*self._background, *self._short_tasks):
            task.cancel()
        probes = self.sweeper.cancel_probes()
        drained = asyncio.ensure_future(self._drain())
        limit = asyncio.ensure_future(self._clock.sleep(STOP_LIMIT_S))
        await asyncio.wait((drained, limit), return_when=asyncio.FIRST_COMPLETED)
        settled = drained.done()
        if not settled:
            _LOG.error("the broker did not confirm the last append; its outcome is in the log")
        limit.cancel()
        drained.cancel()
        await self._cancel(*probes, limit, drained)
        if settled:
            drained.result()  # raises what went wrong
        return settled

    async def kill(self) -> None:
        """End everything at once, without an answer and without an append, as the end of the process would."""
        await self._cancel(*self.commands.cancel(), *self.sweeper.cancel_probes())

    async def _cancel(self, *more: asyncio.Future[None]) -> None:
        running = [self._running] if self._running is not None else []
        tasks = [*self._background, *self._short_tasks, *running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *more, return_exceptions=True)

    async def _drain(self) -> None:
        # Look-ups first: what they find is still to be decided.
        await self.commands.close()
        self.writer.stop()
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _restore(self) -> Snapshotter | None:
        """Begin with the latest usable snapshot; return what stores the next ones, if that is wanted."""
        snapshots = self._options.snapshots
        if snapshots is None:
            return None
        end = await self._log.last_position()
        position = await restore_nearest(self.memory, snapshots.store, self._log, build=snapshots.build, until=end)
        return Snapshotter(self.access, snapshots, self._clock, last_position=position)

    async def _fill_tail(self, loss: FillTail) -> None:
        await self._carry_out(loss, "fill_tail")
        while self.memory.state.position < loss.filled_to:
            await self._carry_out(loss, "fill_tail")

    async def _rearm(self, blind_s: float) -> None:
        try:
            if self._running is not None and self.memory.state.workloads.anything_held():
                _LOG.warning("could not hear the agents for %.1f s; nothing expires for as long", blind_s)
                await self._ask(Rearm("outage", blind_s), "rearm")
        finally:
            self.writer.broker_link.end_rearming()
            self.sweeper.look_again()

    def _start_short_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._short_tasks.add(task)
        task.add_done_callback(self._short_tasks.discard)

    async def _carry_out(self, command: Open | FillTail | Lead | Rearm, verb: str) -> None:
        """Have the service's own command carried out.

        Raises:
            LogUnavailableError: it was refused: the broker does not take its events.
            LogLostError: the log lost its tail, or was replaced.
            SupersededError: another service leads the pool.
        """
        answer = await self._ask(command, verb)
        if answer.refusal is not None:
            if self._running is not None and self._running.done():
                self._running.result()
            msg = f"what a service records at its start is not in the log: {answer.refusal.message}"
            raise LogUnavailableError(msg)

    async def _ask(self, command: Open | FillTail | Lead | Rearm, verb: str) -> Answer:
        return await self.access.ask(command, WRITER, verb)

    def _health(self) -> Health:
        options = self._options
        return Health(options.leader, dict(options.guarantees), options.software)
