"""What is not true now is never shown as live."""

import pytest

from tests.custody_top.conftest import Sit
from tests.support.pool_harness import PoolHarness


async def test_before_the_log_is_read(sit: Sit) -> None:
    async with sit(linked=False) as seat:
        seat.watch.unlinked("cannot use the broker at nats://127.0.0.1:1: connection refused")
        shown = await seat.text()
        assert "LIVE" not in shown
        assert "STARTING" in shown
        assert "not live yet: cannot use the broker at nats://127.0.0.1:1: connection refused" in shown
        assert "choose a task or an agent first" in await seat.press("c")


async def test_a_broker_that_does_not_answer_and_then_does(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        assert "NOT" not in await seat.text()
        pool.log.fail_reads(40)
        await pool.advance(4)
        shown = await seat.text()
        assert "NOT CONNECTED" in shown
        assert "NOT LIVE: out of touch for 4s, what is below is old: no broker" in shown
        assert "served by" not in shown
        assert "T1" in shown, "what was known is still shown"
        assert "what is shown is not live" in await seat.press("tab", "c")
        await pool.advance(60)
        shown = await seat.text()
        assert "NOT" not in shown
        assert "LIVE" in shown


async def test_what_is_old_does_not_age(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        await pool.kill()
        pool.log.fail_reads(10_000)
        seat.connection.is_connected = False
        await pool.advance(4)
        before = await seat.see()
        await pool.advance(600)
        after = await seat.see()
        assert "out of touch for 10m" in "\n".join(after)
        assert [line for line in after if "out of touch" not in line] == [
            line for line in before if "out of touch" not in line
        ]
        pool.log.fail_reads(0)
        await pool.start()


async def test_events_that_are_not_read_yet(sit: Sit, pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sit() as seat:
        far = pool.position + 1_234

        async def last_position() -> int:
            return far

        with monkeypatch.context() as patch:
            patch.setattr(pool.log, "last_position", last_position)
            await pool.advance(2)
            shown = await seat.text()
        assert "BEHIND" in shown
        assert "NOT LIVE: 1,234 events behind the log, catching up" in shown


async def test_a_service_that_is_gone_while_the_log_is_live(sit: Sit, pool: PoolHarness) -> None:
    async with sit() as seat:
        await pool.advance(2)
        assert "served by host:1:1" in await seat.text()
        await pool.kill()
        await pool.advance(6)
        shown = await seat.text()
        assert "NOT SERVED" in shown
        assert "writer down" in shown
        await pool.start()
        await pool.advance(3)
        shown = await seat.text()
        assert "served by host:1:2" in shown
        assert "NEEDS YOU 0" in shown


async def test_a_log_that_was_replaced(sit: Sit, pool: PoolHarness) -> None:
    await pool.submit("T1", "T2")
    async with sit() as seat:
        assert "TASKS 2" in await seat.text()
        await pool.kill()
        await pool.advance(2)
        pool.log.truncate_to(3)
        pool.foreign = True
        await pool.advance(5)
        assert "TASKS 1 " in await seat.text()
