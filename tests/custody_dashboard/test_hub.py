"""The stream: what each browser gets, and that none of them makes the dashboard grow."""

import asyncio
from typing import Any

import pytest

from custody_dashboard.watch import hub as hub_module
from custody_dashboard.watch.hub import KEPT_DELTAS, MAX_BROWSERS, MAX_BROWSERS_OF_ONE, MAX_WAITING_FRAMES, Hub
from custody_dashboard.web.api_error import ApiError
from tests.custody_dashboard.conftest import closed, take
from tests.support.cases import case


class Pool:
    """A state that grows by one with each delta."""

    def __init__(self) -> None:
        self.position = 0
        self.asked = 0
        self.hub = Hub(self.state)

    def state(self) -> tuple[int, bytes]:
        self.asked += 1
        return self.position, b'{"position":%d}' % self.position

    def publish(self, count: int = 1) -> None:
        for _ in range(count):
            self.position += 1
            self.hub.publish(self.position, {"position": self.position})


@pytest.fixture
def pool() -> Pool:
    return Pool()


async def raw(frames: Any, name: bytes) -> bytes:
    """The next frame of an event, as it is sent."""
    while True:
        frame: bytes = await anext(frames)
        if b"event: " + name in frame:
            return frame


async def test_a_new_browser_is_told_when_to_come_back_then_the_state_then_each_change(pool: Pool) -> None:
    pool.publish(3)
    async with closed(pool.hub.frames(None)) as frames:
        assert await anext(frames) == b"retry: 1000\n\n"
        assert await take(frames, 1) == [("state", {"position": 3})]
        pool.publish(2)
        pool.hub.beat({"mode": "live"})
        assert await take(frames, 3) == [
            ("delta", {"position": 4}),
            ("delta", {"position": 5}),
            ("beat", {"mode": "live"}),
        ]


async def test_a_browser_waits_for_what_comes(pool: Pool) -> None:
    async with closed(pool.hub.frames(None)) as frames:
        await take(frames, 1)
        waiting = asyncio.ensure_future(take(frames, 1))
        await asyncio.sleep(0)
        assert not waiting.done()
        pool.publish()
        assert await waiting == [("delta", {"position": 1})]


async def test_a_browser_that_comes_back_gets_what_it_missed(pool: Pool) -> None:
    async with closed(pool.hub.frames(None)) as frames:
        await take(frames, 1)
        pool.publish(2)
        await raw(frames, b"delta")
        last = await raw(frames, b"delta")
    last_id = last.split(b"\n", 1)[0].removeprefix(b"id: ").decode()
    assert last_id.startswith("2.")
    pool.publish(2)
    async with closed(pool.hub.frames(last_id)) as frames:
        assert await take(frames, 2) == [("delta", {"position": 3}), ("delta", {"position": 4})]


async def test_a_browser_that_missed_nothing_gets_nothing_twice(pool: Pool) -> None:
    async with closed(pool.hub.frames(None)) as frames:
        state = await raw(frames, b"state")
    last_id = state.split(b"\n", 1)[0].removeprefix(b"id: ").decode()
    async with closed(pool.hub.frames(last_id)) as frames:
        await anext(frames)
        pool.publish()
        assert await take(frames, 1) == [("delta", {"position": 1})]


async def test_what_is_no_id_of_this_run_gets_the_state(pool: Pool) -> None:
    pool.publish(3)
    run = pool.hub._run  # noqa: SLF001 - ids are opaque to browsers
    other_run = Hub(pool.state)._run  # noqa: SLF001 - same
    for last_id in (
        *(
            "",
            "3",
            "x",
            "..",
            f"3.{other_run}.3",
            f"3.{run}.4",
            f"3.{run}.-1",
            f"3.{run}.x",
            f"3.{run}.²",
            "9" * 100_000,
        ),
        f"3.{run}.{'9' * 5000}",
    ):
        with case(last_id[:40]):
            async with closed(pool.hub.frames(last_id)) as frames:
                assert (await take(frames, 1))[0][0] == "state"


async def test_who_was_away_for_longer_than_deltas_are_kept_gets_the_state(pool: Pool) -> None:
    async with closed(pool.hub.frames(None)) as frames:
        state = await raw(frames, b"state")
    last_id = state.split(b"\n", 1)[0].removeprefix(b"id: ").decode()
    pool.publish(KEPT_DELTAS + 1)
    assert len(pool.hub._kept) == KEPT_DELTAS  # noqa: SLF001 - what is bounded
    async with closed(pool.hub.frames(last_id)) as frames:
        assert await take(frames, 1) == [("state", {"position": pool.position})]


