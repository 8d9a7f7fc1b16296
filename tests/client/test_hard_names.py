"""Two processes of one name, a steal while a task starts, and a broker that is killed alone: with real processes."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from custody_client import Client
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from tests.client.conftest import eventually
from tests.client.fleet import LEASE, RESULT_S, Fleet, events_of, eventually_at, tokens
from tests.support.process_state import process_state
from tests.system.processes import Service, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.system


async def test_of_two_processes_of_one_name_the_first_ends_and_says_why(fleet: Fleet, client: Client) -> None:
    first = await fleet.worker("w1")
    task = await client.submit("first hangs", fleet.job(), task_id="T")
    await eventually_at(task, 30)
    await fleet.worker("w1")
    assert await task.result(RESULT_S) == 3, "it went on at the checkpoint"
    async with asyncio.timeout(RESULT_S):
        assert await first.wait() == 1
    assert "another process of this name has registered, so this one ends" in fleet.log("w1")
    assert "Traceback" not in fleet.log("w1")
    assert tokens(fleet.notes("stopped")) == tokens(fleet.notes("began at"))[:1]
    events = await fleet.events("T")
    assert (events["task.completed"], events["task.released"], events["task.expired"]) == (1, 1, 0)


async def test_of_two_that_start_at_once_one_works_and_the_other_ends(fleet: Fleet, client: Client) -> None:
    tasks = [await client.submit("steps", fleet.job(steps=3, step_s=0.05), task_id=f"T{each}") for each in range(6)]
    both = [await fleet.worker("w1"), await fleet.worker("w1")]
    results = [await task.result(RESULT_S) for task in tasks]
    assert all(1 <= attempt <= 3 for attempt in results)
    await eventually(lambda: [each.returncode for each in both].count(1) == 1)
    assert [each.returncode for each in both].count(None) == 1
    for task in tasks:
        assert (await fleet.events(task.task_id))["task.completed"] == 1


async def test_a_task_that_is_stolen_while_it_starts_is_the_thiefs_alone(fleet: Fleet, client: Client) -> None:
    first = await fleet.worker("w1")
    lease = {"mode": "fixed", "lease_s": 60, "grace_s": 5}
    task = await client.submit("stands still", fleet.job(**{"in": "w1"}), task_id="T", lease=lease)
    await fleet.noted("began")
    await eventually(lambda: process_state(first.pid) == "T")
    assert (await task.state()).status == "assigned"
    await fleet.worker("w2")
    await _registered(client, "w2")
    await client.act("steal", **{"from": "w1", "to": "w2"}, task_ids=["T"])
    token = await task.result(RESULT_S)
    first.send_signal(signal.SIGCONT)
    await fleet.noted("stopped")
    (stale,) = tokens(fleet.notes("began"))
    (stopped,) = fleet.notes("stopped")
    assert stopped.split()[1] == stale
    assert tokens(fleet.notes("ended")) == [str(token)]
    assert int(stale) < token
    outcome = (await task.state()).outcome
    assert outcome is not None
    assert (outcome.agent_id, outcome.token) == ("w2", token)
    events = await fleet.events("T")
    assert (events["task.completed"], events["task.stolen"]) == (1, 1)


async def _registered(client: Client, name: str) -> None:
    """Wait until an agent is registered."""
    async with asyncio.timeout(RESULT_S):
        while not (await client.query("agents", agent_id=name))["agents"]:
            pass


class Apart(NamedTuple):
    """A broker of its own, which the test may kill, a service on it, and workers and a client that know its address."""

    broker: EmbeddedBroker
    service: Service
    fleet: Fleet
    client: Client


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[Apart]:
    options = BrokerOptions(sync_interval="2m")
    async with (
        EmbeddedBroker(tmp_path / "broker", options) as broker,
        serve(broker, tmp_path) as service,
    ):
        await service.ready()
        operator = broker.credentials("operator")
        url = broker.url.replace("//", f"//operator:{operator['password']}@")
        fleet = Fleet(tmp_path, {"CUSTODY_NATS": url}, {"servers": broker.url, **operator})
        async with Client(url) as client:
            yield Apart(broker, service, fleet, client)
        await fleet.end()


async def test_a_broker_that_is_killed_alone_costs_no_task(apart: Apart) -> None:
    worker = await apart.fleet.worker("w1")
    lease = {"mode": "fixed", "lease_s": 60, "grace_s": 5}
    job = apart.fleet.job(steps=10, step_s=0.1, stays_at=3)
    task = await apart.client.submit("steps", job, task_id="T", lease=lease)
    result = asyncio.create_task(task.result(RESULT_S))
    watched = asyncio.create_task(_names(apart.client, "T"))
    await eventually_at(task, 20)
    await apart.broker.kill()
    apart.fleet.let_go()
    await asyncio.sleep(1)
    await apart.broker.start()
    assert await result == 1
    names = await asyncio.wait_for(watched, RESULT_S)
    assert (names.count("leased"), names.count("completed"), "expired" in names) == (1, 1, False)
    assert worker.returncode is None
    assert apart.service.pid


async def test_a_broker_that_is_killed_with_a_completion_in_flight_has_it_once(apart: Apart) -> None:
    await apart.fleet.worker("w1")
    task = await apart.client.submit("blocks", apart.fleet.job(), task_id="T")
    await apart.fleet.noted("began")
    await apart.broker.kill()
    # The handler ends while there is no broker; its completion is repeated until there is one.
    apart.fleet.let_go()
    await asyncio.sleep(1)
    await apart.broker.start()
    assert await task.result(RESULT_S) == 1
    assert (await _names(apart.client, "T")).count("completed") == 1


async def test_a_broker_that_is_away_for_longer_than_the_lease_leaves_one_outcome(apart: Apart) -> None:
    await apart.fleet.worker("w1")
    job = apart.fleet.job(steps=40, step_s=0.02, stays_at=8)
    task = await apart.client.submit("steps", job, task_id="T", lease=LEASE)
    await eventually_at(task, 20)
    await apart.broker.kill()
    await apart.fleet.noted("stopped")  # its term ran out here, without an answer
    apart.fleet.let_go()
    await apart.broker.start()
    assert await task.result(RESULT_S) >= 2
    assert (await _names(apart.client, "T")).count("completed") == 1
    first, *_, last = apart.fleet.notes("began at")
    assert tokens(apart.fleet.notes("stopped"))[0] == tokens([first])[0]
    assert int(last.split()[-1]) >= 8, "the next attempt went on at the checkpoint"


async def _names(client: Client, task_id: str) -> list[str]:
    """The names of a task's events up to its completion."""
    return [event.name async for event in events_of(client, task_id)]
