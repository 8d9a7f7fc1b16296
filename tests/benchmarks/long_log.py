"""Logs as a fleet writes them, of any length: python -m tests.benchmarks.long_log DIRECTORY EVENTS.

The directory is a data directory that `custody` can read. An event every 10 ms: ten million are 28 hours.
"""

# ruff: noqa: T201 # prints how far it is

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from domain.events import Entity, Event
from domain.events import agent as ag
from domain.events import pool as po
from domain.events import task as ev
from domain.policies.lease import LeasePolicy
from domain.recorded import Recorded
from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.memory.snapshots import encode, image_of
from handlers.ports import MAX_BATCH_MESSAGES
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.codec import CloudEventsCodec
from infra.nats.api import JetStreamApi
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.snapshot_store import NatsSnapshots
from infra.nats.stream import ensure_stream
from infra.service.fold_build import fold_build
from infra.settings.settings import Settings
from tests.benchmarks.arguments import natural, positive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

    from handlers.ports import NewMessage

POOL = "bench"
START = datetime(2026, 1, 1, tzinfo=UTC)
EVENT_S = 0.01
AGENTS = 200
OPEN_TASKS = 5_000
"""Tasks that are alive at a time."""
_AHEAD = 4
"""Batches that are made while one is appended."""
_CANCELLED, _FAILED, _GIVEN_BACK = 5, 3, 9
"""Of 100 tasks."""
_LEFT = 1_000
"""One task in so many is never ended."""


class Story:
    """Tasks that are submitted, granted, started, reported on three times and completed; some otherwise."""

    def __init__(
        self, pool: str = POOL, *, agents: int = AGENTS, open_tasks: int = OPEN_TASKS, start: datetime = START
    ) -> None:
        self._pool = pool
        self._agents = agents
        self._open_tasks = open_tasks
        self._start = start
        self.position = 0
        self._versions: dict[str, int] = {}

    def record(self, entity: Entity, entity_id: str, actor: str, event: Event) -> Recorded:
        self.position += 1
        version = self._versions[entity_id] = self._versions.get(entity_id, 0) + 1
        at = self._start + timedelta(seconds=EVENT_S * self.position)
        return Recorded(
            self.position, entity, entity_id, version, at, actor, f"c{self.position}", event, "bench", keyed=True
        )

    def events(self, count: int) -> Iterator[Recorded]:
        yield self.record(Entity.POOL, self._pool, "writer", po.Opened(software="bench"))
        for number in range(self._agents):
            agent_id = f"a{number}"
            yield self.record(Entity.AGENT, agent_id, f"agent/{agent_id}", ag.Registered(capacity=100_000))
        tasks: list[Iterator[Recorded]] = []
        number = 0
        while self.position < count:
            if len(tasks) < self._open_tasks:
                tasks.append(self.task(number))
                number += 1
            turn = self.position % len(tasks)
            recorded = next(tasks[turn], None)
            if recorded is None:
                tasks[turn] = tasks[-1]
                tasks.pop()
            else:
                yield recorded

    def task(self, number: int) -> Iterator[Recorded]:
        task_id, agent_id, fate = f"T{number}", f"a{number % self._agents}", number * 37 % 100
        definition = ev.Submitted(request_digest="0" * 64, title=f"Task {number}", lease=LeasePolicy())
        yield self._of(task_id, "ops", definition)
        given_back = fate >= 100 - _GIVEN_BACK
        if given_back:
            token = yield from self._attempt(task_id, agent_id, 1, reports=1)
            yield self._of(task_id, f"agent/{agent_id}", ev.Released(token=token, reason="the machine goes down"))
            back = ev.Requeued(token=token, cause=ev.Cause.RELEASE, attempt=2, reason="the machine goes down")
            yield self._of(task_id, "writer", back)
            agent_id = f"a{(number + 1) % self._agents}"
        token = yield from self._attempt(task_id, agent_id, 2 if given_back else 1, reports=3)
        if number % _LEFT != _LEFT - 1:
            yield self._of(task_id, "ops" if fate < _CANCELLED else f"agent/{agent_id}", _end(fate, token, agent_id))
        del self._versions[task_id]

    def _attempt(self, task_id: str, agent_id: str, attempt: int, *, reports: int) -> Generator[Recorded, None, int]:
        token, actor = self.position + 1, f"agent/{agent_id}"
        until = self._start + timedelta(days=30)
        granted = ev.Leased(token=token, agent_id=agent_id, attempt=attempt, lease_s=180, grace_s=60, expires_at=until)
        yield self._of(task_id, actor, granted)
        yield self._of(task_id, actor, ev.Started(token=token))
        for report in range(1, reports + 1):
            progressed = ev.Progressed(
                token=token,
                percent=25 * report,
                message="so far, so good",
                reports=report,
                lease_s=300,
                grace_s=60,
                expires_at=until,
            )
            yield self._of(task_id, actor, progressed)
        return token

    def _of(self, task_id: str, actor: str, event: Event) -> Recorded:
        return self.record(Entity.TASK, task_id, actor, event)


