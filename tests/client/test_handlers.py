"""What a handler is given, and what becomes of a task by what it returns or raises."""

import threading
from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest

from custody_client import (
    Client,
    Held,
    NotRetryable,
    Retry,
    SyncHeld,
    TaskFailed,
    working_on,
)
from tests.client.conftest import Place

RESULT_S = 60.0


@dataclass
class AsDataclass:
    pages: int


class AsStruct(msgspec.Struct):
    pages: int


class AsModel(pydantic.BaseModel):
    pages: int


@pytest.mark.parametrize("kind", [AsDataclass, AsStruct, AsModel, dict])
async def test_a_payload_comes_as_what_the_handler_takes(place: Place, client: Client, kind: type) -> None:
    worker = place.worker()
    got: list[Any] = []

    async def report(job: Any, held: Held[int]) -> str:
        got.append(job)
        return f"{held.task_id}.pdf"

    report.__annotations__["job"] = kind
    worker.task("report")(report)
    async with place.working(worker):
        task = await client.submit("report", kind(pages=3), task_id="T")
        assert await task.result(RESULT_S) == "T.pdf"
    assert got == [kind(pages=3)]


async def test_a_payload_that_does_not_fit_fails_the_task_for_good(place: Place, client: Client) -> None:
    worker = place.worker()

    @worker.task("report")
    async def report(job: AsDataclass) -> None:
        raise AssertionError(job)

    async with place.working(worker):
        task = await client.submit("report", {"pages": "many"})
        with pytest.raises(TaskFailed, match="payload does not fit AsDataclass"):
            await task.result(RESULT_S)


async def test_a_def_handler_has_a_thread_of_its_own(place: Place, client: Client) -> None:
    worker = place.worker(slots=2)
    meeting = threading.Barrier(2)

    @worker.task("report")
    def report(job: dict[str, int], held: SyncHeld[int]) -> str:
        meeting.wait(10)
        held.progress(1, of=2, checkpoint=1)
        task = working_on()
        assert task is not None
        return f"{task.task_id} by {task.agent}, {job['pages']} pages"

    async with place.working(worker):
        tasks = [await client.submit("report", {"pages": 3}, task_id=each) for each in ("A", "B")]
        results = [await each.result(RESULT_S) for each in tasks]
    assert results == ["A by w1, 3 pages", "B by w1, 3 pages"]


async def test_an_exception_fails_the_attempt_and_the_next_one_goes_on_from_the_checkpoint(
    place: Place, client: Client
) -> None:
    worker = place.worker()
    began: list[int | None] = []

    @worker.task("report", retry=Retry(3, delay_s=0.05))
    async def report(held: Held[int]) -> str:
        began.append(held.checkpoint)
        await held.progress(len(began), of=3, checkpoint=len(began))
        if len(began) < 3:
            raise ValueError("no luck")
        return "done"

    async with place.working(worker):
        task = await client.submit("report")
        assert await task.result(RESULT_S) == "done"
        state = await task.state()
    assert began == [None, 1, 2]
    assert (state.failures, state.attempt) == (2, 3)


@pytest.mark.parametrize(
    ("error", "attempts", "said"),
    [
        pytest.param(NotRetryable("the input is broken"), 1, "the input is broken", id="not retryable"),
        pytest.param(ValueError("no luck"), 2, "ValueError: no luck", id="the last of two attempts"),
    ],
)
async def test_the_last_failure_fails_the_task(
    place: Place, client: Client, error: Exception, attempts: int, said: str
) -> None:
    worker = place.worker()
    calls = 0

    @worker.task("report", retry=Retry(2, delay_s=0))
    async def report() -> None:
        nonlocal calls
        calls += 1
        raise error

    async with place.working(worker):
        task = await client.submit("report")
        with pytest.raises(TaskFailed, match=said):
            await task.result(RESULT_S)
    assert calls == attempts


async def test_a_result_that_is_too_large_fails_the_task_for_good(place: Place, client: Client) -> None:
    worker = place.worker()

    @worker.task("report")
    async def report() -> str:
        return "x" * 70_000

    async with place.working(worker):
        task = await client.submit("report")
        with pytest.raises(TaskFailed, match="result takes 70002 bytes"):
            await task.result(RESULT_S)
