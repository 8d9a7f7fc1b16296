"""A whole pool, served over a log in memory on a clock of the test's, and asked as callers ask it.

At the end every invariant is checked: the state is the fold of the log, the chain of hashes holds, every append kept
the rules, and every request was answered exactly once.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from domain.agent import Agent
from domain.commands.service_commands import FillTail
from domain.events import Entity, Event
from domain.hash_chain import GENESIS_HASH, chain_hash
from domain.limits import MAX_REPLY_BYTES
from domain.recorded import Recorded
from domain.rules import Rules
from domain.task import Lease, Task
from handlers.background.probe import Probe
from handlers.background.sweeper import Sweeper
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.pool_service import PoolOptions, PoolService
from handlers.ports import LogUnavailableError, NewMessage, UnreadableEventError
from handlers.service.command_service import Incoming
from handlers.service.reply_bodies import is_inbox
from handlers.telemetry import NO_TELEMETRY
from handlers.writer.writer import WriterLimits
from infra.codec import CloudEventsCodec
from projections.state.ended_entities import RECENT_ENTITIES
from projections.state.pool_state import PoolState
from tests.support.invariants import AppendRules, check_equal, check_indexes
from tests.support.memory_log import MemoryEventLog
from tests.support.reply_models import misfit
from tests.support.virtual_clock import VirtualClock

POOL = "p"
START_LIMIT_S = 60.0

GUARANTEES = {
    "replicas": 1,
    "storage": "memory",
    "compression": "none",
    "sync_interval": None,
    "broker_version": "none",
    "durability": "no longer than the test",
}
"""What a service would say of its stream."""


class Reply(dict[str, Any]):
    """A reply's body, with what came around it."""

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(json.loads(body))
        self.raw = body
        self.headers = dict(headers)

    @property
    def ok(self) -> bool:
        return self["ok"] is True

    @property
    def result(self) -> Any:
        assert self.ok, self
        return self["result"]

    @property
    def code(self) -> str | None:
        """The error's code, or None if it is no error."""
        return None if self.ok else str(self["error"]["code"])

    @property
    def names(self) -> list[str]:
        """The names of the events that the reply lists."""
        return [each["type"].split(".")[2] for each in self["events"]]


@dataclass(slots=True)
class Asked:
    """A request on its way."""

    subject: str
    body: bytes
    inbox: str
    replies: list[Reply] = field(default_factory=list)
    lost: bool = False
    """Its service was killed before it could answer."""

    @property
    def reply(self) -> Reply | None:
        """The answer, if it has come."""
        return self.replies[0] if self.replies else None

    @property
    def answer(self) -> Reply:
        """The answer, which has come."""
        assert self.replies, f"{self.subject} {self.body[:80]!r} is not answered"
        return self.replies[0]


