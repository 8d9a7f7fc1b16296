"""Callers are told in time that an outcome is unknown, and the same command_id brings the real one later."""

from __future__ import annotations

import pytest

from handlers.answering import pool_answers
from handlers.service import guarded_tasks, name_resolution
from handlers.writer.writer import WriterLimits
from tests.handlers.conftest import EITHER_WAY, MakePool
from tests.support.log_faults import LoseAck, LoseRequest, Unavailable
from tests.support.pool_harness import PoolHarness

pytestmark = EITHER_WAY

TIMEOUT_S = 5.0
LATEST_S = TIMEOUT_S * 1.25
"""Patience is looked at four times in its length."""


async def test_after_the_timeout_the_outcome_is_called_unknown(pool: PoolHarness) -> None:
    with pool.log.held():
        asked = pool.post("ops.submit", {"title": "x"})
        await pool.advance(TIMEOUT_S - 0.1)
        assert asked.reply is None
        await pool.advance(LATEST_S - TIMEOUT_S + 0.1)
        assert asked.answer.code == "unavailable"
        assert "the outcome is unknown" in asked.answer["error"]["message"]
    await pool.rest()
    assert len(asked.replies) == 1
    assert pool.names()[-1] == "submitted"


async def test_the_same_id_brings_the_real_outcome_later(pool: PoolHarness) -> None:
    body = {"task_id": "T", "command_id": "same"}
    with pool.log.held():
        first = pool.post("ops.submit", body)
        await pool.advance(LATEST_S)
        assert first.answer.code == "unavailable"
        second = pool.post("ops.submit", body)
        await pool.advance(1)
        assert second.reply is None
    await pool.rest()

    assert second.answer.ok
    assert (await pool.request("ops.submit", body)).raw == second.answer.raw
    assert pool.names().count("submitted") == 1


async def test_who_joins_late_has_a_patience_of_its_own(pool: PoolHarness) -> None:
    body = {"task_id": "T", "command_id": "same"}
    with pool.log.held():
        pool.post("ops.submit", body)
        await pool.advance(LATEST_S)
        second = pool.post("ops.submit", body)
        await pool.advance(TIMEOUT_S - 0.1)
        assert second.reply is None
        await pool.advance(LATEST_S - TIMEOUT_S + 0.1)
        assert second.answer.code == "unavailable"


async def test_what_was_never_decided_is_dropped_and_says_so(pool: PoolHarness) -> None:
    pool.log.fail_next(*[Unavailable()] * 30)
    asked = pool.post("ops.submit", {"task_id": "T", "command_id": "same"})

    await pool.advance(LATEST_S + 0.25)

    assert asked.answer.code == "unavailable"
    await pool.advance(10)
    assert "submitted" not in pool.names()
    assert (await pool.request("ops.submit", {"task_id": "T", "command_id": "same"}, within_s=10)).ok


async def test_a_long_search_for_the_outcome_ends_in_one_answer(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseAck(), *[Unavailable()] * 60)
    body = {"task_id": "T", "command_id": "same"}
    first = pool.post("ops.submit", body)
    await pool.advance(10)
    assert first.answer.code == "unavailable"
    await pool.advance(20)
    assert (await pool.request("ops.submit", body)).ok
    assert pool.names().count("submitted") == 1


