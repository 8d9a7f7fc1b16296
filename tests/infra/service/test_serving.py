"""What a service prepares before it answers: its memory is settled, and the models of all requests are built."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.log_end import decode
from handlers.pool_service import PoolService
from handlers.writer.writer import SupersededError
from infra.broker.embedded import EmbeddedBroker
from infra.nats.api import JetStreamApi
from infra.nats.connection import NatsConnection, connect
from infra.nats.log_end_bucket import LogEndBucket
from infra.service import serving
from infra.service.serving import COLLECT_EVERY, PoolServer
from infra.service.transport import NatsTransport
from infra.settings.settings import Settings


async def test_what_lives_long_is_kept_from_the_collector_before_requests_are_taken(
    broker: EmbeddedBroker, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def told(name: str, *arguments: object) -> None:
        done.append(" ".join(map(str, (name, *arguments))))

    fake = SimpleNamespace(
        **{
            name: lambda *arguments, name=name: told(name, *arguments)
            for name in ("collect", "freeze", "set_threshold")
        }
    )
    monkeypatch.setattr(serving, "gc", fake)
    opened, listened = PoolService.open, NatsTransport.listen

    async def open_it(self: PoolService, *arguments: object) -> None:
        told("open")
        await opened(self, *arguments)

    async def listen(self: NatsTransport, *arguments: Any) -> None:
        told("listen")
        await listened(self, *arguments)

    monkeypatch.setattr(PoolService, "open", open_it)
    monkeypatch.setattr(NatsTransport, "listen", listen)
    server = PoolServer(Settings(pool=pool), broker.url)

    await server.start(broker.auth)
    await server.stop()

    # What was rebuilt is frozen too: of a million tasks nothing is traversed again.
    assert done == ["collect", "freeze", "set_threshold {} {} {}".format(*COLLECT_EVERY), "open", "freeze", "listen"]


async def test_a_service_that_another_one_superseded_leaves_the_end_of_the_log_to_that_one(
    broker: EmbeddedBroker, pool: str
) -> None:
    earlier, later = (PoolServer(Settings(pool=pool), broker.url) for _ in range(2))
    await earlier.start(broker.auth)
    await later.start(broker.auth)
    with pytest.raises(SupersededError):
        await earlier.served()
    await earlier.stop()

    asker = await connect(broker.url, name="test", auth=broker.auth("writer"))
    document = await LogEndBucket(JetStreamApi(asker), pool).read()
    await asker.close()
    assert document is not None
    end = decode(document, pool)
    assert end.may_reach > end.position, "it may grow further"
    await later.stop()


async def test_a_stop_that_fails_leaves_no_connection_open(
    broker: EmbeddedBroker, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, stop, close = PoolServer(Settings(pool=pool), broker.url), PoolService.stop, NatsConnection.close
    closed: list[NatsConnection] = []

    async def failing(self: PoolService) -> bool:
        await stop(self)
        raise RuntimeError("failed")

    async def closing(self: NatsConnection) -> None:
        closed.append(self)
        await close(self)

    monkeypatch.setattr(PoolService, "stop", failing)
    monkeypatch.setattr(NatsConnection, "close", closing)
    await server.start(broker.auth)
    with pytest.raises(RuntimeError, match="failed"):
        await server.stop()
    assert len(closed) == 2


_IN_A_FRESH_PROCESS = """
import gc
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from infra.service import serving
from projections.queries.questions import QUERIES

models = [*AGENT_COMMANDS.values(), *OPS_COMMANDS.values(), *QUERIES.values()]
assert not any(model.__pydantic_complete__ for model in models), "their build is deferred"
serving._build_request_models()
assert all(model.__pydantic_complete__ for model in models)
serving._tune_gc()
assert gc.get_freeze_count() > 10_000
assert gc.get_threshold() == serving.COLLECT_EVERY
"""


def test_no_caller_waits_for_a_model_to_be_built_and_the_program_is_not_traversed() -> None:
    subprocess.run([sys.executable, "-c", _IN_A_FRESH_PROCESS], check=True, timeout=60)
