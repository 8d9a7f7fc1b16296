"""Many clients at work, each command under an id of its own, and what must hold after whatever happened to them."""

import asyncio
import itertools
import random
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from nats.errors import Error as NatsError

from handlers.ports import StoredMessage
from infra.codec import CloudEventsCodec
from infra.settings.settings import Settings
from projections.queries.documents import task_document
from projections.state.pool_state import PoolState
from tests.system.caller import Caller, Reply
from tests.system.streams import Stored, check_log, read_log

SHORT = {"mode": "fixed", "lease_s": 0.4, "grace_s": 0.1}
UNDECIDED = {"unavailable", "overloaded", "not_writer"}
VIEWS = {"register", "heartbeat"}
"""Their result is a view, told as it is when asked."""
PATIENCE_S = 60.0
RENEWED = "task.renewed"
"""Written beside any command of an agent that moves the expiry of what it holds."""


class Attempt(NamedTuple):
    """A command that was sent, and its reply if one came."""

    tail: str
    fields: dict[str, Any]
    reply: Reply | None

    @property
    def command_id(self) -> str:
        command_id: str = self.fields["command_id"]
        return command_id

    @property
    def acknowledged(self) -> bool:
        return self.reply is not None and is_outcome(self.reply)

    @property
    def unknown(self) -> bool:
        return self.reply is None or (not self.reply.ok and self.reply.code in UNDECIDED)


def is_outcome(reply: Reply) -> bool:
    """Whether a repeat brings this back. Refusals and empty claims are decided anew, whatever they renewed."""
    return reply.ok and bool(set(reply.events) - {RENEWED})


