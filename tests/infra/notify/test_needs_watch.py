"""What needs people: told when it appears, when it is over if that is wanted, and never again after a restart."""

from __future__ import annotations

import pytest

from domain.commands.service_commands import MarkLost
from handlers.notifier import needs_watch
from projections.live import attention
from tests.support.notified_pool import DELIVERED, DOWN, NotifiedPool
from tests.support.scenario import OPS


def block(pool: NotifiedPool, task_id: str, **definition: object) -> None:
    pool.given(OPS, "submit", task_id=task_id, **definition)
    token = pool.given("a1", "claim").result["leases"][0]["token"]
    pool.given("a1", "block", task_id=task_id, token=token, reason="unclear", question="Which branch?")


async def test_a_need_is_told_when_it_appears_and_when_it_is_over(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("*",), resolved=True)
    async with pool.notifying():
        block(pool, "T1", title="Merge")
        await pool.clock.advance(5)
        assert [each.type for each in told.got] == ["custody.need.opened"]
        need = told.got[0].data
        assert (need["kind"], need["task_id"], need["question"]) == ("blocked", "T1", "Which branch?")
        assert need["actions"] == ["unblock", "cancel"]
        assert need["text"].startswith('needs you: blocked: task T1 "Merge"')
        assert need["text"].endswith('to be answered: "Which branch?"')
        await pool.clock.advance(60)
        assert len(told.got) == 1
        pool.given(OPS, "unblock", task_id="T1", answer="main")
        await pool.clock.advance(5)
        assert [each.type for each in told.got] == ["custody.need.opened", "custody.need.resolved"]
        assert told.got[1].data["text"].startswith('over: blocked: task T1 "Merge"')


async def test_a_need_that_is_not_about_one_task_says_what_it_is(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("unworkable",))
    async with pool.notifying():
        pool.given(OPS, "submit", task_id="T1", title="Train", required_capabilities=["gpu"])
        await pool.clock.advance(5)
    assert told.texts == ["needs you: unworkable: 1 task needs gpu (T1): no live agent has it"]


async def test_a_need_that_comes_back_is_told_again_with_another_id(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("blocked",))
    async with pool.notifying():
        block(pool, "T1")
        await pool.clock.advance(5)
        pool.given(OPS, "unblock", task_id="T1")
        await pool.clock.advance(5)
        token = pool.given("a1", "claim").result["leases"][0]["token"]
        pool.given("a1", "block", task_id="T1", token=token, reason="still unclear")
        await pool.clock.advance(5)
    assert told.kinds == ["blocked", "blocked"]
    assert len({each.message_id for each in told.got}) == 2


async def test_a_restart_tells_only_what_is_new(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("blocked",), resolved=True)
    block(pool, "T1")
    async with pool.notifying(killed=True):
        await pool.clock.advance(5)
        assert [each.data["task_id"] for each in told.got] == ["T1"]
    block(pool, "T2")
    async with pool.notifying():
        await pool.clock.advance(5)
    pool.given(OPS, "unblock", task_id="T1")
    async with pool.notifying():
        await pool.clock.advance(5)
    assert [(each.type.rpartition(".")[2], each.data["task_id"]) for each in told.got] == [
        ("opened", "T1"),
        ("opened", "T2"),
        ("resolved", "T1"),
    ]


async def test_filters_choose_among_needs(pool: NotifiedPool) -> None:
    ops = pool.endpoint("ops", needs=("*",), labels=("ops",))
    stuck = pool.endpoint("stuck", needs=("stuck", "quarantined"))
    agent = pool.endpoint("agent", needs=("*",), agents=("a1",))
    async with pool.notifying():
        block(pool, "T1", labels=["ops"])
        block(pool, "T2", labels=["web"])
        await pool.clock.advance(5)
    assert [each.data["task_id"] for each in ops.got] == ["T1"]
    assert stuck.got == []
    assert {each.data["agent_id"] for each in agent.got} <= {"a1"}


async def test_a_service_that_does_not_answer_is_told_even_while_the_log_cannot_be_read(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("*",), resolved=True)
    block(pool, "T1")
    async with pool.notifying() as notifier:
        await pool.clock.advance(5)
        pool.health = pool.health.failed(pool.clock.now(), "no service")
        pool.log.fail_reads(100_000)
        notifier.request_log_check()
        pool.given(OPS, "submit", task_id="T2")
        await pool.clock.advance(10)
        assert told.kinds == ["blocked", "writer_down"]
        pool.log.recover()
        pool.health = pool.health.answered(pool.clock.now(), {})
        await pool.clock.advance(10)
        assert [(each.type.rpartition(".")[2], each.data["kind"]) for each in told.got] == [
            ("opened", "blocked"),
            ("opened", "writer_down"),
            ("resolved", "writer_down"),
        ]