async def test_kept_deltas_are_bounded_in_bytes_too(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "KEPT_BYTES", 1_000)
    for _ in range(20):
        pool.hub.publish(1, {"text": "x" * 300})
    assert sum(len(each.frame) for each in pool.hub._kept) <= 1_000  # noqa: SLF001 - what is bounded


async def test_a_slow_browser_keeps_a_short_line_and_gets_the_state_when_it_goes_on(pool: Pool) -> None:
    async with closed(pool.hub.frames(None)) as slow, closed(pool.hub.frames(None)) as quick:
        await take(slow, 1)
        await take(quick, 1)
        seen = 0
        for _ in range(10 * MAX_WAITING_FRAMES):
            pool.publish()
            seen += len(await take(quick, 1))
            assert all(len(each.waiting) <= MAX_WAITING_FRAMES for each in pool.hub._browsers)  # noqa: SLF001 - what is bounded
        assert seen == 10 * MAX_WAITING_FRAMES, "the quick one misses nothing"
        assert await take(slow, 1) == [("state", {"position": pool.position})]
        pool.publish()
        assert await take(slow, 1) == [("delta", {"position": pool.position})]


async def test_another_log_sends_the_state_to_all(pool: Pool) -> None:
    async with closed(pool.hub.frames(None)) as frames:
        await take(frames, 1)
        pool.publish()
        pool.position = 0
        pool.hub.restart()
        assert await take(frames, 1) == [("state", {"position": 0})]


async def test_a_hundred_browsers_cost_one_encoding(pool: Pool) -> None:
    browsers = [pool.hub.frames(None) for _ in range(100)]
    for each in browsers:
        await take(each, 1)
    assert pool.asked == 1
    pool.publish()
    sent = {id(await raw(each, b"delta")) for each in browsers}
    assert len(sent) == 1, "all of them send the same bytes"
    for each in browsers:
        await each.aclose()
    assert len(pool.hub) == 0


async def test_more_browsers_than_there_may_be_are_refused(pool: Pool) -> None:
    browsers = [pool.hub.frames(None) for _ in range(MAX_BROWSERS)]
    for each in browsers:
        await anext(each)
    one_more = pool.hub.frames(None)
    with pytest.raises(ApiError, match="browsers are watching already"):
        await anext(one_more)
    for each in browsers:
        await each.aclose()


async def test_one_person_has_not_all_the_streams(pool: Pool) -> None:
    browsers = [pool.hub.frames(None, owner="ann") for _ in range(MAX_BROWSERS_OF_ONE)]
    for each in browsers:
        await anext(each)
    assert pool.hub.why_full("ann") == "ann has 40 pages open already; close one"
    with pytest.raises(ApiError, match="ann has 40 pages open already"):
        await anext(pool.hub.frames(None, owner="ann"))
    for owner in ("bob", None):
        assert pool.hub.why_full(owner) is None
        browsers.append(pool.hub.frames(None, owner=owner))
        await anext(browsers[-1])
    await browsers.pop(0).aclose()
    assert pool.hub.why_full("ann") is None
    for each in browsers:
        await each.aclose()


async def test_rights_are_asked_for_at_each_beat_and_their_end_ends_the_stream(pool: Pool) -> None:
    rights: list[str | None] = ["operator"]
    async with closed(pool.hub.frames(None, lambda: rights[0])) as frames:
        assert await take(frames, 2) == [("state", {"position": 0}), ("session", {})]
        pool.hub.beat({"mode": "live"})
        rights[0] = "viewer"
        pool.hub.beat({"mode": "live"})
        assert sorted(name for name, _ in await take(frames, 3)) == ["beat", "beat", "session"]
        pool.publish()
        rights[0] = None
        pool.hub.beat({"mode": "live"})
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
    assert len(pool.hub) == 0


async def test_a_browser_that_takes_nothing_is_told_of_its_rights_behind_the_state(pool: Pool) -> None:
    rights = ["operator"]
    async with closed(pool.hub.frames(None, lambda: rights[0])) as frames:
        await take(frames, 2)
        rights[0] = "viewer"
        pool.hub.beat({})
        pool.publish(MAX_WAITING_FRAMES + 1)
        assert await take(frames, 2) == [("state", {"position": pool.position}), ("session", {})]


async def test_a_line_break_in_a_text_does_not_end_an_event(pool: Pool) -> None:
    hostile = "a\n\nevent: beat\ndata: {}\r\n\u2028"
    async with closed(pool.hub.frames(None)) as frames:
        await take(frames, 1)
        pool.hub.publish(1, {"text": hostile})
        assert await take(frames, 1) == [("delta", {"text": hostile})]
