"""The service's own log has one line for each event that people watch for, and no flood of them."""

from __future__ import annotations

import logging

import pytest

from handlers.writer import notable_events
from tests.support.pool_harness import PoolHarness


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=notable_events.__name__)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == notable_events.__name__]


async def test_what_people_watch_for_is_one_line_each(pool: PoolHarness, caplog: pytest.LogCaptureFixture) -> None:
    await pool.holds("a", "moves", "expires", "sticks", on_silence="requeue")
    await pool.register("b")
    await pool.given("ops.steal", from_="a", to="b", task_ids=["moves"])
    token = await pool.holds("a", "once", budgets={"releases": 1})
    await pool.given("agent.a.release", task_id="once", token=token, reason="two\nlines")
    await pool.holds("a", "stuck", on_silence="stuck")
    token = await pool.holds("a", "stalls", stall_s=50)
    for _ in range(3):
        await pool.advance(20)
        await pool.given("agent.a.progress", task_id="stalls", token=token, percent=0)
    await pool.advance(1000)

    told = lines(caplog)

    kinds = [line.split(" at ")[0] for line in told]
    assert {"task/moves stolen", "task/once quarantined", "task/expires expired", "task/stuck stuck"} <= set(kinds)
    assert "task/stalls stalled" in kinds
    assert {"agent/a lost", "agent/b lost"} <= set(kinds)
    assert all("\n" not in line for line in told)
    assert len(kinds) == len(set(kinds))


async def test_a_flood_is_counted(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notable_events, "LINES_AT_ONCE", 2)
    await pool.holds("a", *(f"T{number}" for number in range(5)), budgets={"expiries": 9})
    await pool.advance(300)
    assert [line.split(" at ")[0].split(" ")[1] for line in lines(caplog)[:2]] == ["expired", "expired"]
    assert lines(caplog)[2:] == ["3 more such events were not logged; the audit has them"], "also if none follows"
    await pool.advance(600)
    assert lines(caplog)[3].startswith("agent/a lost at ")
    assert len(lines(caplog)) == 4


async def test_a_rebuild_tells_nothing_again(pool: PoolHarness, caplog: pytest.LogCaptureFixture) -> None:
    await pool.holds("a", "T")
    await pool.advance(300)
    before = len(lines(caplog))
    assert before == 1
    await pool.restart()
    assert len(lines(caplog)) == before