async def test_a_claim_that_waited_long_is_not_late_for_that(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = pool.post("agent.a.claim", {"wait_s": 30.0})
    await pool.advance(12)
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
    with pool.log.held():
        await pool.rest()
        await pool.advance(1.5)
        assert claim.reply is None
    await pool.rest()
    assert claim.answer.result["leases"][0]["task_id"] == "T"


async def test_a_claim_whose_patience_ended_in_an_outage_is_granted_nothing(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = pool.post("agent.a.claim", {"wait_s": 5.0})
    await pool.advance(1)
    await pool.submit("T")
    assert claim.answer.result["leases"]
    claim = pool.post("agent.a.claim", {"wait_s": 5.0})
    await pool.rest()
    pool.log.fail_next(LoseRequest())
    pool.post("ops.submit", {"task_id": "U"})
    await pool.rest()
    pool.log.fail_next(*[Unavailable()] * 60)
    await pool.advance(20)
    assert claim.answer.result == {"leases": []}
    assert pool.task("U").status == "queued"


async def test_queries_are_told_too(pool: PoolHarness) -> None:
    with pool.log.held():
        submit = pool.post("ops.submit")
        await pool.rest()
        query = pool.post("query.tasks")
        await pool.advance(LATEST_S)
        assert query.answer.code == "unavailable"
    await pool.rest()
    assert submit.answer
    assert len(query.replies) == 1


async def test_a_full_queue_is_overloaded(make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(queue_commands=3))
    await pool.register("a")
    with pool.log.held():
        pool.log.fail_next(LoseRequest())
        asked = [pool.post("ops.submit") for _ in range(10)]
    await pool.advance(1)

    codes = [each.answer.code for each in asked]
    assert codes == [None] * 3 + ["overloaded"] * 7
    assert asked[-1].answer.headers["Nats-Service-Error-Code"] == "503"
    assert (await pool.request("ops.submit")).ok


async def test_the_queue_is_limited_in_bytes(make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(queue_bytes=100_000))
    asked = [pool.post("ops.submit", {"payload": "x" * 40_000}) for _ in range(4)]
    await pool.rest()
    assert [each.answer.code for each in asked] == [None, None, "overloaded", "overloaded"]
    assert (await pool.request("ops.submit", {"payload": "x" * 60_000})).ok
    for _ in range(3):
        asked = [pool.post("ops.submit", {"payload": "x" * 49_900}) for _ in range(2)]
        await pool.rest()
        assert [each.answer.code for each in asked] == [None, None], "what was decided takes no room"


async def test_what_the_service_asks_of_itself_finds_room_in_a_full_queue(make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(queue_commands=2))
    await pool.holds("a", "T")
    await pool.advance(239.9)
    with pool.log.held():
        for _ in range(2):
            pool.post("ops.submit", {"payload": "x" * 65_000})
        await pool.rest()
        asked = [pool.post("ops.submit") for _ in range(4)]
        await pool.advance(0.2)
    await pool.rest()
    assert [each.answer.code for each in asked][2:] == ["overloaded"] * 2
    assert pool.task("T").attempt == 2


async def test_only_so_many_look_ups_at_once(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_tasks, "MAX_TASKS", 2)
    pool = await make_pool()
    asked = [pool.post("ops.submit", {"task_id": f"T{number}", "command_id": str(number)}) for number in range(4)]
    query = pool.post("query.health")
    await pool.rest()

    assert [each.answer.code for each in asked] == [None, None, "overloaded", "overloaded"]
    assert query.answer.code == "overloaded"
    assert (await pool.request("ops.submit", {"task_id": "T3", "command_id": "3"})).ok


async def test_only_so_many_bytes_wait_for_look_ups(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_resolution, "MAX_RESOLVING_BYTES", 100_000)
    pool = await make_pool()
    asked = [pool.post("ops.submit", {"task_id": f"T{number}", "payload": "x" * 40_000}) for number in range(4)]
    await pool.rest()
    assert [each.answer.code for each in asked] == [None, None, "overloaded", "overloaded"]
    assert (await pool.request("ops.submit", {"task_id": "T3", "payload": "x" * 60_000})).ok
    assert (await pool.request("ops.submit", {"task_id": "T4", "payload": "x" * 60_000})).ok, (
        "the bytes were given back"
    )


async def test_only_so_many_repeats_at_once(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = await make_pool()
    first = await pool.request("ops.submit", {"task_id": "T", "command_id": "c"})
    monkeypatch.setattr(guarded_tasks, "MAX_TASKS", 2)
    asked = [pool.post("ops.submit", {"task_id": "T", "command_id": "c"}) for _ in range(4)]
    await pool.rest()
    assert [each.answer.code for each in asked] == [None, None, "overloaded", "overloaded"]
    assert (await pool.request("ops.submit", {"task_id": "T", "command_id": "c"})).raw == first.raw


async def test_views_that_wait_for_each_other_wait_no_longer_together(make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(reply_timeout_s=5))
    with pool.log.held():
        pool.post("ops.submit")
        await pool.rest()
        asked = [pool.post("query.tasks") for _ in range(100)]
        await pool.advance(6)
        assert [each.answer.code for each in asked] == ["unavailable"] + ["overloaded"] * 99
    await pool.rest()
    assert (await pool.request("query.tasks")).ok


async def test_only_so_many_views_at_once_and_the_rest_of_the_pool_does_not_notice(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_answers, "MAX_WAITING_VIEWS", 3)
    pool = await make_pool()
    views = [pool.post("query.tasks") for _ in range(5)]
    others = [pool.post("query.health"), pool.post("ops.submit", {"task_id": "T1"})]
    await pool.rest()
    assert [each.answer.code for each in views] == [None] * 3 + ["overloaded"] * 2
    assert all(each.answer.ok for each in others)
    assert (await pool.request("query.tasks")).ok
