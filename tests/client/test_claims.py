"""How many tasks each claim asks for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from custody_client import claims as claims_module
from custody_client.calls import Answer
from custody_client.claims import MAX_SINGLE, MAX_WAITING, Claims
from custody_client.life import Life
from custody_client.wire import Lease, Leases
from tests.client.conftest import eventually


class Pool:
    """A life whose claims the test answers, and its slots."""

    def __init__(self, slots: int) -> None:
        self.name = "w1"
        self.free = slots
        self.asked: list[int] = []
        """How many tasks each claim asked for."""
        self.waiting: list[tuple[int, asyncio.Future[int]]] = []
        self.claims = Claims(cast("Life", self), lambda: self.free, self._take, wait_s=20.0)

    async def command(self, verb: str, body: dict[str, Any], *, wait_s: float) -> Answer:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.asked.append(body["max"])
        self.waiting.append((body["max"], answer))
        at = datetime(2026, 11, 29, tzinfo=UTC)
        leases = [Lease(f"T{number}", number, 1, at, 1.0, 1.0) for number in range(await answer)]
        return Answer(msgspec.Raw(msgspec.json.encode(Leases(leases))), 1, 0.0, 0)

    def _take(self, lease: Lease, answer: Answer) -> None:
        self.free -= 1

    def grant(self, share: Callable[[int], int] = lambda asked: asked) -> None:
        """Answer the claims that wait: with all that they ask for, or a share of it."""
        waiting, self.waiting = self.waiting, []
        for asked, answer in waiting:
            answer.set_result(share(asked))

    def finish(self, count: int) -> None:
        """Free slots whose tasks are done."""
        self.free += count
        self.claims.slot_freed()

    async def claims_waiting(self, count: int) -> list[int]:
        """Wait for so many claims; return how many tasks each asks for."""
        await eventually(lambda: len(self.waiting) == count)
        return [asked for asked, _ in self.waiting]


@asynccontextmanager
async def claiming(slots: int) -> AsyncIterator[Pool]:
    pool = Pool(slots)
    running = asyncio.create_task(pool.claims.run())
    try:
        yield pool
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_one_claim_asks_for_all_slots_as_long_as_it_is_not_known_whether_there_is_work() -> None:
    async with claiming(slots=10) as pool:
        assert await pool.claims_waiting(1) == [10]
        pool.grant(lambda _: 3)
        assert await pool.claims_waiting(1) == [7], "there is less work than slots"


async def test_while_there_is_plenty_a_few_free_slots_ask_for_themselves() -> None:
    async with claiming(slots=4) as pool:
        await pool.claims_waiting(1)
        pool.grant()
        await eventually(lambda: pool.free == 0)
        pool.finish(3)
        assert await pool.claims_waiting(3) == [1, 1, 1]


async def test_of_many_free_slots_one_claim_asks_for_all() -> None:
    async with claiming(slots=MAX_SINGLE + 5) as pool:
        await pool.claims_waiting(1)
        pool.grant()
        await eventually(lambda: pool.free == 0)
        pool.finish(MAX_SINGLE + 1)
        assert await pool.claims_waiting(1) == [MAX_SINGLE + 1]


async def test_no_more_claims_are_under_way_than_the_service_takes() -> None:
    async with claiming(slots=MAX_SINGLE) as pool:
        await pool.claims_waiting(1)
        pool.grant()
        await eventually(lambda: pool.free == 0)
        pool.finish(MAX_SINGLE)
        assert await pool.claims_waiting(MAX_WAITING) == [1] * MAX_WAITING
        assert MAX_WAITING < 16


async def test_when_the_work_is_over_one_claim_waits_for_all_slots_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_module, "TOO_SOON", 0.0)
    async with claiming(slots=8) as pool:
        await pool.claims_waiting(1)
        pool.grant()
        await eventually(lambda: pool.free == 0)
        pool.finish(8)
        assert await pool.claims_waiting(8) == [1] * 8
        pool.grant(lambda _: 0)
        assert await pool.claims_waiting(1) == [8]
        assert pool.asked == [8, *[1] * 8, 8]
