"""A claim that waits is answered by work that comes, first come first served among those who can do it."""

from __future__ import annotations

import pytest

from domain.policies.load_balancing import StealConfig
from domain.rules import Rules
from handlers.writer import claim_line
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import Asked, PoolHarness


def wait(pool: PoolHarness, agent_id: str, wait_s: float = 30.0, **body: object) -> Asked:
    return pool.post(f"agent.{agent_id}.claim", {"wait_s": wait_s, **body})


def tasks(claim: Asked) -> list[str]:
    return [lease["task_id"] for lease in claim.answer.result["leases"]]


async def test_a_submission_answers_it(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.advance(3)
    assert claim.reply is None
    await pool.submit("T", payload={"x": 1})
    lease = claim.answer.result["leases"][0]
    assert (lease["task_id"], lease["token"], lease["payload"]) == ("T", pool.position, {"x": 1})
    assert claim.answer["position"] == pool.position


async def test_whatever_brings_a_task_back_answers_it(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=StealConfig(enabled=False)))
    await pool.register("b")
    for number, (verb, body) in enumerate(
        [
            ("agent.a.release", {}),
            ("agent.a.fail", {"error": "no"}),
            ("agent.a.deregister", None),
            ("ops.revoke", {"task_id": "T3"}),
        ]
    ):
        token = await pool.holds("a", f"T{number}")
        claim = wait(pool, "b")
        await pool.rest()
        assert claim.reply is None
        fields = body if body is None or verb.startswith("ops") else {"task_id": f"T{number}", "token": token, **body}
        assert (await pool.request(verb, fields)).ok
        await pool.advance(2)
        assert tasks(claim) == [f"T{number}"]


async def test_an_unblocked_and_a_requeued_task_answer_it(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T", budgets={"releases": 1})
    await pool.register("b")
    await pool.given("agent.a.release", task_id="T", token=token)
    claim = wait(pool, "b")
    await pool.given("ops.requeue", task_id="T")
    token = claim.answer.result["leases"][0]["token"]
    await pool.given("agent.b.block", task_id="T", token=token, reason="no key")
    claim = wait(pool, "b")
    await pool.given("ops.unblock", task_id="T")
    assert claim.answer.result["leases"][0]["handoff"]["from_agent"] == "b"


async def test_an_expired_lease_answers_it_the_moment_it_is_judged(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.register("b")
    await pool.advance(225)
    claim = wait(pool, "b")
    await pool.advance(14.9)
    assert claim.reply is None
    await pool.advance(0.2)
    assert tasks(claim) == ["T"]


async def test_a_task_assigned_meanwhile_is_told_to_the_agents_oldest_claim(pool: PoolHarness) -> None:
    await pool.register("a", capabilities=["web"])
    await pool.register("b")
    first, second, other = wait(pool, "a"), wait(pool, "a"), wait(pool, "b")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T", "required_capabilities": ["web"]})
        await pool.rest()
        pool.post("ops.assign", {"task_id": "T", "agent_id": "a"})
        await pool.rest()
    await pool.rest()
    assert tasks(first) == ["T"]
    assert not second.replies
    assert not other.replies


async def test_a_claim_that_an_assignment_fills_up_is_told_what_was_assigned(pool: PoolHarness) -> None:
    await pool.register("a", capacity=1)
    claim, second = wait(pool, "a"), wait(pool, "a")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
        pool.post("ops.assign", {"task_id": "T", "agent_id": "a"})
        await pool.rest()
    await pool.rest()
    assert tasks(claim) == ["T"]
    assert not second.replies


async def test_a_stolen_task_comes_as_the_answer(pool: PoolHarness) -> None:
    await pool.holds("a", "T", "U")
    await pool.register("b")
    claim = wait(pool, "b")
    await pool.rest()
    result = await pool.given("ops.steal", from_="a", to="b", task_ids=["T"])
    lease = claim.answer.result["leases"][0]
    assert [lease["task_id"]] == result["task_ids"]
    assert lease["token"] == pool.lease("T").token
    assert lease["attempt"] == 2


async def test_what_is_given_goes_before_what_is_free(pool: PoolHarness) -> None:
    await pool.holds("a", "G")
    await pool.register("b", "c", capacity=1)
    claim, other = wait(pool, "b"), wait(pool, "c")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.cancel", {"task_id": "none-such"})
        steal = pool.post("ops.steal", {"from": "a", "to": "b", "task_ids": ["G"]})
        await pool.rest()
    with pool.log.held():
        await pool.rest()
        pool.post("ops.submit", {"title": "free"})
        await pool.rest()
    await pool.rest()
    assert steal.answer.ok
    assert tasks(claim) == ["G"]
    assert len(tasks(other)) == 1


async def test_first_come_first_served(pool: PoolHarness) -> None:
    await pool.register("a", "b", "c")
    claims = [wait(pool, agent) for agent in "cab"]
    for number in range(3):
        await pool.submit(f"T{number}")
        assert [tasks(claim) for claim in claims[: number + 1]] == [[f"T{each}"] for each in range(number + 1)]
        assert not any(claim.replies for claim in claims[number + 1 :])


async def test_a_batch_of_work_is_given_out_in_order(pool: PoolHarness) -> None:
    await pool.register("a", "b", "c")
    claims = [wait(pool, agent) for agent in "cab"]
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"required_capabilities": ["rare"]})
        await pool.rest()
        for number in range(3):
            pool.post("ops.submit", {"title": f"T{number}"})
        await pool.rest()
    await pool.rest()
    titles = [claim.answer.result["leases"][0]["title"] for claim in claims]
    assert titles == ["T0", "T1", "T2"]


