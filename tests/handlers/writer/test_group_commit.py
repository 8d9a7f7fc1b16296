"""Commands that come while an append is on its way are decided together and appended together."""

from __future__ import annotations

from datetime import datetime

import pytest

from domain import limits
from domain.decision import Decision
from domain.decisions.dispatch import decide
from domain.events.agent import Heartbeat
from domain.events.task import Leased, Submitted
from domain.pool_view import SearchablePoolView
from domain.request import Request
from domain.rules import Rules
from handlers.ports import MAX_BATCH_MESSAGES
from handlers.writer import batch, batch_sizing, deciding, writer
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import Asked, PoolHarness


async def busy(pool: PoolHarness) -> Asked:
    """Give the writer an append to be busy with, while the log is held."""
    asked = pool.post("ops.submit", {"title": "keeps the writer busy"})
    await pool.rest()
    assert asked.reply is None
    return asked


async def test_a_single_event_is_a_single_append(pool: PoolHarness) -> None:
    before = len(pool.log.append_sizes)

    reply = await pool.request("ops.submit", {"task_id": "T"})

    assert pool.log.append_sizes[before:] == [1]
    assert reply["position"] == pool.position
    assert reply["events"] == [{"type": "custody.task.submitted.v1", "position": pool.position}]
    assert reply.result == {"task_id": "T", "was": "new"}


async def test_what_comes_during_an_append_goes_in_one_batch_in_order(pool: PoolHarness) -> None:
    await pool.register("a")
    with pool.log.held():
        await busy(pool)
        asked = [pool.post("ops.submit", {"title": str(number)}) for number in range(5)]
        claims = [pool.post("agent.a.claim", {"max": 2}) for _ in range(2)]
        await pool.rest()
        assert not any(each.replies for each in (*asked, *claims))
    await pool.rest()

    assert pool.log.append_sizes[-2:] == [1, 9]
    titles = [r.event.title for r in pool.records() if isinstance(r.event, Submitted)]
    assert titles == ["keeps the writer busy", "0", "1", "2", "3", "4"]
    given = [[lease["title"] for lease in claim.answer.result["leases"]] for claim in claims]
    assert given == [["keeps the writer busy", "0"], ["1", "2"]], "each sees what those before it left"


async def test_tokens_are_predicted_right_within_a_batch(pool: PoolHarness) -> None:
    await pool.register("a")
    with pool.log.held():
        await busy(pool)
        pool.post("ops.submit", {"title": "one"})
        claim = pool.post("agent.a.claim", {"max": 2})
        await pool.rest()
    await pool.rest()

    tokens = [lease["token"] for lease in claim.answer.result["leases"]]
    assert tokens == [r.position for r in pool.events(Leased)]
    assert tokens == [pool.position - 1, pool.position]
    assert claim.answer["position"] == pool.position


