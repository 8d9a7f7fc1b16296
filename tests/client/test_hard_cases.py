"""What a worker has to live through, with real processes: kills, stops, restarts, other ports, blocked loops."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from custody_client import Client
from tests.client.conftest import KEPT, eventually
from tests.client.fleet import LEASE, RESULT_S, Fleet, Up, events_of, eventually_at, eventually_renewed, tokens
from tests.support.ports import free_port
from tests.support.process_state import is_running
from tests.system.processes import Service, access

pytestmark = pytest.mark.system


async def test_killed_in_the_middle_the_next_process_goes_on_from_the_checkpoint(fleet: Fleet, client: Client) -> None:
    first = await fleet.worker("w1")
    task = await client.submit("steps", fleet.job(steps=12, step_s=0.1, stays_at=4), task_id="T")
    await eventually_at(task, 25)
    first.kill()
    await first.wait()
    fleet.let_go()
    await fleet.worker("w1")
    assert await task.result(RESULT_S) == 2
    (_, again) = fleet.notes("began at")
    assert int(again.split()[-1]) >= 3
    events = await fleet.events("T")
    assert (events["task.completed"], events["task.leased"], events["task.released"]) == (1, 2, 1)


async def test_killed_while_it_waits_for_work_it_takes_none_with_it(fleet: Fleet, client: Client) -> None:
    first = await fleet.worker("w1")
    assert await (await client.submit("quick", fleet.job())).result(RESULT_S) == 1
    first.kill()
    await first.wait()
    # Granted to the claim of the dead process, which the next one gives back, or to the next one.
    task = await client.submit("quick", fleet.job(), task_id="T")
    await fleet.worker("w1")
    assert await task.result(RESULT_S) in {1, 2}
    assert (await fleet.events("T"))["task.expired"] == 0


async def test_stopped_for_longer_than_its_lease_its_handler_is_stopped_and_nothing_is_overwritten(
    fleet: Fleet, client: Client
) -> None:
    first = await fleet.worker("w1")
    task = await client.submit("steps", fleet.job(steps=10, step_s=0.02, stays_at=3), task_id="T", lease=LEASE)
    await eventually_at(task, 30)
    first.send_signal(signal.SIGSTOP)
    await fleet.worker("w2")
    await fleet.noted("began at", 2)
    fleet.let_go()
    first.send_signal(signal.SIGCONT)
    assert await task.result(RESULT_S) == 2
    await fleet.noted("stopped")
    state = await task.state()
    (stale, current) = tokens(fleet.notes("began at"))
    assert tokens(fleet.notes("stopped")) == [stale]
    assert state.outcome is not None
    assert str(state.outcome.token) == current
    events = await fleet.events("T")
    assert (events["task.completed"], events["task.expired"]) == (1, 1)


async def test_the_service_comes_back_on_another_port(up: Up, tmp_path: Path) -> None:
    await up.fleet.worker("w1")
    before = access(up.data)["servers"]
    task = await up.client.submit("steps", up.fleet.job(steps=20, step_s=0.1), task_id="T")
    result = asyncio.create_task(task.result(RESULT_S))
    await up.fleet.noted("began at")
    await up.service.kill()
    async with Service("up", tmp_path, broker_sync_interval="2m", broker_port=free_port()) as again:
        await again.ready()
        assert access(up.data)["servers"] != before
        assert await result == 1


async def test_the_service_is_replaced_while_a_completion_is_in_flight(up: Up) -> None:
    await up.fleet.worker("w1")
    task = await up.client.submit("blocks", up.fleet.job(), task_id="T")
    await up.fleet.noted("began")
    await up.service.kill()
    up.fleet.let_go()
    # It completes while there is no service, and says so until there is one.
    await asyncio.sleep(1)
    await up.service.start()
    await up.service.ready()
    assert await task.result(RESULT_S) == 1
    names = [event.name async for event in events_of(up.client, "T")]
    assert [name for name in names if name != "started"] == ["submitted", "leased", "completed"]


async def test_an_outage_that_is_shorter_than_the_lease_costs_nothing(up: Up) -> None:
    await up.fleet.worker("w1")
    lease = {"mode": "fixed", "lease_s": 60, "grace_s": 5}
    task = await up.client.submit("steps", up.fleet.job(steps=30, step_s=0.1), task_id="T", lease=lease)
    watching = asyncio.create_task(positions_until_completed(up.client))
    await up.fleet.noted("began at")
    await up.service.kill()
    await up.service.start()
    await up.service.ready()
    assert await task.result(RESULT_S) == 1
    positions = await asyncio.wait_for(watching, RESULT_S)
    assert positions == list(range(1, positions[-1] + 1)), "no event is missed, and none comes twice"


async def positions_until_completed(client: Client) -> list[int]:
    """The positions of all events up to a completion."""
    positions = []
    async for event in client.watch(after=0):
        positions.append(event.position)
        if event.name == "completed":
            break
    return positions


async def test_a_handler_that_blocks_the_event_loop_keeps_its_lease(fleet: Fleet, client: Client) -> None:
    await fleet.worker("w1")
    task = await client.submit("blocks", fleet.job(), task_id="T", lease=KEPT)
    await fleet.noted("began")
    await eventually_renewed(client, "T", 3)
    fleet.let_go()
    assert await task.result(RESULT_S) == 1
    assert (await fleet.events("T"))["task.expired"] == 0


async def test_a_cancel_reaches_a_thread_that_sleeps_long_before_the_next_beat(fleet: Fleet, client: Client) -> None:
    await fleet.worker("w1")
    task = await client.submit("sleeps", fleet.job(), task_id="T")
    await fleet.noted("began")
    await task.cancel()
    # A beat is due in a minute.
    async with asyncio.timeout(20):
        await fleet.noted("stopped")


@pytest.mark.parametrize("end", ["cancelled", "killed"])
async def test_a_program_of_a_handler_ends_with_it(fleet: Fleet, client: Client, end: str) -> None:
    first = await fleet.worker("w1")
    file = fleet.directory / "pid"
    task = await client.submit("runs", fleet.job(pid=str(file)), task_id="T")
    await eventually(lambda: file.exists() and bool(file.read_text().strip()))
    pid = int(file.read_text())
    if end == "killed":
        first.kill()
    else:
        await task.cancel()
    await eventually(lambda: not is_running(pid))


async def test_a_hundred_slots_in_a_process(fleet: Fleet, client: Client) -> None:
    await fleet.worker("w1", "--slots", "100")
    job = fleet.job(steps=3, step_s=0.1, stays_at=1)
    tasks = [await client.submit("steps", job, lease=KEPT, task_id=f"T{number}") for number in range(100)]
    for task in tasks:
        await eventually_renewed(client, task.task_id, 2)
    fleet.let_go()
    assert await asyncio.gather(*(task.result(RESULT_S) for task in tasks)) == [1] * 100


async def test_a_storm_of_submits_makes_each_task_once(fleet: Fleet, client: Client) -> None:
    await fleet.worker("w1", "--slots", "16")
    storm = [client.submit("quick", fleet.job(), task_id=f"T{number % 200}") for number in range(600)]
    tasks = await asyncio.gather(*storm)
    assert Counter(task.was for task in tasks)["new"] == 200
    assert await asyncio.gather(*(task.result(RESULT_S) for task in tasks[:200])) == [1] * 200
