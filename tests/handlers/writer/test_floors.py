"""An outage of ours is not the agents' silence: after it nothing expires for as long again, plus a jitter."""

from __future__ import annotations

import pytest

from domain.events.agent import Lost
from domain.events.pool import Rearmed
from domain.events.task import Expired
from domain.pool import jitter_fraction
from domain.rules import Rules
from tests.handlers.conftest import MakePool
from tests.support.log_faults import LoseRequest, Unavailable
from tests.support.pool_harness import PoolHarness

DUE_S = 240.0


def floors(pool: PoolHarness) -> list[Rearmed]:
    return [recorded.event for recorded in pool.records() if isinstance(recorded.event, Rearmed)]


async def expiry_s(pool: PoolHarness, task_id: str, within_s: float) -> float:
    """Let time pass until the task's lease expires; return the moment in seconds since the start."""
    before = pool.task(task_id).attempt
    until = pool.clock.elapsed_s + within_s
    while pool.task(task_id).attempt == before and pool.clock.elapsed_s < until:
        await pool.advance(min(0.5, until - pool.clock.elapsed_s))
    expired = [r for r in pool.events(Expired) if r.entity_id == task_id]
    assert expired, f"{task_id} did not expire within {within_s} s"
    return (expired[-1].time - pool.clock.now()).total_seconds() + pool.clock.elapsed_s


async def test_after_a_restart_nothing_expires_for_the_blind_time_and_a_jitter(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.restart(after_s=1000)
    (floor,) = floors(pool)
    assert (floor.reason, floor.blind_s, floor.jitter_s) == ("start", 1000.0, 30.0)
    at_s = await expiry_s(pool, "T", 1100)
    assert at_s == pytest.approx(2000 + 30 * jitter_fraction(token), abs=0.001)


async def test_the_jitter_spreads_neighbours(pool: PoolHarness) -> None:
    await pool.holds("a", *(f"T{number}" for number in range(8)))
    await pool.restart(after_s=1000)
    await pool.advance(1100)
    times = {recorded.time for recorded in pool.events(Expired)}
    assert len(times) == 8
    assert (max(times) - min(times)).total_seconds() > 10


async def test_the_floor_ends_with_the_limit(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(rearm_max_s=100.0, rearm_jitter_s=0.0))
    await pool.holds("a", "T")
    await pool.restart(after_s=5000)
    assert await expiry_s(pool, "T", 200) == 5100


async def test_a_lease_that_lasts_longer_than_the_floor_is_untouched_by_it(pool: PoolHarness) -> None:
    await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 500.0, "grace_s": 0.0})
    await pool.restart(after_s=10)
    assert await expiry_s(pool, "T", 600) == 500


