"""A broker that takes no messages as large as a reply can be: no lease is granted whose claimer could not be told."""

from pathlib import Path

import pytest

from domain.limits import MAX_REPLY_BYTES
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from tests.system.caller import Caller
from tests.system.processes import operator, serve
from tests.system.streams import last_position

pytestmark = pytest.mark.system

POOL = "default"
LIMIT = "infra.broker.embedded.MAX_PAYLOAD_BYTES"
SAID = rf"custody: the broker at \S+ takes messages of at most 300000 bytes, .*: set `max_payload: {MAX_REPLY_BYTES}`"


async def test_it_is_refused_at_the_start_with_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMIT, 300_000)
    async with (
        EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker,
        serve(broker, tmp_path) as service,
    ):
        assert await service.ended() == 1
        assert await service.line(SAID)
        assert not any("Traceback" in line for line in service.logged)


async def test_a_broker_that_comes_back_so_ends_the_service_before_it_grants_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker:
        async with (
            serve(broker, tmp_path) as service,
            operator(broker) as nc,
        ):
            await service.ready()
            await Caller(nc, POOL).done("agent.a.register")
            for number in range(8):
                await Caller(nc, POOL).done("ops.submit", task_id=f"T{number}", payload={"x": "x" * 60_000})
            end = await last_position(nc, POOL)
            await broker.stop()
            monkeypatch.setattr(LIMIT, 300_000)
            await broker.start()
            assert await service.ended() == 1
            assert await service.line(SAID)
        async with operator(broker) as nc:
            assert await last_position(nc, POOL) == end, "nothing was granted"


async def test_the_largest_claim_is_told_at_the_least_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMIT, MAX_REPLY_BYTES)
    async with (
        EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker,
        serve(broker, tmp_path) as service,
        operator(broker) as nc,
    ):
        await service.ready()
        ask = Caller(nc, POOL)
        await ask.done("agent.a.register", capacity=500)
        large = {"x": "x" * 65_000}
        for number in range(20):
            await ask.done("ops.submit", task_id=f"T{number}", payload=large)
        for checkpointed in (True, False):
            told = []
            while granted := (await ask.done("agent.a.claim", max=100))["leases"]:
                told += granted
            assert len(told) == 20
            for lease in told if checkpointed else ():
                held = {"task_id": lease["task_id"], "token": lease["token"]}
                await ask.done("agent.a.progress", **held, checkpoint=large, percent=1)
                await ask.done("agent.a.release", **held)