async def test_who_was_woken_in_vain_keeps_its_place(pool: PoolHarness) -> None:
    await pool.register("a", "b", "c")
    greedy, second = wait(pool, "a", max=10), wait(pool, "b")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"required_capabilities": ["rare"]})
        await pool.rest()
        for number in range(2):
            pool.post("ops.submit", {"title": f"T{number}"})
        await pool.rest()
    await pool.rest()
    assert len(tasks(greedy)) == 2
    assert not second.replies
    third = wait(pool, "c")
    await pool.submit("later")
    assert tasks(second) == ["later"]
    assert not third.replies


async def test_only_who_can_do_it_is_woken(pool: PoolHarness) -> None:
    await pool.register("plain", "stranger", capabilities=["web"])
    await pool.register("able", capabilities=["gpu", "web"])
    plain, able = wait(pool, "plain"), wait(pool, "able")
    await pool.submit("T", required_capabilities=["gpu"])
    assert tasks(able) == ["T"]
    await pool.submit("U", required_capabilities=["web"])
    assert tasks(plain) == ["U"]


async def test_a_registration_ends_it_empty_for_its_process_may_be_gone(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    claim, of_another = wait(pool, "a"), wait(pool, "b")
    await pool.rest()
    await pool.register("a", capabilities=["gpu"])
    assert tasks(claim) == []
    assert not of_another.replies
    again = wait(pool, "a")
    await pool.submit("T", required_capabilities=["gpu"])
    assert tasks(again) == ["T"]


async def test_a_registration_that_changes_nothing_ends_it_too(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.rest()
    await pool.register("a")
    assert tasks(claim) == []


async def test_a_claim_that_was_woken_takes_nothing_once_its_agent_registers_again(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
        registered = pool.post("agent.a.register", {"capacity": 10})
        await pool.rest()
    await pool.rest()
    assert registered.answer.ok
    assert tasks(claim) == []
    assert pool.task("T").status == "queued"


async def test_patience_ends_to_the_moment(pool: PoolHarness) -> None:
    await pool.register("a")
    claims = [wait(pool, "a", wait_s) for wait_s in (7.0, 3.5, 30.0)]
    for wait_s, number in ((3.5, 1), (7.0, 0), (30.0, 2)):
        await pool.advance(wait_s - pool.clock.elapsed_s - 0.001)
        assert not claims[number].replies
        await pool.advance(0.001)
        assert tasks(claims[number]) == []
    assert len(pool.service.writer.waiting) == 0


async def test_patience_begins_when_the_claim_comes(pool: PoolHarness) -> None:
    await pool.register("a")
    with pool.log.held():
        pool.post("ops.submit", {"required_capabilities": ["rare"]})
        await pool.rest()
        claim = wait(pool, "a", 3.0)
        await pool.advance(2)
    await pool.advance(0.9)
    assert not claim.replies
    await pool.advance(0.2)
    assert tasks(claim) == []


async def test_a_deregistered_agent_waits_for_nothing(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.given("agent.a.deregister")
    assert claim.answer.code == "unknown_agent"


async def test_a_lost_agents_wait_ends_and_does_not_revive_it(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(lost_after_s=10.0))
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.advance(11)
    assert pool.agent("a").status == "lost"
    assert tasks(claim) == []
    await pool.submit("T")
    await pool.advance(30)
    assert pool.agent("a").status == "lost"


async def test_an_agent_that_is_heard_while_it_is_recorded_as_lost_is_watched_on(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(lost_after_s=10.0))
    await pool.register("a")
    with pool.log.held():
        await pool.advance(11)
        claim = wait(pool, "a")
        await pool.rest()
    await pool.rest()
    assert pool.agent("a").status == "live"
    assert not claim.replies, "it was sent after the silence for which the agent was lost"
    await pool.advance(11)
    assert pool.agent("a").status == "lost"
    assert tasks(claim) == []


async def test_waiting_is_no_sign_of_life(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(lost_after_s=10.0))
    await pool.register("a")
    wait(pool, "a")
    await pool.advance(8)
    await pool.submit("T")
    await pool.advance(3)
    assert pool.agent("a").status == "lost"


async def test_a_claim_that_waited_renews_nothing_when_it_is_granted_a_task(pool: PoolHarness) -> None:
    """It renewed what its agent held when it was sent; who sent it may be dead since."""
    await pool.register("a", capacity=2)
    await pool.submit("T")
    await pool.given("agent.a.claim")
    claim = wait(pool, "a", 30.0)
    await pool.advance(25)
    expires_at = pool.lease("T").expires_at
    await pool.submit("U")
    assert tasks(claim) == ["U"]
    assert pool.lease("T").expires_at == expires_at


async def test_a_dead_client_costs_one_lease_and_no_more(pool: PoolHarness) -> None:
    await pool.register("dead", "b")
    pool.post("agent.dead.claim", {"wait_s": 30.0}, reply="")
    pool.asked.pop()
    await pool.advance(1)
    await pool.submit("T")
    assert pool.lease("T").agent_id == "dead"
    await pool.advance(241)
    assert pool.task("T").status == "queued"
    assert (await pool.given("agent.b.claim"))["leases"][0]["task_id"] == "T"


async def test_only_so_many_wait_for_one_agent(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    claims = [wait(pool, "a", 5.0) for _ in range(claim_line.MAX_WAITING_PER_AGENT + 1)]
    other = wait(pool, "b", 5.0)
    await pool.rest()
    assert [bool(claim.replies) for claim in claims] == [False] * 16 + [True]
    assert claims[-1].answer.code == "overloaded"
    assert not other.replies
    await pool.advance(5)


async def test_one_too_many_that_renewed_a_lease_ends_empty_and_is_not_refused(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    for _ in range(claim_line.MAX_WAITING_PER_AGENT):
        wait(pool, "a", 30.0)
    await pool.advance(29)
    one_too_many = wait(pool, "a", 30.0)
    await pool.rest()
    assert one_too_many.answer.result == {"leases": []}
    assert one_too_many.answer.names == ["renewed"]
    await pool.advance(5)


async def test_of_an_agents_claims_one_is_answered_by_a_task(pool: PoolHarness) -> None:
    await pool.register("a")
    first, second = (pool.post("agent.a.claim", {"wait_s": 30.0}) for _ in range(2))
    await pool.rest()
    await pool.submit("T")
    assert [lease["task_id"] for lease in first.answer.result["leases"]] == ["T"]
    assert second.reply is None, "the grant of another claim is not its own"
    await pool.submit("U")
    assert [lease["task_id"] for lease in second.answer.result["leases"]] == ["U"]


async def test_only_so_many_wait_in_all(pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_line, "MAX_WAITING", 3)
    await pool.register("a", "b")
    claims = [wait(pool, agent, 5.0) for agent in "abab"]
    await pool.rest()
    assert claims[-1].answer.code == "overloaded"
    await pool.advance(5)
    assert tasks(claims[0]) == []


async def test_a_refused_claim_does_not_wait(pool: PoolHarness) -> None:
    await pool.holds("a", "T", capacity=1)
    full, unknown = wait(pool, "a"), wait(pool, "unknown")
    await pool.rest()
    assert [claim.answer.code for claim in (full, unknown)] == ["at_capacity", "unknown_agent"]


async def test_a_restart_forgets_who_waited(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.rest()
    await pool.restart()
    await pool.submit("T")
    assert not claim.replies
    assert pool.task("T").status == "queued"


async def test_a_task_past_its_deadline_answers_no_claim_and_wakes_none_for_ever(make_pool: MakePool) -> None:
    pool = await make_pool(rules=Rules(sweeper_enabled=False))
    await pool.register("a")
    for number in range(500):
        await pool.submit(f"T{number}", deadline_s=1.0)
    await pool.advance(2)
    claim = wait(pool, "a")
    await pool.rest()
    assert claim.reply is None
    assert [recorded.name for recorded in pool.records()].count("failed") == 500
    await pool.submit("T")
    assert tasks(claim) == ["T"]


async def test_what_is_stolen_for_an_agent_is_told_to_its_claims_by_what_they_asked_for(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=StealConfig(enabled=False)))
    await pool.holds("a", *(f"T{number}" for number in range(9)))
    await pool.register("b")
    claims = [wait(pool, "b"), wait(pool, "b", max=2), wait(pool, "b"), wait(pool, "b")]
    await pool.rest()
    assert len((await pool.given("ops.steal", from_="a", to="b", count=4))["task_ids"]) == 4
    assert [len(tasks(claim)) for claim in claims[:3]] == [1, 2, 1]
    assert claims[3].reply is None
    await pool.given("ops.steal", from_="a", to="b", count=3)
    assert len(tasks(claims[3])) == 3, "the last claim is told all the rest"
    await pool.advance(31)


async def test_what_does_not_fit_into_an_answer_is_told_at_the_next_heartbeat(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=StealConfig(enabled=False)))
    for number in range(12):
        await pool.holds("a", f"T{number}", payload="x" * 60_000)
    await pool.register("b", capacity=50)
    claim = wait(pool, "b", max=50)
    await pool.rest()
    await pool.given("ops.steal", from_="a", to="b", count=12)
    assert len(tasks(claim)) == 9
    assert len((await pool.given("agent.b.heartbeat"))["leases"]) == 12
