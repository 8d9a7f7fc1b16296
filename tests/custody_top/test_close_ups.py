"""The page of a task and of an agent."""

from tests.custody_top.conftest import LARGE, Sit
from tests.custody_top.test_pool_screen import a_morning
from tests.support.cases import case
from tests.support.pool_harness import PoolHarness


async def test_a_task_whole(sit: Sit, pool: PoolHarness) -> None:
    await pool.register("a1", "a2")
    await pool.submit("T1", title="Write it", payload={"pages": 3})
    token = await pool.assign("a1", "T1")
    await pool.given(
        "agent.a1.progress", task_id="T1", token=token, percent=40, message="half of it", checkpoint={"line": 7}
    )
    await pool.given("agent.a1.fail", task_id="T1", token=token, error="no ink")
    await pool.advance(600)
    await pool.assign("a2", "T1")
    await pool.advance(1)
    async with sit((120, 90)) as seat:
        shown = await seat.press("tab", "enter")
        shown = await seat.settled()
        for words in (
            "T1  Write it",
            "is assigned for",
            "WHY",
            "NEXT",
            "the lease expires, unless the holder is heard",
            "BUDGETS",
            "ATTEMPTS",
            "2  a2, token",
            "1  a1, token",
            "ended 11-21 08:00:00Z",
            "by requeued: no ink",
            "HAND-OFFS",
            "after requeued: from a1 at 40 %: half of it",
            "CHECKPOINT",
            '"line": 7',
            "PAYLOAD",
            "EVENTS",
            "leased",
            "submitted",
        ):
            with case(words):
                assert words in shown, shown
        assert shown.index("2  a2") < shown.index("1  a1"), "the latest first"


async def test_a_page_follows_what_happens(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit(LARGE) as seat:
        await seat.press("tab", "enter")
        assert "is assigned for" in await seat.settled()
        await pool.given("ops.cancel", task_id="T1", reason="not needed")
        await pool.advance(1)
        await seat.text()
        assert "is cancelled" in await seat.settled()
        shown = await seat.press("t")
        assert "Retry T1?" in shown
        assert "Retry T1?" not in await seat.press("escape")
        assert "AGENTS" in await seat.press("escape")


async def test_a_long_page_is_scrolled(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        await seat.press("tab", "enter")
        top = await seat.settled()
        assert top.splitlines()[2].strip() == "T1"
        end = await seat.press("end")
        assert "submitted" in end
        assert "submitted to this pool" not in end
        assert await seat.press("home") == top
        assert await seat.press("pagedown") != top
        assert await seat.press("pageup") == top


async def test_an_agent_whole(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit((120, 60)) as seat:
        await seat.press("enter")
        shown = await seat.settled()
        for words in (
            *("alice", "is live, takes work", "holds 1 of 3", "was heard", "can python", "HOLDS"),
            *("T1  in progress 40 %", "Fix the parser", "EVENTS", "registered"),
        ):
            with case(words):
                assert words in shown
        assert "Pause alice?" in await seat.press("p")


async def test_a_task_that_left_memory_is_read_from_the_log(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        await seat.press("tab", "enter")
        await seat.settled()
        await pool.given("ops.cancel", task_id="T1", reason="no longer needed")
        await pool.advance(1)
        seat.watch.follower.memory.state.ended.recent.clear()
        await seat.text()
        shown = await seat.settled()
        assert "is cancelled" in shown


async def test_a_log_that_cannot_be_read_is_said(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        await seat.text()
        pool.log.fail_reads(100)
        await seat.press("tab", "enter")
        assert "cannot be read now" in await seat.text()
        pool.log.recover()
        await pool.advance(3)
        await seat.text()
        assert "is assigned for" in await seat.settled()
