"""A log that lost its tail: the service that wrote it ends, and one that accepts the loss fills it up first."""

from __future__ import annotations

import logging

import pytest

from domain.commands.service_commands import FillTail
from domain.events.pool import TailLost
from domain.events.task import Submitted
from domain.policies.lease import LeasePolicy
from handlers.ports import LogLostError, LogUnavailableError, NewMessage
from handlers.writer.writer import WriterLimits
from tests.handlers.conftest import MakePool
from tests.support.log_faults import Conflict, Reject
from tests.support.pool_harness import POOL, PoolHarness

THEIRS = Submitted(request_digest="theirs", title="theirs", lease=LeasePolicy())
CONFIRM_S = 15.0


async def ends_as_lost(pool: PoolHarness, message: str) -> None:
    with pytest.raises(LogLostError, match=message):
        await pool.service.served()
    await pool.kill()


async def lose(pool: PoolHarness, *titles: str) -> int:
    """Lose what is submitted here; return the position behind which it was."""
    survived_to = pool.position
    for title in titles:
        await pool.submit(title)
    pool.log.truncate_to(survived_to)
    pool.foreign = True
    return survived_to


async def test_a_lost_tail_ends_the_service_before_it_appends(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    survived_to = await lose(pool, "U", "V")

    asked = [pool.post("ops.submit", {"task_id": "W"})]
    await pool.rest()
    asked += [pool.post("query.tasks"), pool.post("ops.submit", {"task_id": "X"})]
    await pool.rest()

    assert [each.answer.code for each in asked] == ["unavailable"] * 3
    assert [each.levelno for each in caplog.records if "was acknowledged" in each.message] == [logging.CRITICAL]
    await ends_as_lost(pool, f"the log ends at {survived_to}, and position {survived_to + 2} was acknowledged")
    assert pool.position == survived_to


async def test_a_tail_that_is_lost_behind_an_append_on_its_way(pool: PoolHarness) -> None:
    await pool.submit("T")
    with pool.log.held():
        asked = pool.post("ops.cancel", {"task_id": "T"})
        await pool.rest()
        pool.log.truncate_to(2)
        pool.foreign = True
    await pool.advance(1)
    assert asked.answer.code == "unavailable"
    await ends_as_lost(pool, "the log ends at 2, and position 3 was acknowledged")


async def test_a_lost_tail_that_others_wrote_over_ends_it_too(pool: PoolHarness) -> None:
    survived_to = await lose(pool, "lost")
    pool.log.append_foreign(*pool.by_another(*[(f"task/{name}", THEIRS) for name in "XYZ"]))
    pool.post("ops.submit")
    await pool.rest()
    await ends_as_lost(pool, f"position {survived_to + 1} of the log holds something else than was acknowledged there")


async def test_an_idle_service_finds_it_when_its_log_is_checked(pool: PoolHarness) -> None:
    await lose(pool, "lost")
    pool.service.writer.check_log()
    await pool.rest()
    await ends_as_lost(pool, "the log ends at")


async def test_a_broker_that_lags_behind_its_peers_for_a_while_has_lost_nothing(make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(loss_confirm_s=CONFIRM_S))
    await pool.submit("T")
    stored = [NewMessage(each.subject, each.body, each.headers) for each in pool.log.messages]
    pool.log.truncate_to(2)
    pool.post("ops.cancel", {"task_id": "T"})
    await pool.advance(CONFIRM_S - 1)
    assert not pool.log.messages[2:]
    pool.log.replace(stored)
    await pool.advance(1)
    await pool.given("ops.cancel", task_id="T")


async def test_a_broker_that_stays_behind_has_lost_it(make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(loss_confirm_s=CONFIRM_S))
    await lose(pool, "lost")
    pool.post("ops.submit")
    await pool.advance(CONFIRM_S + 1)
    await ends_as_lost(pool, "the log ends at")


async def test_an_accepted_loss_is_filled_up_before_anything_else_so_that_no_token_comes_twice(
    pool: PoolHarness,
) -> None:
    await pool.register("a")
    survived_to = pool.position
    lost = await pool.holds("a", "T")
    acknowledged_to = pool.position
    await pool.stop()
    pool.log.truncate_to(survived_to)
    pool.foreign = True
    filled_to = acknowledged_to + 2_500
    pool.accepted_loss = FillTail(acknowledged_to, filled_to)
    await pool.start()

    filling = pool.events(TailLost)
    assert [each.position for each in filling] == list(range(survived_to + 1, filled_to + 1))
    assert {each.event for each in filling} == {
        TailLost(survived_to=survived_to, acknowledged_to=acknowledged_to, filled_to=filled_to)
    }
    assert await pool.holds("a", "T") > max(lost, filled_to)
    (loss,) = (await pool.given("query.health"))["tail_losses"]
    assert (loss["survived_to"], loss["acknowledged_to"], loss["filled_to"]) == (
        survived_to,
        acknowledged_to,
        filled_to,
    )


async def test_a_start_that_is_killed_while_it_fills_is_gone_on_with(pool: PoolHarness) -> None:
    survived_to = pool.position
    await pool.kill()
    pool.accepted_loss = FillTail(survived_to + 1, survived_to + 3_000)
    await pool.start()
    await pool.kill()
    pool.log.truncate_to(survived_to + 1_234)
    pool.foreign = True
    await pool.start()

    assert {each.event for each in pool.events(TailLost)} == {
        TailLost(survived_to=survived_to, acknowledged_to=survived_to + 1, filled_to=survived_to + 3_000)
    }
    assert len(pool.events(TailLost)) == 3_000
    assert len((await pool.given("query.health"))["tail_losses"]) == 1
    await pool.restart()
    assert len(pool.events(TailLost)) == 3_000, "what is filled already is not filled again"


async def test_a_log_that_lost_everything_begins_with_the_loss(pool: PoolHarness) -> None:
    await pool.submit("T")
    await pool.kill()
    acknowledged_to = pool.position
    pool.log.truncate_to(0)
    pool.foreign = True
    pool.accepted_loss = FillTail(acknowledged_to, acknowledged_to + 5)
    await pool.start()
    filling = pool.events(TailLost)
    assert [each.position for each in filling] == list(range(1, acknowledged_to + 6))
    assert {each.event.survived_to for each in filling if isinstance(each.event, TailLost)} == {0}


async def test_a_start_whose_fill_is_rejected_is_tried_again_later(pool: PoolHarness) -> None:
    await pool.kill()
    pool.accepted_loss = FillTail(pool.position + 1, pool.position + 3)
    pool.log.fail_next(Reject("no room"))
    pool.make_service()
    with pytest.raises(LogUnavailableError, match="not in the log: the broker does not take it: no room"):
        await pool.service.open()
    await pool.kill()
    await pool.start()
    assert len(pool.events(TailLost)) == 3


async def test_where_the_log_went_on_since_the_loss_is_recorded_once(pool: PoolHarness) -> None:
    await pool.submit(*"ABC")
    await pool.kill()
    pool.accepted_loss = FillTail(pool.position - 1, pool.position - 1)
    await pool.start()
    (filling,) = pool.events(TailLost)
    assert filling.event == TailLost(
        survived_to=None, acknowledged_to=filling.position - 2, filled_to=filling.position - 2
    )


async def test_another_that_fills_at_the_same_time_is_no_harm(pool: PoolHarness) -> None:
    await pool.kill()
    survived_to = pool.position
    loss = TailLost(survived_to=survived_to, acknowledged_to=survived_to + 3, filled_to=survived_to + 5)
    pool.accepted_loss = FillTail(loss.acknowledged_to, loss.filled_to)
    pool.log.fail_next(Conflict(pool.by_another(*[(f"pool/{POOL}", loss) for _ in range(2)])))
    await pool.start()
    assert [each.position for each in pool.events(TailLost)] == list(range(survived_to + 1, survived_to + 6))
