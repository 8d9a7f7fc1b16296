"""Consumers that an operator leaves behind: a broker allows a stream 1,000, and a start needs one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.nats import stream
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.system.caller import Caller
from tests.system.processes import operator, serve

if TYPE_CHECKING:
    from nats.aio.client import Client

pytestmark = pytest.mark.system

TOO_MANY = 10026
TOO_LONG = 10153
NS_PER_S = 10**9
SHORT_S = 3


async def made(nc: Client, name: str, **config: Any) -> Any:
    """Have the broker make a durable consumer of the log; return its answer."""
    wanted = {"durable_name": name, "name": name, "ack_policy": "explicit", **config}
    body = json.dumps({"stream_name": "CUSTODY_default", "config": wanted}).encode()
    return json.loads((await nc.request(f"$JS.API.CONSUMER.CREATE.CUSTODY_default.{name}", body, timeout=20)).data)


async def durable(nc: Client, name: str, **config: Any) -> int:
    """As `made`; return the error's code, 0 for none."""
    code: int = (await made(nc, name, **config)).get("error", {}).get("err_code", 0)
    return code


async def fill(nc: Client, **last: Any) -> None:
    """Make as many as the broker allows; `last`: the configuration of those behind the 900th."""
    codes: list[int] = []
    while TOO_MANY not in codes:
        config = last if len(codes) >= 900 else {}
        codes += await asyncio.gather(*(durable(nc, f"d{len(codes) + number}", **config) for number in range(100)))
    assert codes.count(0) >= 900


async def opened(broker: EmbeddedBroker) -> None:
    """Serve the pool, and stop."""
    await (await PoolServer(Settings(), broker.url).start(broker.auth)).stop()


async def test_those_that_nothing_uses_go_and_the_service_starts(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker:
        await opened(broker)
        async with operator(broker) as nc:
            assert await durable(nc, "long", inactive_threshold=3_600 * NS_PER_S) == TOO_LONG
            said_nothing = (await made(nc, "usual"))["config"]["inactive_threshold"]
            assert said_nothing == stream.IDLE_CONSUMER_S * NS_PER_S
            # Only the last ones go soon: a slow broker would delete the first before there are too many.
            await fill(nc, inactive_threshold=SHORT_S * NS_PER_S)
            async with serve(broker, tmp_path) as service:
                await service.ready()
                assert (await Caller(nc, "default").ask("query.health")).ok


async def test_where_they_stay_the_true_cause_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a stream of an earlier version, which has no limits for consumers."""
    whole = stream.stream_config

    def without_limits(*args: Any) -> dict[str, Any]:
        return {name: value for name, value in whole(*args).items() if name != "consumer_limits"}

    monkeypatch.setattr(stream, "stream_config", without_limits)
    async with EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker:
        await opened(broker)
        async with operator(broker) as nc:
            await fill(nc)
            async with serve(broker, tmp_path) as service:
                said = await service.line("cannot serve yet")
                assert "maximum consumers limit reached" in said
                assert "nats consumer ls CUSTODY_default" in said
                for number in range(10):
                    await nc.request(f"$JS.API.CONSUMER.DELETE.CUSTODY_default.d{number}", b"", timeout=10)
                await service.ready()
