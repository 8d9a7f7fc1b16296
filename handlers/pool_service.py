"""One pool, served: rebuilt from its log, led, and kept going until it is stopped or superseded."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from domain.actors import WRITER
from domain.service_commands import Lead, Open, Rearm
from domain.timestamps import after, seconds_between
from handlers.background.snapshotter import Snapshotter
from handlers.background.stealer import Stealer
from handlers.background.sweeper import Probe, Sweeper, ask
from handlers.memory.lookup import Lookup
from handlers.memory.memory import Memory, catch_up
from handlers.memory.snapshots import restore_nearest
from handlers.service.command_service import CommandService
from handlers.service.query_service import Health, QueryService
from handlers.writer.writer import Writer, WriterLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from domain.rules import Rules
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
    snapshots: Snapshots | None = None
    """Where snapshots are kept; None: nowhere."""


class PoolService:
    """Writer, sweeper, stealer and command service of one pool."""

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
        self.writer = Writer(self.memory, log, codec, clock, rules, options.limits)
        self.sweeper = Sweeper(self.writer, clock, interval_s=options.sweeper_interval_s, probe=probe)
        self.stealer = Stealer(self.writer, clock)
        lookup = Lookup(pool_id, log, codec)
        self.queries = QueryService(self.writer, log, lookup, clock, self._health)
        self.commands = CommandService(pool_id, self.writer, lookup, self.queries, clock, respond)
        self.writer.answering.committed = self.sweeper.look_again
        self.writer.hearing.outage = self.heard_again
        self.writer.unled = self._lead_again
        self._log = log
        self._clock = clock
        self._options = options
        self._running: asyncio.Task[None] | None = None
        self._helpers: list[asyncio.Task[None]] = []
        self._errands: set[asyncio.Task[Any]] = set()

    async def open(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Rebuild everything from the log, take the lead, and set the floor that the blind time asks for.

        Returns when the pool can be served.

        Raises:
            LogUnavailableError: the log cannot be read.
            SupersededError: another service took the lead meanwhile.
        """
        snapshotter = await self._restore()
        await catch_up(self.memory, self._log, progress=progress)
        state = self.memory.state
        blind_s = seconds_between(state.last_time, self._clock.now()) if state.position else 0.0
        now = self._clock.now()
        for agent_id in state.agents:
            self.writer.presence.heard(agent_id, now)
        self._running = asyncio.create_task(self.writer.run(), name="writer")
        await self._own(Open(self._options.software), "open")
        self.writer.leader = self._options.leader
        await self._own(Lead(self._options.leader), "lead")
        if blind_s > 0 and state.workloads.anything_held():
            await self._own(Rearm("start", blind_s), "rearm")
        self._helpers = [
            asyncio.create_task(self.sweeper.run(), name="sweeper"),
            asyncio.create_task(self.stealer.run(), name="stealer"),
        ]
        if snapshotter is not None:
            self._helpers.append(asyncio.create_task(snapshotter.run(), name="snapshotter"))

    async def _restore(self) -> Snapshotter | None:
        """Begin with the latest usable snapshot; return who stores the next ones, if anybody is to."""
        snapshots = self._options.snapshots
        if snapshots is None:
            return None
        end = await self._log.last_position()
        position = await restore_nearest(self.memory, snapshots.store, self._log, build=snapshots.build, until=end)
        return Snapshotter(self.writer, snapshots, self._clock, last_position=position)

    async def served(self) -> None:
        """Return when the pool was stopped.

        Raises:
            SupersededError: another service leads the pool.
        """
        if self._running is None:
            msg = "the pool is not open"
            raise RuntimeError(msg)
        done, _ = await asyncio.wait([self._running, *self._helpers], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()

    def disconnected(self) -> None:
        """Judge nobody until `heard_again`: the agents cannot be heard."""
        self.writer.hearing.disconnected = True

    def heard_again(self, blind_s: float) -> None:
        """Set the floor after a spell of `blind_s` seconds in which the agents could not be heard.

        Nobody is judged until the floor is in the log.
        """
        self.writer.hearing.disconnected = False
        self.writer.presence.excuse(self._clock.now())
        self.writer.hearing.rearming += 1
        task = asyncio.get_running_loop().create_task(self._rearm(blind_s))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _rearm(self, blind_s: float) -> None:
        try:
            if self._running is not None and self.memory.state.workloads.anything_held():
                _LOG.warning("could not hear the agents for %.1f s; nothing expires for as long", blind_s)
                await self._ask(Rearm("outage", blind_s), "rearm")
        finally:
            self.writer.hearing.rearming -= 1
            self.sweeper.look_again()

    async def stop(self) -> bool:
        """Answer what was taken, end the waits, and stop; nothing is left half-done.

        Return False when the broker did not confirm the last append within `STOP_LIMIT_S`: then what became of it is
        in the log, and the next start finds it there.
        """
        for task in (*self._helpers, *self._errands):
            task.cancel()
        drained = asyncio.ensure_future(self._drain())
        limit = asyncio.ensure_future(self._clock.sleep_until(after(self._clock.now(), STOP_LIMIT_S)))
        await asyncio.wait((drained, limit), return_when=asyncio.FIRST_COMPLETED)
        settled = drained.done()
        if not settled:
            _LOG.error("the broker did not confirm the last append; its outcome is in the log")
        limit.cancel()
        drained.cancel()
        running = [self._running] if self._running is not None else []
        for task in running:
            task.cancel()
        await asyncio.gather(*self._helpers, *self._errands, *running, limit, drained, return_exceptions=True)
        return settled

    async def _drain(self) -> None:
        # Look-ups first: what they find is still to be decided.
        await self.commands.close()
        self.writer.stop()
        if self._running is not None:
            await asyncio.wait([self._running])

    def _lead_again(self) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(Lead(self._options.leader), "lead"))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _own(self, command: Open | Lead | Rearm, verb: str) -> None:
        """Put the service's own command through.

        Raises:
            SupersededError: another service leads the pool.
        """
        answer = await self._ask(command, verb)
        if answer.refusal is not None:
            if self._running is not None and self._running.done():
                self._running.result()
            msg = f"the pool cannot be served: {answer.refusal.message}"
            raise RuntimeError(msg)

    async def _ask(self, command: Open | Lead | Rearm, verb: str) -> Answer:
        return await ask(self.writer, self._clock, command, WRITER, verb)

    def _health(self) -> Health:
        options = self._options
        return Health(options.leader, dict(options.guarantees), options.software)
