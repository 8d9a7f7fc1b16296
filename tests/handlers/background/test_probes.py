"""A probe may extend a silent lease: at most twice, beside the writer, and everything is checked again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from domain.events.task import Expired, Extended
from domain.task import Lease, Task
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import PoolHarness

DUE_S = 240.0


class ScriptedProbe:
    """Answers as the test says; `slow` tasks wait until they are let go."""

    name = "scripted"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.evidence_for: dict[str, Sequence[str]] = {}
        self.slow: dict[str, asyncio.Event] = {}
        self.broken = False

    async def evidence(self, task: Task, lease: Lease) -> tuple[str, ...]:
        assert task.lease == lease
        self.asked.append(task.task_id)
        if task.task_id in self.slow:
            await self.slow[task.task_id].wait()
        if self.broken:
            raise ZeroDivisionError
        return tuple(self.evidence_for.get(task.task_id, ()))


@pytest.fixture
def probe() -> ScriptedProbe:
    return ScriptedProbe()


@pytest.fixture
async def probed(make_pool: MakePool, probe: ScriptedProbe) -> PoolHarness:
    return await make_pool(probe=probe)


async def test_without_evidence_the_lease_expires_on_time(probed: PoolHarness, probe: ScriptedProbe) -> None:
    await probed.holds("a", "T")
    await probed.advance(DUE_S - 0.1)
    assert probe.asked == []
    await probed.advance(0.2)
    assert probe.asked == ["T"]
    assert probed.task("T").status == "queued"


async def test_evidence_earns_an_extension_twice_and_no_more(probed: PoolHarness, probe: ScriptedProbe) -> None:
    token = await probed.holds("a", "T")
    probe.evidence_for["T"] = ["src/a.py", "src/b.py"]
    await probed.advance(DUE_S + 0.1)
    (first,) = (r.event for r in probed.records() if isinstance(r.event, Extended))
    assert (first.probe, first.for_s, first.extensions, first.token) == ("scripted", 300.0, 1, token)
    assert first.evidence == ("src/a.py", "src/b.py")
    assert (first.expires_at - probed.clock.now()).total_seconds() == pytest.approx(299.9, abs=0.001)

    await probed.advance(360)
    assert len(probed.events(Extended)) == 2
    await probed.advance(360)
    assert len(probed.events(Extended)) == 2
    assert len(probed.events(Expired)) == 1
    assert probe.asked == ["T", "T"]


async def test_what_was_heard_while_the_probe_looked_is_neither_extended_nor_judged(
    probed: PoolHarness, probe: ScriptedProbe
) -> None:
    for task_id in ("T", "U"):
        probe.slow[task_id] = asyncio.Event()
    probe.evidence_for["T"] = ["x"]
    await probed.holds("a", "T", "U")
    await probed.advance(DUE_S + 1)
    for task_id in ("T", "U"):
        await probed.given("agent.a.progress", task_id=task_id, token=probed.lease(task_id).token, percent=1)
        probe.slow[task_id].set()
    await probed.rest()
    assert not probed.events(Extended, Expired)
    await probed.advance(600)
    assert {recorded.entity_id for recorded in probed.events(Extended)} == {"T"}
    assert {recorded.entity_id for recorded in probed.events(Expired)} == {"U"}


async def test_a_lease_that_ended_while_the_probe_looked_is_let_be(probed: PoolHarness, probe: ScriptedProbe) -> None:
    probe.slow["T"] = asyncio.Event()
    probe.evidence_for["T"] = ["x"]
    token = await probed.holds("a", "T")
    await probed.advance(DUE_S + 1)
    await probed.given("agent.a.complete", task_id="T", token=token)
    probe.slow["T"].set()
    await probed.advance(10)
    assert probed.names()[-1] == "completed"


async def test_a_slow_probe_delays_no_other_lease(probed: PoolHarness, probe: ScriptedProbe) -> None:
    probe.slow["slow"] = asyncio.Event()
    await probed.holds("a", "slow")
    await probed.holds("b", "quick")
    await probed.submit("dated", deadline_s=DUE_S + 2)
    jumps = probed.clock.jumps
    await probed.advance(DUE_S + 3)
    statuses = [probed.task(each).status.value for each in ("slow", "quick", "dated")]
    assert statuses == ["assigned", "queued", "failed"]
    await probed.advance(200)
    assert probed.clock.jumps - jumps < 1000, "waiting for it does not spin"
    assert probe.asked.count("slow") == 1
    probe.slow["slow"].set()
    await probed.rest()
    assert probed.task("slow").status == "queued"


async def test_a_probe_extends_nothing_past_the_deadline(probed: PoolHarness, probe: ScriptedProbe) -> None:
    probe.evidence_for["T"] = ["x"]
    await probed.holds("a", "T", deadline_s=100.0)
    await probed.advance(101)
    assert probed.task("T").status == "failed"
    assert probe.asked == []


async def test_a_broken_probe_extends_no_lease(
    probed: PoolHarness, probe: ScriptedProbe, caplog: pytest.LogCaptureFixture
) -> None:
    probe.broken = True
    await probed.holds("a", "T")
    await probed.advance(DUE_S + 1)
    assert probed.task("T").status == "queued"
    assert "the probe scripted failed on task T" in caplog.text


async def test_many_leases_are_probed_at_once(probed: PoolHarness, probe: ScriptedProbe) -> None:
    tasks = [f"T{number}" for number in range(250)]
    probe.evidence_for = {task_id: ["x"] for task_id in tasks[::2]}
    await probed.holds("a", *tasks, capacity=300)
    await probed.advance(DUE_S + 2)
    assert len(probed.events(Extended)) == 125
    assert len(probed.events(Expired)) == 125
    assert len(probe.asked) == 250


async def test_stopping_does_not_wait_for_a_probe(probed: PoolHarness, probe: ScriptedProbe) -> None:
    probe.slow["T"] = asyncio.Event()
    await probed.holds("a", "T")
    await probed.advance(DUE_S + 1)
    await probed.stop()
    await probed.start()
    probe.slow["T"].set()
    await probed.rest()
    assert probed.lease("T").agent_id == "a"
