"""A worker on a real service: how it is stopped, comes back, and beats."""

import asyncio
import threading
import time
from functools import partial
from typing import Any

import pytest

from custody_client import Client, Held, LeaseLost, NotUpError, StaleSession, SyncHeld
from custody_client.address import Address, find_address
from tests.client.conftest import KEPT, SHORT, Place, eventually

RESULT_S = 60.0


@pytest.mark.parametrize("form", ["async def", "def"])
async def test_a_cancelled_task_stops_its_handler(place: Place, client: Client, form: str) -> None:
    worker = place.worker(slots=2)
    began, stopped = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    seen: list[LeaseLost | None] = []

    @worker.task("async def")
    async def in_loop(held: Held[None]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(held.lost)
            stopped.set()

    @worker.task("def")
    def in_thread(held: SyncHeld[None]) -> None:
        loop.call_soon_threadsafe(began.set)
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # noqa: BLE001 - the point: this does not keep it from stopping
            return
        finally:
            seen.append(held.lost)
            stopped.set()

    async with place.working(worker):
        task = await client.submit(form, task_id="T", lease=KEPT)
        await began.wait()
        await task.cancel("not needed")
        assert await asyncio.to_thread(stopped.wait, RESULT_S)
        assert (await task.state()).status == "cancelled"
    assert seen[0] is not None
    assert (seen[0].task_id, seen[0].status) == ("T", "cancelled")


async def test_a_task_that_is_stolen_while_it_starts_is_stopped_and_says_who_has_it(
    place: Place, client: Client
) -> None:
    worker = place.worker()
    losses: list[LeaseLost | None] = []
    began, stopped = asyncio.Event(), asyncio.Event()

    @worker.task("report")
    async def report(held: Held[int]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            losses.append(held.lost)
            with pytest.raises(LeaseLost):
                await held.progress(1, checkpoint=1)
            stopped.set()

    async with place.working(worker):
        await place.ask.done("agent.other.register", capabilities=["report"])
        await client.submit("report", task_id="T")
        await began.wait()
        await place.ask.done("ops.steal", {"from": "w1", "to": "other", "task_ids": ["T"]})
        async with asyncio.timeout(RESULT_S):
            await stopped.wait()
    assert losses[0] is not None
    assert losses[0].holder == "other"
    assert "other has it now" in str(losses[0])
    assert (await place.ask.task("T"))["agent_id"] == "other"


async def test_a_task_that_was_taken_while_there_was_no_connection_is_stopped_soon_after(
    place: Place, client: Client
) -> None:
    worker, away, cut_off = place.worker(), False, set()
    began, stopped = asyncio.Event(), asyncio.Event()
    find = partial(find_address, place.url)

    def find_unless_away() -> Address:
        if away:
            cut_off.add(threading.current_thread())
            raise NotUpError("the test cuts this worker off")
        return find()

    worker.connect_by(find_unless_away, pool=place.pool)

    @worker.task("report")
    async def report(held: Held[int]) -> None:
        await held.progress(10, checkpoint=1)
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with place.working(worker):
        task = await client.submit("report")
        await began.wait()
        away = True
        worker.drop_connections()
        await eventually(lambda: len(cut_off) == 2)
        await task.cancel("not needed")
        away = False
        # Its lease runs for minutes: no beat is due for its sake before this one's time is up.
        async with asyncio.timeout(30):
            await stopped.wait()


async def test_a_shielded_section_is_finished_first(place: Place, client: Client) -> None:
    worker = place.worker()
    began = asyncio.Event()
    wrote: list[str] = []

    @worker.task("report")
    async def report(held: Held[int]) -> None:
        with held.shield():
            began.set()
            await eventually(lambda: held.cancelled)
            wrote.append("both halves")
        await asyncio.Event().wait()
        wrote.append("never")

    async with place.working(worker):
        task = await client.submit("report", lease=KEPT)
        await began.wait()
        await task.cancel()
        await place.until(task.task_id, "cancelled")
    assert wrote == ["both halves"]


async def test_an_agent_that_was_deregistered_registers_again(place: Place, client: Client) -> None:
    worker = place.worker(wait_s=0.2)

    @worker.task("report")
    async def report() -> str:
        return "done"

    async with place.working(worker):
        assert await (await client.submit("report")).result(RESULT_S) == "done"
        await client.act("deregister", agent_id="w1")
        assert await (await client.submit("report")).result(RESULT_S) == "done"


async def test_what_an_earlier_process_held_is_given_back_and_claimed_again(place: Place, client: Client) -> None:
    await place.ask.done("agent.w1.register", session="earlier", capabilities=["report"])
    task = await client.submit("report")
    lease = (await place.ask.done("agent.w1.claim", session="earlier"))["leases"][0]
    held = {"task_id": task.task_id, "token": lease["token"], "session": "earlier"}
    await place.ask.done("agent.w1.progress", **held, percent=50, checkpoint=5)
    worker = place.worker()

    @worker.task("report")
    async def report(held: Held[int]) -> Any:
        return held.checkpoint

    async with place.working(worker):
        assert await task.result(RESULT_S) == 5


async def test_of_two_processes_under_one_name_the_later_one_stays(place: Place, client: Client) -> None:
    first, second = place.worker(), place.worker()
    began = asyncio.Event()
    stopped: list[LeaseLost | None] = []

    @first.task("report")
    async def endless(held: Held[int]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(held.lost)

    @second.task("report")
    async def report() -> str:
        return "by the second"

    serving = asyncio.create_task(first.serve())
    task = await client.submit("report", lease=KEPT)
    await began.wait()
    async with place.working(second):
        with pytest.raises(StaleSession):
            await asyncio.wait_for(serving, RESULT_S)
        assert await task.result(RESULT_S) == "by the second"
    assert "another process" in str(stopped[0])


async def test_a_lease_that_was_not_claimed_here_is_found_by_the_beats(place: Place, client: Client) -> None:
    worker = place.worker(slots=2, capabilities=["aside"])
    finish = asyncio.Event()

    @worker.task("long")
    async def long() -> None:
        await finish.wait()

    @worker.task("aside")
    async def aside() -> str:
        finish.set()
        return "done"

    async with place.working(worker):
        task = await client.submit("long", lease=KEPT)
        await place.until(task.task_id, "in_progress")
        (agent,) = (await place.ask.done("query.agents", agent_id="w1"))["agents"]
        await place.ask.done("ops.pause")
        lost = await client.submit("aside", lease=KEPT)
        claim = place.ask.done("agent.w1.claim", session=agent["session"], wait_s=5)
        asked = asyncio.create_task(claim)
        await place.ask.done("ops.resume")
        await asked
        assert await lost.result(RESULT_S) == "done"


async def test_a_task_without_a_handler_is_given_back(place: Place, client: Client) -> None:
    worker = place.worker()

    @worker.task("report")
    async def report() -> None: ...

    async with place.working(worker):
        task = await client.submit()
        state = await place.until(task.task_id, lambda task: bool(task["releases"]))
    assert state["not_before"] is not None
    assert "no handler" in state["handoff"]["reason"]


async def test_reports_are_coalesced_and_a_new_checkpoint_is_sent_at_once(place: Place, client: Client) -> None:
    worker = place.worker()

    @worker.task("report")
    async def report(held: Held[int]) -> None:
        for step in range(50):
            await held.progress(step, checkpoint=step // 25)

    async with place.working(worker):
        task = await client.submit("report")
        await task.result(RESULT_S)
    names = [event.name async for event in _until_completed(client, task.task_id)]
    assert names.count("progressed") == 2


async def _until_completed(client: Client, task_id: str) -> Any:
    async for event in client.watch(task_id=task_id, after=0):
        yield event
        if event.name == "completed":
            return


async def test_a_handler_without_progress_loses_its_task_and_its_sibling_does_not(place: Place, client: Client) -> None:
    worker = place.worker(slots=2)
    hung = asyncio.Event()
    go_on = asyncio.Event()

    @worker.task("hangs", progress_within=0.3)
    async def hangs(held: Held[int]) -> None:
        if held.attempt > 1:
            return
        try:
            await asyncio.Event().wait()
        finally:
            hung.set()

    @worker.task("works")
    async def works(held: Held[int]) -> int:
        await go_on.wait()
        return held.attempt

    async with place.working(worker):
        sibling = await client.submit("works", lease=KEPT)
        task = await client.submit("hangs", lease=SHORT)
        await asyncio.wait_for(hung.wait(), RESULT_S)
        await place.until(task.task_id, lambda task: bool(task["expiries"]) or task["status"] == "completed")
        before = (await place.ask.task(sibling.task_id))["lease"]["renewals"]
        await place.until(sibling.task_id, lambda task: task["lease"]["renewals"] > before)
        go_on.set()
        assert await sibling.result(RESULT_S) == 1


async def test_nothing_is_claimed_before_the_thread_of_the_beats_has_its_connection(
    place: Place, client: Client
) -> None:
    worker, may_connect = place.worker(), threading.Event()
    find = partial(find_address, place.url)

    def find_later() -> Address:
        if threading.current_thread() is not threading.main_thread():
            may_connect.wait()
        return find()

    worker.connect_by(find_later, pool=place.pool)

    @worker.task("report")
    def report() -> str:
        return "done"

    async with place.working(worker):
        task = await client.submit("report")
        while not (await place.ask.done("query.agents"))["agents"]:
            pass
        for _ in range(50):
            assert (await task.state()).status == "queued"
        may_connect.set()
        assert await task.result(RESULT_S) == "done"


@pytest.mark.parametrize("load", [{"cpu": "much"}, None, ValueError("no such file")], ids=str)
async def test_a_load_that_cannot_be_read_or_sent_costs_no_lease(place: Place, client: Client, load: Any) -> None:
    def read() -> Any:
        if isinstance(load, Exception):
            raise load
        return load

    worker = place.worker(load=read)

    @worker.task("report")
    async def report(held: Held[int]) -> str:
        await place.until(held.task_id, lambda task: task["lease"] is not None and task["lease"]["renewals"] >= 3)
        return "done"

    async with place.working(worker):
        task = await client.submit("report", lease=KEPT)
        assert await task.result(RESULT_S) == "done"
    assert (await task.state()).attempt == 1
