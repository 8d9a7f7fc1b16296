"""A real Prometheus with the profile's files scrapes a real service: every panel and every alert has an answer."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from infra.broker.embedded import EmbeddedBroker
from tests.support.checkout import ROOT
from tests.support.ports import free_port
from tests.support.promtool import REQUIRED
from tests.support.requirements import missing
from tests.support.until import until
from tests.system.caller import Caller
from tests.system.processes import operator, serve

pytestmark = pytest.mark.system
PROMETHEUS = ROOT / "infra" / "metrics" / "prometheus"
DASHBOARD = ROOT / "infra" / "metrics" / "grafana" / "dashboards" / "custody.json"
EXPIRING = {"mode": "fixed", "lease_s": 0.3, "grace_s": 0.1}
INTERVAL = "250ms"


class Prometheus:
    """Its HTTP API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer; None while it cannot be reached."""
        try:
            answer = await self._client.get(f"/api/v1/{path}", params=parameters)
        except httpx.TransportError:
            return None
        document = answer.json()
        assert document["status"] == "success", (parameters, document)
        return document["data"]

    async def values(self, expression: str) -> list[float]:
        """The values that an expression has now, but for those that are no number."""
        found = await self.get("query", query=expression)
        numbers = [float(each["value"][1]) for each in found["result"]] if found is not None else []
        return [each for each in numbers if math.isfinite(each)]


@asynccontextmanager
async def prometheus(directory: Path, target: int) -> AsyncIterator[Prometheus]:
    """Prometheus with the profile's own files, but for the target's address and the intervals."""
    program = shutil.which("prometheus")
    if program is None:
        missing("prometheus is not installed (Debian's package prometheus)", REQUIRED)
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (scrape,) = config["scrape_configs"]
    (static,) = scrape["static_configs"]
    assert static["targets"] == ["custody:9464"]
    static["targets"] = [f"127.0.0.1:{target}"]
    config["global"] = dict.fromkeys(config["global"], INTERVAL)
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(PROMETHEUS / "custody.rules.yml", directory)
    port = free_port()
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield Prometheus(client)
    finally:
        process.kill()
        await process.wait()


async def work(ask: Caller) -> None:
    """Have something happen of all that a panel shows."""
    for name in ("a1", "a2"):
        await ask.done(f"agent.{name}.register", capacity=100)
    for number in range(40):
        token = (await ask.assigned("a1", task_id=f"T{number}"))["token"]
        if number % 3:
            await ask.done("agent.a1.progress", task_id=f"T{number}", token=token, percent=50)
        await ask.done("agent.a1.complete", task_id=f"T{number}", token=token)
    silent = (await ask.assigned("a1", task_id="silent", lease=EXPIRING))["token"]

    async def expired() -> bool:
        return bool((await ask.task("silent"))["status"] == "queued")

    await until("an expiry", expired, lambda: None)
    await ask.refused("agent.a1.progress", "stale_token", task_id="silent", token=silent, percent=60)
    for number in range(2):
        await ask.assigned("a1", task_id=f"S{number}")
    await ask.done("ops.steal", {"from": "a1", "to": "a2", "count": 1})
    token = (await ask.assigned("a2", task_id="Q", budgets={"attempts": 1}))["token"]
    await ask.done("agent.a2.fail", task_id="Q", token=token, error="no", retryable=True)
    await ask.done("ops.submit", task_id="nobody", required_capabilities=["gpu"])


def panels() -> list[tuple[str, str]]:
    """Title and expression of each panel, with the dashboard's variables filled in."""
    return [
        (panel["title"], target["expr"].replace("$pool", ".*").replace("$__rate_interval", "1m"))
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


async def test_every_panel_shows_a_pool_at_work_and_every_alert_is_evaluated(
    broker: EmbeddedBroker, pool: str, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        serve(broker, tmp_path, pool=pool, metrics_port=port) as service,
        prometheus(tmp_path, port) as asked,
        operator(broker) as nc,
    ):
        await service.ready()

        async def scraped() -> bool:
            return await asked.values('count_over_time(up{job="custody"}[1m]) * up > 2') != []

        await until("three scrapes", scraped, (tmp_path / "log").read_text)
        await work(Caller(nc, pool))
        worked_at = time.time()

        async def scraped_since() -> bool:
            return await asked.values(f"timestamp(custody_leader) > {worked_at}") != []

        # An earlier scrape may have a value for every panel and yet be of the middle of the work.
        await until("a scrape that began after the work", scraped_since, (tmp_path / "log").read_text)
        empty = dict(enumerate(panels()))

        async def shown() -> bool:
            for number, (_, expression) in [*empty.items()]:
                if await asked.values(expression):
                    del empty[number]
            return not empty

        await until("a value in every panel", shown, lambda: empty)
        by_title = {title: await asked.values(expression) for title, expression in reversed(panels())}
        assert by_title["Led"] == [1.0]
        assert by_title["Quarantined"] == [1.0]
        assert (by_title["Queued"], by_title["Held"]) == ([2.0], [2.0])
        assert by_title["Expired, last hour"][0] == pytest.approx(1.0, abs=0.5)
        assert by_title["False recoveries, last hour"][0] == pytest.approx(1.0, abs=0.5)
        assert 0 < by_title["Oldest ready"][0] < 60
        assert all(0 <= each < 5 for title in ("Wait", "Hold", "A command", "An append") for each in by_title[title])
        assert await asked.get("label/pool/values", **{"match[]": "custody_leader"}) == [pool]

        async def evaluated() -> bool:
            (group,) = (await asked.get("rules"))["groups"]
            return all(rule["health"] == "ok" for rule in group["rules"])

        await until("every rule evaluated", evaluated, (tmp_path / "log").read_text)
        await pending(asked, "CustodyQuarantined")
        assert await asked.values('ALERTS{alertstate="firing"}') == []
        await service.kill()
        await pending(asked, "CustodyDown")


async def pending(asked: Prometheus, alert: str) -> None:
    """Wait until an alert is noticed; it fires later."""

    async def noticed() -> bool:
        return await asked.values(f'ALERTS{{alertname="{alert}", alertstate="pending"}}') == [1.0]

    await until(f"{alert} pending", noticed, lambda: None)
