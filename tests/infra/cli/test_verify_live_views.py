"""A running service is held against its log, whatever it does meanwhile; and a log with holes is read to its end."""

import asyncio
import re

import pytest
from msgspec.structs import replace

from infra.nats.contract_client import CustodyClient
from infra.service.serving import PoolServer
from tests.infra.cli.conftest import Run
from tests.support.broker import Connect


@pytest.fixture
async def busy(ask: Run) -> Run:
    """Three tasks: `T1` in progress, `T2` done, `T3` queued; positions 1 to 10."""
    await ask("agent", "register", "a1", "--capacity", "5")
    for name in ("T1", "T2", "T3"):
        await ask("submit", name)
    await ask("agent", "claim", "a1", "--max", "2")
    await ask("agent", "start", "a1", "T2", "--token", "8")
    await ask("agent", "complete", "a1", "T2", "--token", "8")
    return ask


async def test_the_live_views_are_held_against_the_log(busy: Run) -> None:
    report = (await busy("verify", "--json")).json
    assert (report["ok"], report["live_differences"], report["not_compared"]) == (True, [], None)
    assert (report["compared_at"], report["compared_rows"]) == (report["position"], 6)
    assert (
        f"live views: 6 rows at position {report['position']} are what the log makes them" in (await busy("verify")).out
    )


async def test_tasks_that_have_left_memory_are_read_from_the_log_and_need_no_comparison(
    monkeypatch: pytest.MonkeyPatch, ask: Run
) -> None:
    monkeypatch.setattr("projections.state.ended_entities.RECENT_ENTITIES", 2)
    names = ["zero", "T1", "T2", "T3"]
    for name in names:
        await ask("submit", name)
        await ask("cancel", name)
    await ask("submit", "live")
    shown = await ask("query", "tasks")
    assert re.search(r"more with --after 'ended: \d+'$", shown.lines[-1])
    before = shown.lines[-1].partition("--after ")[2].strip("'")
    rest = await ask("query", "tasks", "--after", before)
    assert [line.split()[0] for line in rest.lines[1:]] == ["T1", "zero"]
    report = (await ask("verify", "--json")).json
    assert (report["ok"], report["live_differences"], report["not_compared"]) == (True, [], None)
    assert report["compared_rows"] == 3


async def test_a_service_that_tells_another_story_is_found_out(busy: Run, run: Run, service: PoolServer) -> None:
    state = service.pool.memory.state
    task = state.tasks["T3"]
    state.tasks["T3"] = replace(task, attempt=7)
    result = await run("verify")
    assert result.status == 1
    assert "live views: task T3: the service says attempt 7, and the log makes it 1" in result.out
    assert result.err == ""
    report = (await run("verify", "--json")).json
    assert (report["ok"], report["findings"], len(report["live_differences"])) == (False, 0, 1)


async def test_a_service_that_is_ahead_of_its_log_is_found_out(busy: Run, run: Run, service: PoolServer) -> None:
    end = service.pool.memory.state.position
    service.pool.memory.state.skip(end + 5)
    result = await run("verify")
    assert result.status == 1
    assert f"the service answers at position {end + 5}: " in result.out
    assert f"ends at position {end}" in result.out


async def test_without_a_service_the_log_alone_is_verified(busy: Run, run: Run, service: PoolServer, pool: str) -> None:
    await service.stop()
    result = await run("verify")
    assert (result.status, result.err) == (0, "")
    assert f"live views: not compared: no service answers for pool {pool}" in result.out
    assert (await run("verify", "--json")).json["compared_at"] is None


async def test_a_pool_is_verified_while_it_works(busy: Run, connect: Connect, pool: str) -> None:
    client, verified = CustodyClient(await connect("operator"), pool), asyncio.Event()
    submitted = 0

    async def work() -> None:
        nonlocal submitted
        while not verified.is_set():
            await client.request("ops.submit", {"task_id": f"more-{submitted}"})
            submitted += 1

    working = asyncio.create_task(work())
    report = (await busy("verify", "--json")).json
    verified.set()
    await working
    assert (report["ok"], report["live_differences"]) == (True, [])
    assert report["compared_at"] >= report["position"] >= 10
    assert (await busy("verify", "--json")).json["tasks"] == submitted + 3


async def test_holes_in_a_log_are_named_and_the_rest_is_checked(run: Run, connect: Connect, pool: str) -> None:
    js = (await connect("admin")).jetstream()
    await js.add_stream(name=f"CUSTODY_{pool}", subjects=[f"custody.{pool}.evt.>"], allow_direct=True)
    for number in range(1, 10):
        await js.publish(f"custody.{pool}.evt.task.T.odd", b"%d" % number)
    for position in (3, 4, 9):
        await js.delete_msg(f"CUSTODY_{pool}", position)
    result = await run("verify", "--json")
    report = result.json
    found = [f"{each['position']}: {each['message']}" for each in report["wrong"] if each["rule"] == "position"]
    assert found == ["3: positions 3 to 4 are missing", "9: position 9 is missing"]
    assert (report["unreadable_events"], report["first_wrong_position"]) == (6, 1)
    assert "events are missing" in report["not_compared"]


async def test_a_log_whose_beginning_was_dropped_is_found_out(busy: Run, run: Run, connect: Connect, pool: str) -> None:
    """As who may update streams can do: `deny_delete` does not hold `max_msgs` off."""
    js = (await connect("admin")).jetstream()
    info = await js.stream_info(f"CUSTODY_{pool}")
    info.config.max_msgs = info.state.messages - 3
    info.config.discard = "old"  # type: ignore[assignment] # the library takes the word
    await js.update_stream(info.config)
    result = await run("verify")
    assert result.status == 1
    assert "position 1: position: positions 1 to 3 are missing" in result.out
    assert "max_msgs: found " in result.out
