"""Results of look-ups are shared while they are under way, and the last ones are kept within bounds."""

from __future__ import annotations

import asyncio

import pytest

from handlers.memory.shared_results import Found, SharedResults
from handlers.ports import LogUnavailableError


class Source:
    """Counts look-ups; they wait for the gate."""

    def __init__(self, size: int = 1) -> None:
        self.asked = 0
        self.size = size
        self.gate = asyncio.Event()
        self.fails = False

    async def __call__(self) -> Found[int]:
        self.asked += 1
        number = self.asked
        await self.gate.wait()
        if self.fails:
            raise LogUnavailableError("no broker")
        return Found(number, self.size)


async def test_one_look_up_serves_all_who_ask_meanwhile() -> None:
    shared, source = SharedResults[int](), Source()
    asking = [asyncio.ensure_future(shared.get("k", source)) for _ in range(50)]
    await asyncio.sleep(0)
    source.gate.set()

    assert await asyncio.gather(*asking) == [1] * 50
    assert await shared.get("k", source) == 1
    assert await shared.get("other", source) == 2


async def test_what_is_kept_can_be_looked_up_anew() -> None:
    shared, source = SharedResults[int](), Source()
    source.gate.set()
    await shared.get("k", source)
    assert await shared.share("k", source) == 2
    assert shared.kept("k") == 2


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    shared, source = SharedResults[int](), Source()
    source.fails = True
    asking = [asyncio.ensure_future(shared.get("k", source)) for _ in range(3)]
    await asyncio.sleep(0)
    source.gate.set()

    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [LogUnavailableError] * 3
    assert source.asked == 1
    source.fails = False
    assert await shared.get("k", source) == 2


async def test_the_next_caller_goes_on_when_the_first_is_cancelled() -> None:
    shared, source = SharedResults[int](), Source()
    first, second = (asyncio.ensure_future(shared.get("k", source)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()

    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_caller_that_is_cancelled_delays_no_other() -> None:
    shared, source = SharedResults[int](), Source()
    first, second, third = (asyncio.ensure_future(shared.get("k", source)) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    source.gate.set()

    assert (await first, await third, source.asked) == (1, 1, 1)


async def test_what_was_asked_for_least_recently_goes_first() -> None:
    shared, source = SharedResults[int](max_kept=2), Source()
    source.gate.set()
    for key in ("a", "b", "a", "c"):
        await shared.get(key, source)

    assert [shared.kept(key) is not None for key in "abc"] == [True, False, True]


async def test_no_more_bytes_are_kept_than_allowed() -> None:
    shared, source = SharedResults[int](max_kept_bytes=10), Source(size=4)
    source.gate.set()
    for key in "abc":
        await shared.get(key, source)
    assert [shared.kept(key) is not None for key in "abc"] == [False, True, True]

    shared.keep("large", Found(0, 11))
    assert [shared.kept(key) for key in ("large", "a", "b", "c")] == [None] * 4
    shared.keep("not", Found(0, -1))
    assert shared.kept("not") is None