async def test_an_endpoint_that_was_down_is_told_of_the_need_and_of_its_end(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("blocked",), resolved=True)
    told.answer = lambda _: DOWN
    async with pool.notifying():
        block(pool, "T1")
        await pool.clock.advance(60)
        pool.given(OPS, "unblock", task_id="T1")
        await pool.clock.advance(60)
        told.answer = lambda _: DELIVERED
        await pool.clock.advance(3_600)
    assert {each.type for each in told.got} == {"custody.need.opened", "custody.need.resolved"}


async def test_what_comes_and_goes_within_a_moment_is_not_told(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("blocked",), resolved=True, settle_s=10.0)
    async with pool.notifying():
        block(pool, "T1")
        await pool.clock.advance(8)
        pool.given(OPS, "unblock", task_id="T1")
        await pool.clock.advance(60)
        assert told.got == []
        token = pool.given("a1", "claim").result["leases"][0]["token"]
        pool.given("a1", "block", task_id="T1", token=token, reason="unclear")
        await pool.clock.advance(8)
        assert told.got == []
        await pool.clock.advance(8)
        assert told.kinds == ["blocked"]
        pool.given(OPS, "unblock", task_id="T1")
        token = pool.given("a1", "claim").result["leases"][0]["token"]
        await pool.clock.advance(6)
        pool.given("a1", "block", task_id="T1", token=token, reason="again")
        await pool.clock.advance(60)
        assert told.kinds == ["blocked"]


def lose(pool: NotifiedPool, agent_id: str, task_id: str) -> None:
    """Have an agent be lost with a task in its hands."""
    pool.given(agent_id, "register")
    pool.given(OPS, "submit", task_id=task_id)
    pool.given(OPS, "assign", task_id=task_id, agent_id=agent_id)
    pool.scenario.asks(MarkLost(agent_id, 1_000.0))
    pool.append()


async def test_what_comes_last_is_told_and_resolved_however_much_comes_before_it(
    pool: NotifiedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "MAX_NEEDS", 3)
    chosen = pool.endpoint("chosen", needs=("lost_agent",), resolved=True)
    told = pool.endpoint("all", needs=("*",), resolved=True)
    async with pool.notifying():
        for number in range(6):
            block(pool, f"T{number}")
        lose(pool, "a2", "L")
        await pool.clock.advance(5)
        assert chosen.kinds == ["lost_agent"]
        assert sorted(told.kinds) == [*6 * ["blocked"], "lost_agent"]
        pool.given("a2", "register")
        await pool.clock.advance(5)
    assert chosen.got[-1].type == "custody.need.resolved"
    assert (told.got[-1].type, told.got[-1].data["kind"]) == ("custody.need.resolved", "lost_agent")


async def test_of_each_kind_so_many_are_told_at_a_time_and_the_next_when_one_is_over(
    pool: NotifiedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs_watch, "MAX_TOLD", 2)
    told = pool.endpoint("e", needs=("*",), resolved=True)
    web = pool.endpoint("web", needs=("blocked",), labels=("web",))
    async with pool.notifying():
        for number in range(5):
            block(pool, f"T{number}", labels=["web"] if number > 3 else [])
        lose(pool, "a2", "L")
        await pool.clock.advance(5)
        assert sorted(told.kinds) == ["blocked", "blocked", "lost_agent"]
        assert [each.data["task_id"] for each in web.got] == ["T4"], "what an endpoint does not want takes no place"
        pool.given(OPS, "unblock", task_id="T0")
        await pool.clock.advance(5)
    blocked = [(each.type.rpartition(".")[2], each.data["task_id"]) for each in told.got if each.data["task_id"]]
    assert sorted(blocked) == [("opened", "T0"), ("opened", "T1"), ("opened", "T2"), ("resolved", "T0")]


async def test_what_was_needed_only_in_between_is_not_told_while_the_log_is_caught_up_with(pool: NotifiedPool) -> None:
    told = pool.endpoint("e", needs=("blocked",), resolved=True)
    async with pool.notifying() as notifier:
        projector = notifier._projector  # noqa: SLF001 # it learns where the log ends, as after an outage
        assert projector is not None
        projector.note_log_end(pool.scenario.state.position + 4)
        block(pool, "T1")
        await pool.clock.advance(60)
        pool.given(OPS, "cancel", task_id="T1")
        await pool.clock.advance(60)
        assert told.got == []
        block(pool, "T2")
        await pool.clock.advance(60)
    assert [each.data["task_id"] for each in told.got] == ["T2"]
