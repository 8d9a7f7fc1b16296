"""`custody project --kv` is killed at any point while the pool goes on: the bucket comes to equal the log's fold."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from infra.broker.embedded import EmbeddedBroker
from infra.codec import CloudEventsCodec
from infra.nats.api import JetStreamApi
from infra.nats.connection import NatsConnection, connect
from infra.nats.event_log import NatsEventLog
from infra.nats.filtered_reader import read_matching
from infra.nats.stream import ensure_stream
from projections.read_models.document_projection import DocumentProjection
from tests.benchmarks.long_log import Story
from tests.support.until import until
from tests.system.projectors import POOL, projecting

pytestmark = [pytest.mark.system]

AGENTS = 10
BUCKET = f"CUSTODY_VIEWS_{POOL}"
PREFIX = f"$KV.{BUCKET}."
DYING = """
import os, signal, sys
import infra.cli.commands.project as command, infra.nats.kv_read_model as views
from infra.cli.main import main
from infra.nats.connection import NatsConnection

command.KV_EVENTS, views.MAX_BATCH_MESSAGES, left = {events}, {batch}, {moment}

def a_moment_passes():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

async def send(self, frames):
    for message in frames.split(b"HPUB $KV.")[1:]:
        # The broker has what was sent so far, and nothing behind it.
        await sent(self, b"HPUB $KV." + message)
        await self.client.flush()
        a_moment_passes()

async def append(self, writes):
    await appended(self, writes)
    a_moment_passes()

sent, NatsConnection.send = NatsConnection.send, send
appended, views.KvReadModel._append = views.KvReadModel._append, append
main()
"""
"""Dies by SIGKILL at the n-th moment: each time that one more message of a batch was sent, or a batch acknowledged."""
BETWEEN = 8
"""The first batch of seven is acknowledged, and there is more to write: a document for each agent at least."""
LIVING = DYING.format(events=20, batch=7, moment=-1)


class Site:
    """A log that grows, and the bucket beside it."""

    def __init__(self, connection: NatsConnection, log: NatsEventLog) -> None:
        self._log = log
        self._api = JetStreamApi(connection)
        self._story = Story(POOL, agents=AGENTS, open_tasks=4 * AGENTS).events(1_000_000)
        self._tail: str | None = None
        self._codec = CloudEventsCodec(POOL)

    async def append(self, count: int) -> None:
        """Append so many events at once."""
        messages, self._tail = self._codec.encode(list(itertools.islice(self._story, count)), self._tail)
        await self._log.append(messages, expected_position=await self._log.last_position())

    async def go_on(self) -> None:
        """Append one event after the other, for ever."""
        while True:
            await self.append(1)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Let the pool go on until the block is left."""
        work = asyncio.ensure_future(self.go_on())
        try:
            yield
            assert not work.done(), work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def spoil(self) -> None:
        """Write what does not belong there, as another writer might."""
        for key in ("lease.T-none", f"workload.a{AGENTS}", *(f"workload.a{number}" for number in range(AGENTS))):
            await self._api.connection.client.jetstream().publish(f"{PREFIX}{key}", b'{"spoilt": true}', timeout=5)

    async def last(self) -> int:
        return await self._log.last_position()

    async def contents(self) -> dict[str, Any]:
        """Every document, the position among them."""
        found = {}
        async for chunk in read_matching(self._api, f"KV_{BUCKET}", f"{PREFIX}>", after=0, until=2**62):
            found.update({each.subject.removeprefix(PREFIX): json.loads(each.body) for each in chunk if each.body})
        return found

    async def position(self) -> int:
        """How far the bucket says that it is; 0 where there is none."""
        return int((await self.contents()).get("position", {}).get("position", 0))

    async def check(self) -> int:
        """The bucket is the fold of the log up to its position; return that."""
        found = await self.contents()
        position = int(found.pop("position", {}).get("position", 0))
        memory = Memory(POOL, Rules(), self._codec, outcomes=0)
        await catch_up(memory, self._log, until=position)
        documents = DocumentProjection(memory.state).take_changes().documents
        assert found == {key: json.loads(document) for key, document in documents.items() if document is not None}
        return position


@pytest.fixture
async def site(users_broker: EmbeddedBroker) -> AsyncIterator[Site]:
    connection = await connect(users_broker.url, name="test", auth=users_broker.auth("writer"))
    await ensure_stream(connection, POOL)
    log = await NatsEventLog.open(connection, POOL)
    yield Site(connection, log)
    await log.close()
    await connection.close()


async def killed(directory: Path, broker: EmbeddedBroker, program: str, *arguments: str) -> None:
    """Run a projector that kills itself."""
    async with projecting(program, directory, broker, "--kv", *arguments) as dying:
        status = await dying.end()
    assert status == -signal.SIGKILL, dying.said


async def finish_catch_up(directory: Path, broker: EmbeddedBroker, site: Site, *arguments: str) -> None:
    """Let a projector go to the log's end, and compare."""
    async with projecting(LIVING, directory, broker, "--kv", "--once", *arguments) as running:
        assert await running.end() == 0, running.said
    assert await site.check() == await site.last()


async def test_killed_within_a_batch_or_behind_one_it_leaves_the_fold_of_some_position(
    users_broker: EmbeddedBroker, tmp_path: Path, site: Site
) -> None:
    await site.append(300)
    async with site.busy():
        await killed(tmp_path, users_broker, DYING.format(events=20, batch=1_000, moment=8))
        assert await site.position() == 0
        await killed(tmp_path, users_broker, DYING.format(events=20, batch=1_000, moment=150))
        assert await site.check() >= 300
    await finish_catch_up(tmp_path, users_broker, site)


async def test_killed_between_the_batches_of_one_write_it_is_mended_by_the_next_start(
    users_broker: EmbeddedBroker, tmp_path: Path, site: Site
) -> None:
    await site.append(300)
    async with site.busy():
        await killed(tmp_path, users_broker, DYING.format(events=20, batch=7, moment=BETWEEN))
        await site.spoil()
        await killed(tmp_path, users_broker, DYING.format(events=20, batch=7, moment=BETWEEN), "--rebuild")
        await site.spoil()
    await finish_catch_up(tmp_path, users_broker, site)


async def test_when_the_one_at_work_is_killed_the_one_that_stands_by_goes_on(
    users_broker: EmbeddedBroker, tmp_path: Path, site: Site
) -> None:
    await site.append(300)
    async with (
        projecting(LIVING, tmp_path, users_broker, "--kv") as one,
        projecting(LIVING, tmp_path, users_broker, "--kv") as other,
        site.busy(),
    ):

        async def one_stands_by() -> bool:
            return any("standing by" in each for each in (*one.said, *other.said))

        await until("one of them stands by", one_stands_by, lambda: (one.said, other.said))
        idle, working = (one, other) if any("standing by" in each for each in one.said) else (other, one)
        assert await working.end(signal.SIGKILL) == -signal.SIGKILL
        await idle.line("taking over")
        last = await site.last()

        async def written() -> bool:
            return await site.position() >= last

        await until(f"position {last}", written, lambda: idle.said)
        assert await idle.end(signal.SIGTERM) == 0, idle.said
        assert await site.check() >= last