class Load:
    """A fleet that submits, claims, reports, completes, fails and lets go, at random."""

    def __init__(self, ask: Caller, name: str, seed: int) -> None:
        self._ask = ask
        self._name = name
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.attempts: list[Attempt] = []

    def start(self, agents: int) -> None:
        """Put so many agents to work."""
        self._tasks = [asyncio.create_task(self._agent(f"{self._name}-{number}")) for number in range(agents)]

    async def answered(self, count: int) -> None:
        """Wait until so many more commands have been answered."""
        wanted = self._replies() + count
        async with asyncio.timeout(PATIENCE_S):
            while self._replies() < wanted:
                self._changed.clear()
                await self._changed.wait()

    def _replies(self) -> int:
        return sum(each.reply is not None for each in self.attempts)

    async def stop(self) -> None:
        """End all callers; what is in flight stays unanswered."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _send(self, tail: str, **fields: Any) -> Reply:
        fields["command_id"] = f"{self._name}-{next(self._numbers)}"
        reply = None
        try:
            reply = await self._ask.ask(tail, fields, patience_s=PATIENCE_S)
        finally:
            self.attempts.append(Attempt(tail, fields, reply))
            self._changed.set()
        return reply

    async def _agent(self, agent: str) -> None:
        with suppress(NatsError, TimeoutError):
            await self._send(f"agent.{agent}.register", capacity=20)
            while True:
                lease = SHORT if self._random.random() < 0.3 else None
                await self._send("ops.submit", payload=self._random.random(), **({"lease": lease} if lease else {}))
                reply = await self._send(f"agent.{agent}.claim", max=2)
                for granted in reply.result["leases"] if reply.ok else ():
                    await self._work(agent, granted)

    async def _work(self, agent: str, lease: dict[str, Any]) -> None:
        held = {"task_id": lease["task_id"], "token": lease["token"]}
        await self._send(f"agent.{agent}.progress", **held, percent=self._random.randrange(101), checkpoint=[agent])
        match self._random.randrange(6):
            case 0 | 1:
                await self._send(f"agent.{agent}.complete", **held, result=agent)
            case 2:
                await self._send(f"agent.{agent}.fail", **held, error="E")
            case 3:
                await self._send(f"agent.{agent}.release", **held)
            case 4:
                await self._send("ops.cancel", task_id=lease["task_id"])
            case _:
                """Fall silent."""


async def check_promises(ask: Caller, attempts: list[Attempt]) -> None:
    """Hold the log and the service against what the clients were told before a crash.

    Every acknowledged command is in the log exactly once, and its id brings back its first reply; what was not
    answered is found out by repeating it, and never doubled; the log is whole; the views are its fold.
    """
    log = await read_log(ask.nc, ask.pool)
    check_log(log, ask.pool)
    by_id = _positions(log)
    for attempt in attempts:
        if attempt.acknowledged:
            assert attempt.reply is not None
            assert by_id[attempt.command_id] == _told(attempt.reply), attempt
    repeats = [attempt for attempt in attempts if attempt.acknowledged or attempt.unknown]
    second = await _again(ask, repeats)
    for attempt, reply in zip(repeats, second, strict=True):
        if attempt.acknowledged:
            assert attempt.reply is not None
            _check_same(attempt, attempt.reply, reply)
    third = await _again(ask, repeats)
    for attempt, reply, repeated in zip(repeats, second, third, strict=True):
        if is_outcome(reply):
            _check_same(attempt, reply, repeated)
    log = await read_log(ask.nc, ask.pool)
    check_log(log, ask.pool)
    by_id = _positions(log)
    for attempt, reply, repeated in zip(repeats, second, third, strict=True):
        outcome = reply if is_outcome(reply) else repeated
        if outcome.ok:
            assert by_id[attempt.command_id] == _told(outcome), attempt
    check_floors(log)


async def _again(ask: Caller, attempts: list[Attempt]) -> list[Reply]:
    async def repeat(attempt: Attempt) -> Reply:
        # A service with a short time for replies may have none for hundreds at once; a caller asks again then.
        async with asyncio.timeout(PATIENCE_S):
            reply = await ask.ask(attempt.tail, attempt.fields, patience_s=PATIENCE_S)
            while not reply.ok and reply.code in UNDECIDED:
                reply = await ask.ask(attempt.tail, attempt.fields, patience_s=PATIENCE_S)
        return reply

    return list(await asyncio.gather(*map(repeat, attempts)))


def _check_same(attempt: Attempt, first: Reply, again: Reply) -> None:
    verb = attempt.tail.rpartition(".")[2]
    parts = ("ok", "position", "events") if verb in VIEWS else ("ok", "position", "events", "result")
    assert [again.body.get(part) for part in parts] == [first.body[part] for part in parts], attempt


def _positions(log: list[Stored]) -> dict[str, list[int]]:
    by_id: dict[str, list[int]] = defaultdict(list)
    for event in log:
        if event.name != RENEWED:
            by_id[event.body["causationid"]].append(event.position)
    return by_id


def _told(reply: Reply) -> list[int]:
    events = zip(reply.events, reply.body["events"], strict=True)
    return [event["position"] for name, event in events if name != RENEWED]


def check_floors(log: list[Stored]) -> None:
    """After each `rearmed`, nothing expired or got stuck before its `not_before`."""
    floor = ""
    for event in log:
        if event.name == "pool.rearmed":
            floor = max(floor, event.data["not_before"])
        elif event.name in {"task.expired", "task.stuck"}:
            assert event.body["time"] >= floor, f"{event.position} came before the floor"


async def check_fold(ask: Caller) -> None:
    """What the service shows is what a fresh fold of the log shows. Nothing may happen meanwhile."""
    log = await read_log(ask.nc, ask.pool)
    state = PoolState(ask.pool, Settings(pool=ask.pool).rules())
    codec = CloudEventsCodec(ask.pool)
    for event in log:
        state.fold(codec.decode(StoredMessage(event.position, event.subject, event.raw, event.headers)))
    tasks = sorted({event.entity_id for event in log if event.name == "task.submitted"})
    live = [task_id for task_id in tasks if task_id in state.tasks]
    shown = await asyncio.gather(*(ask.task(task_id) for task_id in live))
    now = datetime.now(UTC)
    assert [task_document(state.tasks[task_id], now) for task_id in live] == list(shown)
    health = await ask.done("query.health")
    assert (health["position"], health["live_tasks"], health["agents"]) == (
        log[-1].position,
        len(state.tasks),
        len(state.agents),
    )
    rows = (await ask.done("query.workloads", limit=1000))["workloads"]
    assert {row["agent_id"]: row["tasks"] for row in rows} == {each: state.tasks_held(each) for each in state.agents}
    statistics = (await ask.done("query.statistics"))["tasks"]
    ended = {name: sum(event.name == f"task.{name}" for event in log) for name in ("completed", "failed", "cancelled")}
    assert {name: statistics[name] for name in ended} == ended