def _end(fate: int, token: int, agent_id: str) -> Event:
    if fate < _CANCELLED:
        return ev.Cancelled(token=token, agent_id=agent_id, reason="not wanted any more")
    if fate < _CANCELLED + _FAILED:
        return ev.Failed(token=token, agent_id=agent_id, error="does not build")
    return ev.Completed(token=token, agent_id=agent_id, result=42, duration_s=60)


class _Maker:
    """Makes batches of messages, in a process of its own."""

    story: Iterator[Recorded]
    codec: CloudEventsCodec
    tail: str | None = None

    @classmethod
    def begin(cls, count: int) -> None:
        gc.disable()
        cls.story, cls.codec = Story().events(count), CloudEventsCodec(POOL)

    @classmethod
    def batch(cls, _: int) -> list[NewMessage]:
        messages, cls.tail = cls.codec.encode(list(itertools.islice(cls.story, MAX_BATCH_MESSAGES)), cls.tail)
        return messages


async def fill(broker: EmbeddedBroker, count: int, each_batch: Callable[[int], Awaitable[None]] | None = None) -> None:
    """Write a log; `each_batch` is told the position reached."""
    auth = broker.auth("writer")
    connection = await connect(broker.url, name="bench", auth=auth)
    await ensure_stream(connection, POOL)
    log = await NatsEventLog.open(connection, POOL)
    loop, position = asyncio.get_running_loop(), 0
    with ProcessPoolExecutor(1, get_context("spawn"), _Maker.begin, (count,)) as maker:
        ahead = deque(loop.run_in_executor(maker, _Maker.batch, each) for each in range(_AHEAD))
        while messages := await ahead.popleft():
            ahead.append(loop.run_in_executor(maker, _Maker.batch, 0))
            position = await log.append(messages, expected_position=position)
            if each_batch is not None:
                await each_batch(position)
    await log.close()
    await connection.close()


async def store_snapshots(broker: EmbeddedBroker, count: int, every: int) -> None:
    """Fold the log, and store a snapshot every so many events, as a service does."""
    auth = broker.auth("writer")
    connection = await connect(broker.url, name="bench", auth=auth)
    log = await NatsEventLog.open(connection, POOL)
    store = NatsSnapshots(JetStreamApi(connection), POOL, fold_build())
    memory = Memory(POOL, Rules(), CloudEventsCodec(POOL), outcomes=Settings().outcomes_remembered)
    for position in range(every, count + 1, every):
        began = time.perf_counter()
        await catch_up(memory, log, until=position)
        folded = time.perf_counter()
        document = encode(image_of(memory), fold_build())
        await store.put(position, document)
        print(
            f"snapshot of position {position:,}: {every / (folded - began):,.0f} events/s, then "
            f"{time.perf_counter() - folded:.2f} s for {len(document):,} bytes",
            flush=True,
        )
    await log.close()
    await connection.close()


async def make(directory: Path, count: int, every: int) -> None:
    """Write a log that stays, with a snapshot every so many events, 0 for none."""
    began = time.perf_counter()

    async def tell(position: int) -> None:
        if position % 100_000 == 0:
            print(f"{position:,} events, {position / (time.perf_counter() - began):,.0f}/s", flush=True)

    async with EmbeddedBroker(directory, BrokerOptions(sync_interval="2m")) as broker:
        await fill(broker, count, tell)
        if every:
            await store_snapshots(broker, count, every)


def main() -> None:
    """Parse the arguments and write the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("events", type=positive)
    parser.add_argument("--snapshots", type=natural, default=0, metavar="EVENTS", help="one every so many [none]")
    given = parser.parse_args()
    asyncio.run(make(given.directory, given.events, given.snapshots))


if __name__ == "__main__":
    main()