async def test_an_agent_that_comes_back_within_the_floor_keeps_its_task(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.restart(after_s=1000)
    await pool.advance(900)
    await pool.given("agent.a.progress", task_id="T", token=token, percent=5)
    await pool.advance(200)
    assert pool.lease("T").token == token


@pytest.mark.parametrize("sweeper_first", [True, False])
async def test_a_machine_that_was_suspended_heard_no_agent(pool: PoolHarness, *, sweeper_first: bool) -> None:
    # The watchdog looks at whole seconds.
    await pool.advance(0.3)
    await pool.holds("a", "T")
    await pool.advance(DUE_S - (0.2 if sweeper_first else 0.7))
    pool.clock.suspend(1000)
    await pool.advance(2)
    assert not pool.events(Expired)
    assert [(floor.reason, round(floor.blind_s)) for floor in floors(pool)] == [("outage", 1000)]
    await pool.advance(1100)
    assert pool.events(Expired)


async def test_an_empty_pool_needs_no_floor(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T")
    await pool.restart(after_s=1000)
    assert floors(pool) == []


async def test_after_a_reconnection(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.advance(200)
    pool.service.disconnected()
    await pool.advance(100)
    assert pool.task("T").status == "assigned", "no agent is judged while none can be heard"
    pool.service.reconnected(100.0)
    await pool.rest()
    (floor,) = floors(pool)
    assert (floor.reason, floor.blind_s) == ("outage", 100.0)
    assert await expiry_s(pool, "T", 200) == pytest.approx(400 + 30 * jitter_fraction(token), abs=0.001)


async def test_a_second_disconnection_while_the_first_floor_is_set(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    pool.service.disconnected()
    await pool.advance(5)
    with pool.log.held():
        pool.service.reconnected(5.0)
        await pool.rest()
        pool.service.disconnected()
    await pool.advance(500)
    assert pool.task("T").status == "assigned"
    pool.service.reconnected(500.0)
    await pool.advance(600)
    assert [floor.blind_s for floor in floors(pool)] == [5.0, 500.0]
    assert pool.task("T").status == "queued"


async def test_after_a_standstill_of_the_process(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.advance(100)
    await pool.clock.stall(200)
    await pool.advance(0.1)
    assert pool.task("T").status == "assigned"
    (floor,) = floors(pool)
    assert floor.blind_s == pytest.approx(199.5, abs=1)
    await pool.advance(190)
    assert pool.task("T").status == "assigned"
    await pool.advance(60)
    assert pool.task("T").status == "queued"


async def test_a_standstill_between_two_sweeps_counts_too(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.advance(10)
    await pool.clock.stall(200)
    assert [floor.blind_s > 195 for floor in floors(pool)] == [True]
    await pool.advance(100)
    assert pool.task("T").status == "assigned"


@pytest.mark.parametrize("fault", [LoseRequest(), Unavailable()], ids=["no answer", "no broker"])
async def test_after_a_broker_that_did_not_answer(
    pool: PoolHarness, fault: LoseRequest | Unavailable, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.holds("a", "T")
    await pool.advance(238)
    pool.log.fail_next(*[fault] * 400)
    pool.log.fail_reads(1000)
    pool.post("ops.submit")
    await pool.advance(60)
    assert pool.task("T").status == "assigned"
    pool.log.recover()
    await pool.advance(0.3)
    await pool.advance(1)
    assert "could not hear the agents" in caplog.text
    (floor,) = floors(pool)
    assert floor.blind_s == pytest.approx(60.25, abs=0.5)
    await pool.advance(58)
    assert pool.task("T").status == "assigned"
    await pool.advance(40)
    assert pool.task("T").status == "queued"


async def test_a_connection_that_is_back_at_once_is_no_outage(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.holds("a", "T")
    pool.service.disconnected()
    pool.service.reconnected(0.02)
    await pool.advance(1)
    assert not floors(pool)
    assert "could not hear" not in caplog.text
    await pool.advance(300)
    assert pool.task("T").status == "queued", "and what falls due is judged"


async def test_an_outage_without_a_command_ends_by_itself(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    pool.log.fail_next(*[Unavailable()] * 400)
    pool.log.fail_reads(1)
    asked = pool.post("ops.submit")
    await pool.advance(5.2)
    assert asked.answer.code == "unavailable"
    pool.log.recover()
    await pool.advance(DUE_S + 60)
    assert [round(floor.blind_s) for floor in floors(pool)] == [5]
    assert pool.task("T").status == "queued"


async def test_a_short_delay_is_no_outage(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    pool.log.fail_next(*[LoseRequest()] * 6)
    await pool.request("ops.submit", {"task_id": "U"}, within_s=3)
    assert floors(pool) == []


async def test_a_floor_is_never_lowered(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    pool.service.reconnected(500.0)
    await pool.rest()
    pool.service.reconnected(5.0)
    await pool.rest()
    assert [floor.blind_s for floor in floors(pool)] == [500.0]


async def test_no_agent_is_lost_for_what_an_outage_hid(pool: PoolHarness) -> None:
    await pool.register("a", "b", "c")
    await pool.advance(590)
    pool.log.fail_next(*[LoseRequest()] * 100)
    pool.post("ops.submit")
    await pool.advance(24)
    assert not pool.events(Lost)
    await pool.advance(580)
    assert not pool.events(Lost)
    await pool.advance(30)
    assert len(pool.events(Lost)) == 3


async def test_a_verdict_on_the_way_into_an_outage_is_dropped(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    with pool.log.held():
        await pool.advance(598.5)
        pool.post("ops.submit")
        await pool.advance(60)
    await pool.advance(1)
    assert not pool.events(Lost)


async def test_a_restart_counts_as_the_last_word_of_every_agent(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.restart(after_s=590)
    await pool.advance(599)
    assert pool.agent("a").status == "live"
    await pool.advance(2)
    assert pool.agent("a").status == "lost"


async def test_agents_are_lost_after_a_long_silence_and_any_command_revives_them(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    await pool.advance(300)
    await pool.given("agent.b.heartbeat")
    await pool.advance(300.1)
    assert [pool.agent(agent).status.value for agent in "ab"] == ["lost", "live"]
    (lost,) = pool.events(Lost)
    assert isinstance(lost.event, Lost)
    assert lost.event.silence_s == pytest.approx(600, abs=0.001)
    await pool.submit("T")
    assert (await pool.given("agent.a.claim"))["leases"]
    assert pool.agent("a").status == "live"
    await pool.advance(590)
    assert pool.agent("a").status == "live"


async def test_a_refused_command_is_a_sign_of_life_too(pool: PoolHarness) -> None:
    await pool.register("a")
    for _ in range(3):
        await pool.advance(500)
        assert (await pool.request("agent.a.start", {"task_id": "none", "token": 1})).code == "unknown_task"
    assert pool.agent("a").status == "live"


async def test_strangers_are_not_watched(pool: PoolHarness) -> None:
    for number in range(5):
        assert (await pool.request(f"agent.x{number}.heartbeat")).code == "unknown_agent"
    await pool.advance(700)
    assert not pool.events(Lost)
    assert len(pool.service.writer.liveness) == 0
