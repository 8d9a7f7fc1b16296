"""Another service appended first: what was decided is undone, what is new is folded, and all is decided again."""

from __future__ import annotations

import asyncio

import pytest

from domain.events.pool import Led, PoolPaused
from domain.events.task import Cancelled, Leased, Submitted
from domain.policies.lease import LeasePolicy
from handlers.ports import AppendRejectedError, NewMessage
from handlers.writer.writer import SupersededError
from tests.handlers.conftest import EITHER_WAY
from tests.support.log_faults import Conflict, LoseAck, LoseRequest, Reject
from tests.support.pool_harness import POOL, Asked, PoolHarness

pytestmark = EITHER_WAY

THEIRS = Submitted(request_digest="theirs", title="theirs", lease=LeasePolicy())


async def test_a_foreign_append_is_folded_and_the_commands_are_decided_again(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T")
    pool.log.fail_next(Conflict(pool.by_another(("task/T", Cancelled(reason="by another")))))

    assign = await pool.request("ops.assign", {"task_id": "T", "agent_id": "a"})

    assert assign.code == "task_finished"
    assert pool.names()[-1] == "cancelled"


async def test_tokens_are_predicted_again(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T")
    pool.log.fail_next(Conflict(pool.by_another(*[(f"task/X{number}", THEIRS) for number in range(3)])))

    reply = await pool.request("agent.a.claim", {"max": 9})

    tokens = [lease["token"] for lease in reply.result["leases"]]
    assert tokens == [r.position for r in pool.events(Leased)]
    assert [lease["task_id"] for lease in reply.result["leases"]] == ["T", "X0", "X1", "X2"]
    assert (await pool.request("agent.a.start", {"task_id": "T", "token": tokens[0]})).ok


async def test_what_was_decided_meanwhile_is_decided_again_too(pool: PoolHarness) -> None:
    await pool.register("a")
    with pool.log.held():
        pool.log.fail_next(Conflict(pool.by_another(("task/T", THEIRS))))
        asked = [pool.post("ops.submit", {"title": str(number)}) for number in range(3)]
        claim = pool.post("agent.a.claim")
        await pool.rest()
        late = pool.post("agent.a.claim", {"max": 2})
        await pool.rest()
        assert not any(each.replies for each in (*asked, claim, late))
    await pool.rest()

    assert [lease["task_id"] for lease in claim.answer.result["leases"]] == ["T"]
    assert [lease["title"] for lease in late.answer.result["leases"]] == ["0", "1"]


async def test_a_command_that_is_refused_after_all_waits_for_nothing(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T")
    pool.log.fail_next(Conflict(pool.by_another((f"pool/{POOL}", PoolPaused()))))

    assert (await pool.request("agent.a.claim")).code == "paused"
    assert (await pool.request("query.backlog")).result["queued"] == 1


async def test_a_waiting_claim_learns_of_foreign_work_at_the_next_conflict(pool: PoolHarness) -> None:
    await pool.register("a", capacity=1)
    claim = pool.post("agent.a.claim", {"wait_s": 20.0})
    await pool.rest()
    pool.log.fail_next(Conflict(pool.by_another(("task/T", THEIRS))))
    await pool.given("ops.submit", task_id="mine", required_capabilities=["gpu"])
    assert claim.answer.result["leases"][0]["task_id"] == "T"


async def test_a_lost_request_and_then_a_foreign_append_in_its_place(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseRequest(), Conflict(pool.by_another(("task/T", THEIRS))))

    reply = await pool.request("ops.submit", {"task_id": "mine"}, within_s=1)

    assert reply.ok
    assert pool.names()[-2:] == ["submitted", "submitted"]
    assert reply["position"] == pool.position


async def test_a_lost_acknowledgement_and_then_a_foreign_append_behind_it(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseAck())
    asked = pool.post("ops.submit", {"task_id": "mine"})
    await pool.rest()
    pool.log.append_foreign(*pool.by_another(("task/T", THEIRS)))
    await pool.advance(1)

    assert asked.answer.ok
    behind = await pool.request("ops.cancel", {"task_id": "T"})
    assert behind.code == "unknown_task", "what is not folded yet is not there yet"
    await pool.submit("other")
    assert (await pool.request("ops.cancel", {"task_id": "T"})).ok
    assert pool.names()[-4:] == ["submitted", "submitted", "submitted", "cancelled"]


async def test_only_the_guilty_command_of_a_rejected_batch_is_refused(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    def check(message: NewMessage) -> None:
        if b"guilty" in message.body:
            raise AppendRejectedError("too ugly")

    pool.log.on_message = check
    with pool.log.held():
        pool.post("ops.submit")
        await pool.rest()
        asked = [pool.post("ops.submit", {"title": title}) for title in ("one", "guilty", "two", "guilty", "three")]
        await pool.rest()
        query = pool.post("query.tasks")
    await pool.rest()

    assert [each.answer.code for each in asked] == [None, "invalid_command", None, "invalid_command", None]
    assert "too ugly" in asked[1].answer["error"]["message"]
    assert [r.event.title for r in pool.records() if isinstance(r.event, Submitted)] == ["", "one", "two", "three"]
    assert query.answer.ok
    assert "rejected an append of 5 events" in caplog.text


async def test_who_goes_alone_after_a_rejection_takes_no_later_command_along(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    later: list[Asked] = []

    def check(message: NewMessage) -> None:
        if b"guilty" in message.body:
            if not later:
                later.append(pool.post("ops.submit", {"title": "later"}))
            raise AppendRejectedError("too ugly")

    pool.log.on_message = check
    with pool.log.held():
        pool.post("ops.submit")
        await pool.rest()
        asked = [pool.post("ops.submit", {"title": title}) for title in ("one", "guilty")]
        await pool.rest()
    await pool.rest()

    assert [each.answer.code for each in (*asked, *later)] == [None, "invalid_command", None]
    rejected = [record.getMessage() for record in caplog.records if "rejected an append" in record.getMessage()]
    assert [message.partition(" events")[0].rpartition(" ")[2] for message in rejected] == ["2", "1"]


async def test_a_command_whose_second_append_is_rejected_has_begun_and_is_not_told_that_it_was_refused(
    pool: PoolHarness,
) -> None:
    await pool.holds("a", "T")
    await pool.register("b")

    def check(message: NewMessage) -> None:
        if message.subject.endswith(".stolen"):
            raise AppendRejectedError("too ugly")

    pool.log.on_message = check
    steal = {"from": "a", "to": "b", "count": 1, "command_id": "once"}
    first = await pool.request("ops.steal", steal)
    again = await pool.request("ops.steal", steal)

    assert first.code == "unavailable"
    assert again.ok
    assert again.names == ["planned"]
    assert pool.lease("T").agent_id == "a"


async def test_a_query_does_not_hang_on_a_rejected_append(pool: PoolHarness) -> None:
    with pool.log.held():
        pool.log.fail_next(Reject())
        asked = pool.post("ops.submit")
        await pool.rest()
        query = pool.post("query.tasks")
        await pool.rest()
    await pool.rest()
    assert asked.answer.code == "invalid_command"
    assert query.answer.result["tasks"] == []


async def test_a_foreign_leader_ends_this_one(pool: PoolHarness) -> None:
    serving = asyncio.ensure_future(pool.service.served())
    await pool.register("a")
    waiting = pool.post("agent.a.claim", {"wait_s": 30.0})
    await pool.rest()
    pool.log.fail_next(Conflict(pool.by_another((f"pool/{POOL}", Led(leader="host:2:2")))))
    asked = [pool.post("ops.submit", {"title": "x"}) for _ in range(3)]
    await pool.rest()

    with pytest.raises(SupersededError, match="host:2:2 leads the pool"):
        await serving
    late = pool.post("ops.submit")
    query = pool.post("query.statistics")
    await pool.rest()
    assert [each.answer.code for each in (waiting, *asked, late)] == ["not_writer"] * 5
    assert query.answer.ok
    await pool.stop()
    assert pool.names()[-1] == "led"


async def test_who_starts_beside_another_gives_way(pool: PoolHarness) -> None:
    await pool.stop()
    pool.log.fail_next(Conflict(pool.by_another((f"pool/{POOL}", Led(leader="host:2:2")))))
    pool.make_service()
    opening = asyncio.ensure_future(pool.service.open())
    await pool.rest()
    assert opening.done()
    with pytest.raises(SupersededError):
        opening.result()
    await pool.stop()
    await pool.start()
    assert (await pool.request("query.health")).result["leading"]
