"""A client: submits, waits, asks and watches."""

import asyncio
from datetime import timedelta

import pytest

from custody_client import Client, NoBrokerError, Retry, TaskExists, TaskFailed, TooLargeError, UnknownTask
from tests.client.conftest import Place
from tests.support.ports import reserved_port


async def test_the_same_submit_again_changes_nothing(client: Client) -> None:
    assert (await client.submit("report", {"pages": 3}, task_id="T")).was == "new"
    assert (await client.submit("report", {"pages": 3}, task_id="T")).was == "known"
    with pytest.raises(TaskExists):
        await client.submit("report", {"pages": 4}, task_id="T")


async def test_a_submit_says_what_the_task_is(client: Client) -> None:
    task = await client.submit(
        "report",
        requires=["gpu"],
        title="A report",
        priority="high",
        labels=["weekly"],
        deadline=timedelta(hours=1),
        not_before=timedelta(minutes=1),
        retry=Retry(5, delay_s=7),
        budgets={"expiries": 4},
    )
    state = await task.state()
    whole = await client.query("task", task_id=task.task_id)
    assert state.required_capabilities == ["gpu", "report"]
    assert (state.title, state.priority, state.labels) == ("A report", "high", ["weekly"])
    assert state.deadline is not None
    assert state.not_before is not None
    assert whole["retry"]["delay_s"] == 7
    assert (whole["budgets"]["failures"], whole["budgets"]["expiries"]) == (5, 4)


async def test_a_result_is_waited_for(place: Place, client: Client) -> None:
    task = await client.submit("report")
    waiting = asyncio.create_task(task.result(60))
    with pytest.raises(TimeoutError):
        await task.result(0.05)
    await place.ask.done("ops.complete", task_id=task.task_id, result={"pages": 3})
    assert await waiting == {"pages": 3}


@pytest.mark.parametrize(
    ("verb", "fields", "status"),
    [("fail", {"error": "no disk", "retryable": False}, "failed"), ("cancel", {"reason": "no disk"}, "cancelled")],
)
async def test_a_task_that_ends_otherwise_has_no_result(
    client: Client, verb: str, fields: dict[str, object], status: str
) -> None:
    task = await client.submit("report")
    await client.act(verb, task_id=task.task_id, **fields)
    with pytest.raises(TaskFailed, match="no disk") as error:
        await task.result(60)
    assert error.value.status == status


async def test_a_task_that_never_was_has_no_result(client: Client) -> None:
    with pytest.raises(UnknownTask):
        await client.task("never").result(60)


async def test_a_task_is_explained_while_it_waits_and_when_it_has_ended(place: Place, client: Client) -> None:
    await place.ask.done("agent.a1.register", capabilities=["gpu"])
    task = await client.submit("report")
    queued = await task.explain()
    assert queued.headline.startswith("queued")
    assert queued.why[-1] == "no registered agent can take it now: no live agent has report"
    assert [(each.agent_id, each.can, each.why) for each in queued.candidates] == [("a1", False, "lacks report")]
    await task.cancel("not needed")
    ended = await task.explain()
    assert ended.status == "cancelled"
    assert "not needed" in ended.why[-1]
    with pytest.raises(UnknownTask):
        await client.task("never").explain()


async def test_a_payload_that_is_too_large_is_not_sent(client: Client) -> None:
    with pytest.raises(TooLargeError):
        await client.submit("report", "x" * 70_000)


async def test_what_can_never_be_taken_is_not_repeated_for_ever(client: Client) -> None:
    with pytest.raises(TooLargeError, match="submit takes"):
        await client.submit("report", labels=["x" * 300_000])
    with pytest.raises(ValueError, match="no command"):
        await client.act("drain now")


async def test_events_are_watched_by_name_and_from_a_position(client: Client) -> None:
    task = await client.submit("report")
    await task.cancel()
    seen = []
    async with asyncio.timeout(60):
        async for event in client.watch(after=0):
            seen.append((event.position, event.entity, event.name))
            if event.name == "cancelled":
                break
        live = client.watch(kind="cancelled")
        first = asyncio.ensure_future(anext(live))
        while not first.done():
            other = await client.submit("report")
            await other.cancel()
            await asyncio.sleep(0.05)
    assert [position for position, _, _ in seen] == list(range(1, len(seen) + 1))
    assert [name for _, entity, name in seen if entity == "task"] == ["submitted", "cancelled"]
    assert (await first).name == "cancelled"
    await live.aclose()  # type: ignore[attr-defined]


async def test_no_broker_is_an_error_at_the_start() -> None:
    with reserved_port() as port, pytest.raises(NoBrokerError, match=r"no broker was reached in 0\.2 s"):
        async with Client(f"nats://127.0.0.1:{port}", connect_s=0.2):
            pass