class PoolHarness:
    """One pool's service, its log and its callers."""

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        limits: WriterLimits | None = None,
        probe: Probe | None = None,
        outcomes: int = 200_000,
        sweeper_interval_s: float = 300.0,
        takes_chains: bool = False,
    ) -> None:
        self.rules = rules or Rules()
        self.clock = VirtualClock()
        self.log = MemoryEventLog(POOL, takes_chains=takes_chains, clock=self.clock)
        self.codec = CloudEventsCodec(POOL)
        self.probe = probe
        self.limits = limits or WriterLimits()
        self.outcomes = outcomes
        self.sweeper_interval_s = sweeper_interval_s
        self.asked: list[Asked] = []
        self.stray: list[tuple[str, bytes]] = []
        """Replies to subjects of which no request came."""
        self.misfits: list[str] = []
        """What is wrong with replies, by what is described."""
        self.starts = 0
        self.foreign = False
        """Whether another writer wrote to the log, so that its appends cannot be told apart."""
        self.on_reply: Callable[[Asked], None] = lambda _asked: None
        self.accepted_loss: FillTail | None = None
        """What the next starts accept that the log lost."""
        self.on_commit: Callable[[int, str | None], None] | None = None
        """Is called by the next starts with each acknowledged position and the hash there."""
        self.telemetry = NO_TELEMETRY
        """What the next starts tell of their own work."""
        self._killed = 0
        """The last start whose service was killed, and is not heard any more."""
        self._inboxes: dict[str, Asked] = {}
        self._service: PoolService | None = None

    @property
    def service(self) -> PoolService:
        assert self._service is not None, "the pool is not served"
        return self._service

    @property
    def state(self) -> PoolState:
        return self.service.memory.state

    async def start(self) -> None:
        """Serve the pool from the log; begins again while the log is unavailable."""
        until = self.clock.steady() + timedelta(seconds=START_LIMIT_S)
        while True:
            self.make_service()
            opening = asyncio.ensure_future(self.service.open())
            await self.clock.rest()
            while not opening.done():
                assert await self.clock.step(until), "the pool does not open"
            if not isinstance(opening.exception(), LogUnavailableError):
                break
        opening.result()

    async def stop(self) -> None:
        """End the service the way SIGTERM does."""
        stopping = asyncio.ensure_future(self.service.stop())
        await self.clock.rest()
        await self.clock.advance(0 if stopping.done() else 20)
        assert stopping.done(), "the service does not stop"
        stopping.result()
        self._service = None

    async def kill(self) -> None:
        """End the service the way SIGKILL does: no request is answered any more."""
        service, self._service = self.service, None
        self._killed = self.starts
        for each in self.asked:
            each.lost = each.lost or not each.replies
        self._inboxes.clear()
        await service.kill()

    def forget_service(self) -> None:
        """Note that the service has ended by itself."""
        self._service = None

    async def restart(self, *, after_s: float = 0.0) -> None:
        """Kill the service and start another on the same log."""
        await self.kill()
        await self.clock.advance(after_s)
        await self.start()

    def post(
        self,
        subject: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        reply: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Asked:
        """Send a request; the answer comes when the service has come to it. `subject` is what follows the pool."""
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        inbox = f"_INBOX.{len(self.asked)}" if reply is None else reply
        asked = Asked(subject, raw, inbox)
        self.asked.append(asked)
        self._inboxes[inbox] = asked
        self.service.commands.handle(Incoming(f"custody.{POOL}.{subject}", raw, inbox, headers or {}))
        return asked

    async def request(
        self,
        subject: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        reply: str | None = None,
        headers: Mapping[str, str] | None = None,
        within_s: float = 0.0,
    ) -> Reply:
        """Send a request and return its answer, which must come without time passing, or within so many seconds."""
        asked = self.post(subject, body, reply=reply, headers=headers)
        await self.clock.rest()
        until = self.clock.steady() + timedelta(seconds=within_s)
        while not asked.replies and await self.clock.step(until):
            pass
        return asked.answer

    async def given(self, subject: str, **body: Any) -> Any:
        """Send a request that must succeed; return its result. `from_` stands for `from`."""
        body = {"from" if name == "from_" else name: value for name, value in body.items()}
        reply = await self.request(subject, body)
        assert reply.ok, reply
        return reply.result

    async def register(self, *agents: str, capacity: int = 10, **body: Any) -> None:
        for agent_id in agents:
            await self.given(f"agent.{agent_id}.register", capacity=capacity, **body)

    async def submit(self, *task_ids: str, **body: Any) -> None:
        for task_id in task_ids:
            await self.given("ops.submit", task_id=task_id, **body)

    async def assign(self, agent_id: str, *task_ids: str) -> int:
        """Assign queued tasks to an agent; return the last one's token."""
        token = 0
        for task_id in task_ids:
            token = (await self.given("ops.assign", task_id=task_id, agent_id=agent_id))["token"]
        return token

    async def holds(self, agent_id: str, *task_ids: str, capacity: int = 100, **definition: Any) -> int:
        """Given: the agent is registered and was assigned these new tasks. Returns the last token."""
        if agent_id not in self.state.agents:
            await self.register(agent_id, capacity=capacity)
        await self.submit(*task_ids, **definition)
        return await self.assign(agent_id, *task_ids)

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def rest(self) -> None:
        await self.clock.rest()

    def task(self, task_id: str) -> Task:
        task = self.state.task(task_id)
        assert task is not None, f"there is no task {task_id}"
        return task

    def lease(self, task_id: str) -> Lease:
        lease = self.task(task_id).lease
        assert lease is not None, f"no agent holds {task_id}"
        return lease

    def agent(self, agent_id: str) -> Agent:
        agent = self.state.agent(agent_id)
        assert agent is not None, f"there is no agent {agent_id}"
        return agent

    def records(self, after: int = 0) -> list[Recorded]:
        """The log's events."""
        return [self.codec.decode(message) for message in self.log.messages[after:]]

    def count_sweeps(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Return a list that gets the moment of each sweep from now on, in seconds of this pool's clock."""
        sweeps: list[float] = []
        original = Sweeper.sweep

        async def counted(sweeper: Sweeper) -> None:
            sweeps.append(self.clock.elapsed_s)
            await original(sweeper)

        monkeypatch.setattr(Sweeper, "sweep", counted)
        return sweeps

    def events(self, *kinds: type[Event]) -> list[Recorded]:
        """The log's events of these kinds."""
        return [recorded for recorded in self.records() if isinstance(recorded.event, kinds)]

    def names(self, after: int = 0) -> list[str]:
        """The names of the log's events behind a position."""
        return [recorded.name for recorded in self.records(after)]

    @property
    def position(self) -> int:
        return len(self.log.messages)

    def by_another(self, *events: tuple[str, Event]) -> list[NewMessage]:
        """Encode events of another replica, to follow the log's end: `("task/T1", event)` each."""
        self.foreign = True
        fold = PoolState(POOL, self.rules)
        versions: dict[str, int] = {}
        for recorded in self.records():
            fold.fold(recorded)
            versions[recorded.originator_id] = recorded.version
        messages: list[NewMessage] = []
        previous = self.log.messages[-1].headers["Custody-Hash"] if self.log.messages else GENESIS_HASH
        for originator, event in events:
            entity_id = originator.partition("/")[2]
            recorded = Recorded(
                fold.position + 1,
                event.entity,
                entity_id,
                versions.get(originator, 0) + 1,
                max(self.clock.now(), fold.last_time),
                "ops/another",
                "by-another",
                event,
                "another",
            )
            fold.fold(recorded)
            versions[originator] = recorded.version
            encoded, previous = self.codec.encode([recorded], previous)
            messages += encoded
        return messages

    async def fresh(self) -> Memory:
        """What a service that starts now would remember."""
        memory = Memory(POOL, self.rules, self.codec, outcomes=self.outcomes)
        await catch_up(memory, self.log)
        return memory

    async def check(self) -> None:
        """Check every invariant; the service must be at rest."""
        self._check_chain()
        fresh = await self.fresh()
        if self._service is not None:
            self._check_live(self.service.memory, fresh)
        check_indexes(fresh.state, self.clock.now())
        self._check_appends()

    def check_replies(self) -> None:
        """Check that every request was answered exactly once, as described; nothing may be on its way."""
        assert not self.stray, self.stray
        assert not self.misfits, self.misfits[0]
        for each in self.asked:
            assert all(len(reply.raw) <= MAX_REPLY_BYTES for reply in each.replies)
            wanted = 1 if is_inbox(each.inbox) and not each.lost else 0
            assert len(each.replies) == wanted, f"{each.subject} {each.body[:80]!r}: {len(each.replies)} replies"

    async def finish(self) -> None:
        """Check, stop, and check again; called after each test."""
        if self._service is not None:
            await self.clock.rest()
            await self.check()
            await self.stop()
        await self.check()
        self.check_replies()

    def make_service(self) -> None:
        """Make the next service of the pool; its `open` is yet to be called."""
        self.starts += 1
        self._service = PoolService(
            POOL,
            self.log,
            self.codec,
            self.clock,
            self.rules,
            PoolOptions(
                leader=f"host:1:{self.starts}",
                software="custody test",
                guarantees=GUARANTEES,
                sweeper_interval_s=self.sweeper_interval_s,
                outcomes=self.outcomes,
                limits=self.limits,
                on_commit=self.on_commit,
                accepted_loss=self.accepted_loss,
                telemetry=self.telemetry,
            ),
            functools.partial(self._respond, self.starts),
            self.probe,
        )

    def _respond(self, start: int, reply: str, body: bytes, headers: Mapping[str, str]) -> None:
        if start <= self._killed:
            return
        asked = self._inboxes.get(reply)
        if asked is None:
            self.stray.append((reply, body))
        else:
            asked.replies.append(Reply(body, headers))
            if (wrong := misfit(asked.subject, body)) is not None:
                self.misfits.append(wrong)
            self.on_reply(asked)

    def _check_chain(self) -> None:
        previous = GENESIS_HASH
        for message in self.log.messages:
            previous = chain_hash(previous, message.position, message.subject, message.body)
            assert message.headers["Custody-Hash"] == previous, f"the chain breaks at {message.position}"

    def _check_live(self, live: Memory, fresh: Memory) -> None:
        assert live.tail_hash == fresh.tail_hash
        assert live.unreadable_count == fresh.unreadable_count
        assert live.outcomes.dump() == fresh.outcomes.dump()
        assert live.statistics.dump() == fresh.statistics.dump()
        assert live.last_heard.dump() == fresh.last_heard.dump()
        if len(fresh.state.ended.recent) < RECENT_ENTITIES:
            check_equal(live.state, fresh.state)
        assert live.state.position == fresh.state.position
        assert live.state.tasks == fresh.state.tasks
        assert live.state.agents == fresh.state.agents
        assert live.state.steals == fresh.state.steals
        check_indexes(live.state, self.clock.now())

    def _check_appends(self) -> None:
        """Check every event, and every append where the log can tell them apart."""
        rules, fold = AppendRules(), PoolState(POOL, self.rules)
        records: list[Recorded] = []
        for message in self.log.messages:
            try:
                records.append(self.codec.decode(message))
            except UnreadableEventError:
                return
        if sum(self.log.append_sizes) == len(records):
            for size in self.log.append_sizes:
                batch: Sequence[Recorded] = records[:size]
                del records[:size]
                for recorded in batch:
                    fold.fold(recorded)
                rules.check(batch, fold)
        for recorded in records:
            rules.check_envelope(recorded)
            if recorded.entity is Entity.TASK:
                rules.check_task_event(recorded)