async def test_commands_of_one_batch_may_follow_on_one_task(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    with pool.log.held():
        await busy(pool)
        steps = [
            pool.post("agent.a.progress", {"task_id": "T", "token": token, "percent": 10}),
            pool.post("agent.a.complete", {"task_id": "T", "token": token}),
            pool.post("agent.a.progress", {"task_id": "T", "token": token, "percent": 20}),
            pool.post("ops.cancel", {"task_id": "T"}),
        ]
        await pool.rest()
    await pool.rest()

    assert [each.answer.code for each in steps] == [None, None, "task_finished", "task_finished"]
    assert pool.names()[-2:] == ["progressed", "completed"]


async def test_no_caller_is_answered_before_the_acknowledgement(pool: PoolHarness) -> None:
    with pool.log.held():
        await busy(pool)
        submit = pool.post("ops.submit", {"title": "x"})
        await pool.rest()
        assert submit.reply is None
        assert pool.log.append_sizes == [1, 1]
    await pool.rest()
    assert submit.answer.ok


async def test_refusals_that_rest_on_tentative_state_wait_for_it(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T")
    with pool.log.held():
        claim = pool.post("agent.a.claim")
        await pool.rest()
        refused = pool.post("ops.assign", {"task_id": "T", "agent_id": "a"})
        nothing = pool.post("agent.a.claim")
        await pool.rest()
        assert not any(each.replies for each in (claim, refused, nothing))
    await pool.rest()
    assert refused.answer.code == "illegal_transition"
    assert nothing.answer.result == {"leases": []}


async def test_queries_answer_from_acknowledged_state_only(pool: PoolHarness) -> None:
    with pool.log.held():
        await busy(pool)
        asked = [pool.post(f"query.{view}") for view in ("tasks", "statistics", "health", "backlog")]
        await pool.rest()
        assert not any(each.replies for each in asked)
    await pool.rest()

    assert len(asked[0].answer.result["tasks"]) == 1
    assert all(each.answer["position"] == pool.position for each in asked)


async def test_queries_between_two_batches_do_not_wait_for_the_second(pool: PoolHarness) -> None:
    with pool.log.held():
        await busy(pool)
        query = pool.post("query.tasks")
        later = pool.post("ops.submit", {"title": "later"})
        await pool.rest()
    await pool.rest()

    assert later.answer.ok
    assert len(query.answer.result["tasks"]) == 1


async def test_queries_are_answered_beside_commands_that_never_end(pool: PoolHarness) -> None:
    query: list[Asked] = []
    answered_at: list[int] = []

    def again(asked: Asked) -> None:
        if asked.subject.startswith("query"):
            answered_at.append(len(pool.asked))
        elif len(pool.asked) < 300:
            pool.post("ops.submit")
        if not query and len(pool.asked) > 50:
            query.append(pool.post("query.statistics"))

    pool.on_reply = again
    for _ in range(3):
        pool.post("ops.submit")
    await pool.rest()

    assert len(pool.asked) >= 300
    assert answered_at < [100]


async def test_a_batch_takes_no_more_than_the_broker_does(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_sizing, "MIN_LIMIT", 2_345)
    pool = await make_pool()
    with pool.log.held():
        await busy(pool)
        asked = [pool.post("ops.submit", {"title": str(number)}) for number in range(2_345)]
        await pool.rest()
    await pool.rest()

    assert pool.log.append_sizes[:4] == [1, 1, 1, 1_000]
    assert sum(pool.log.append_sizes[3:]) == 2_345
    assert all(each.answer.ok for each in asked)


async def test_a_command_is_never_split_over_two_batches(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_sizing, "MIN_LIMIT", 1_000)
    pool = await make_pool()
    await pool.register("a", capacity=100)
    with pool.log.held():
        await busy(pool)
        for number in range(950):
            pool.post("ops.submit", {"title": str(number)})
        claim = pool.post("agent.a.claim", {"max": 100})
        await pool.rest()
    await pool.rest()

    assert pool.log.append_sizes[3:] == [1, 950, 100]
    assert len(claim.answer.result["leases"]) == 100


async def test_a_batch_is_closed_at_its_limit_in_bytes(pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_BATCH_BYTES", 100_000)
    with pool.log.held():
        await busy(pool)
        for _ in range(writer.SLICE + 2):
            pool.post("ops.submit", {"payload": "x" * 60_000})
        await pool.rest()
    await pool.rest()

    assert pool.log.append_sizes[-3:] == [1, writer.SLICE, 2]


async def test_a_command_of_too_many_events_is_refused_alone(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = await make_pool()
    await pool.register("a", capacity=10)
    await pool.submit(*(f"T{number}" for number in range(10)))
    monkeypatch.setattr(deciding, "MAX_EVENTS_PER_COMMAND", 5)

    reply = await pool.request("agent.a.claim", {"max": 10})

    assert reply.code == "unavailable"
    assert "came to 10 events" in caplog.text
    assert len((await pool.given("agent.a.claim", max=5))["leases"]) == 5
    assert limits.MAX_EVENTS_PER_COMMAND == MAX_BATCH_MESSAGES


async def test_a_fault_in_deciding_costs_one_command(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(view: SearchablePoolView, request: Request, now: datetime, rules: Rules) -> Decision:
        if request.causation_id == "guilty":
            raise ZeroDivisionError
        return decide(view, request, now, rules)

    monkeypatch.setattr(deciding, "decide", faulty)
    with pool.log.held():
        await busy(pool)
        before = pool.post("ops.submit", {"title": "before"})
        guilty = pool.post("ops.submit", {"title": "guilty", "command_id": "guilty"})
        after = pool.post("ops.submit", {"title": "after"})
        await pool.rest()
    await pool.rest()

    assert [each.answer.code for each in (before, guilty, after)] == [None, "unavailable", None]
    assert "could not decide submit" in caplog.text
    assert pool.log.append_sizes[-1] == 2


async def test_commands_without_events_need_no_append(pool: PoolHarness) -> None:
    await pool.register("a")
    appends = pool.log.arrived

    assert (await pool.request("agent.a.claim")).result == {"leases": []}
    assert (await pool.request("ops.cancel", {"task_id": "none"})).code == "unknown_task"

    assert pool.log.arrived == appends


async def test_heartbeats_are_recorded_once_a_minute_at_the_most(pool: PoolHarness) -> None:
    await pool.register("a")
    for _ in range(13):
        await pool.given("agent.a.heartbeat")
        await pool.advance(10)
    assert len(pool.events(Heartbeat)) == 2


async def test_a_drain_that_is_not_acknowledged_yet_directs_no_agent(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    with pool.log.held():
        beat = pool.post("agent.a.heartbeat", {"load": {"cpu": 50, "memory": 50}})
        await pool.rest()
        pool.post("ops.drain", {"agent_id": "a"})
        await pool.rest()
        assert pool.agent("a").intake == "draining", "decided, and not acknowledged"
    await pool.rest()

    assert beat.answer.result["directives"] == []
    again = await pool.given("agent.a.heartbeat")
    assert [each["do"] for each in again["directives"]] == ["hand_over"]


async def test_an_acknowledged_position_is_noted_before_anyone_is_told(pool: PoolHarness) -> None:
    noted: list[tuple[int, int]] = []
    asked: list[Asked] = []
    pool.on_commit = lambda position, _tail_hash: noted.append((position, sum(bool(each.replies) for each in asked)))
    await pool.restart()
    noted.clear()
    with pool.log.held():
        await busy(pool)
        asked += [pool.post("ops.submit", {"title": str(number)}) for number in range(3)]
        await pool.rest()
    await pool.rest()
    assert all(each.replies for each in asked)
    assert noted[-1] == (pool.position, 0)
