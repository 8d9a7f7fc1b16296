"""The same command_id again returns the first outcome and appends nothing: at once, much later, after a restart."""

from __future__ import annotations

import json

import pytest

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from tests.handlers.conftest import MakePool
from tests.handlers.service.repeatable import CASES, Case
from tests.support.pool_harness import PoolHarness

VERBS = {case.subject.rpartition(".")[2] for case in CASES.values()}


def test_every_verb_is_here() -> None:
    decided_anew = {"register", "heartbeat", "lease"}
    assert VERBS | decided_anew == AGENT_COMMANDS.keys() | OPS_COMMANDS.keys()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_repeat_is_answered_with_the_first_outcome(pool: PoolHarness, case: Case) -> None:
    body = await case.prepare(pool)
    if "token" in body and case.subject.startswith("ops."):
        del body["token"]
    before = pool.position

    first = await pool.request(case.subject, {**body, "command_id": "same"})
    assert first.ok, first
    assert first["events"], "a case appends something"
    position = pool.position
    assert [each["position"] for each in first["events"]] == list(range(before + 1, position + 1))
    assert first.names == pool.names(before)

    again = await pool.request(case.subject, {**body, "command_id": "same"})
    assert again.raw == first.raw

    await pool.advance(5)
    await pool.submit("something-else")
    changed = await pool.request(case.subject, {**body, "command_id": "same"})
    assert changed.raw == first.raw

    await pool.restart(after_s=1000)
    position = pool.position
    after = await pool.request(case.subject, {**body, "command_id": "same"})
    assert after.raw == first.raw
    assert pool.position == position


@pytest.mark.parametrize("verb", ["register", "heartbeat"])
async def test_what_an_agent_holds_is_told_as_it_is_now(pool: PoolHarness, verb: str) -> None:
    body = {"capacity": 10, "command_id": "same"} if verb == "register" else {"command_id": "same"}
    if verb == "heartbeat":
        await pool.register("a")
        await pool.advance(100)
    first = await pool.request(f"agent.a.{verb}", body)
    assert first.result == {"leases": [], "directives": []}
    token = await pool.holds("a", "T")
    await pool.holds("a", "U")
    await pool.given("ops.cancel", task_id="U", reason="why not")
    position = pool.position

    again = await pool.request(f"agent.a.{verb}", body)

    assert pool.position == position
    assert (again["position"], again["events"]) == (first["position"], first["events"])
    assert [(lease["task_id"], lease["token"]) for lease in again.result["leases"]] == [("T", token)]
    assert again.result["directives"] == [{"task_id": "U", "do": "stop", "reason": "why not"}]

    await pool.restart()
    assert (await pool.request(f"agent.a.{verb}", body)).result == again.result


async def test_a_repeated_view_shows_nothing_tentative(pool: PoolHarness) -> None:
    await pool.given("agent.a.register", capacity=5, command_id="same")
    await pool.submit("T")
    with pool.log.held():
        claim = pool.post("agent.a.claim")
        await pool.rest()
        again = pool.post("agent.a.register", {"capacity": 5, "command_id": "same"})
        await pool.rest()
        assert all(reply.result["leases"] == [] for reply in again.replies)
    await pool.rest()
    assert claim.answer.ok
    assert again.answer.ok


async def test_an_id_in_flight_joins_the_first_request(pool: PoolHarness) -> None:
    with pool.log.held():
        asked = [pool.post("ops.submit", {"title": "x", "command_id": "same"}) for _ in range(3)]
        await pool.rest()
        asked.append(pool.post("ops.submit", {"title": "x", "command_id": "same"}))
        await pool.rest()
    await pool.rest()

    assert len({each.answer.raw for each in asked}) == 1
    assert pool.names().count("submitted") == 1


async def test_a_waiting_claim_is_joined(pool: PoolHarness) -> None:
    await pool.register("a")
    asked = [pool.post("agent.a.claim", {"wait_s": 20.0, "command_id": "same"}) for _ in range(2)]
    await pool.advance(5)
    asked.append(pool.post("agent.a.claim", {"wait_s": 20.0, "command_id": "same"}))
    await pool.submit("T")

    assert len({each.answer.raw for each in asked}) == 1
    assert asked[0].answer.result["leases"][0]["task_id"] == "T"
    assert (await pool.request("agent.a.claim", {"wait_s": 20.0, "command_id": "same"})).raw == asked[0].answer.raw


async def test_a_waiting_claim_that_renewed_something_is_told_the_same_again(pool: PoolHarness) -> None:
    await pool.holds("a", "other")
    await pool.advance(100)
    first = pool.post("agent.a.claim", {"wait_s": 20.0, "command_id": "same"})
    await pool.advance(5)
    assert pool.names()[-1] == "renewed"
    await pool.submit("T")

    again = await pool.request("agent.a.claim", {"wait_s": 20.0, "command_id": "same"})

    assert again.raw == first.answer.raw


async def test_refusals_are_decided_anew(pool: PoolHarness) -> None:
    assert (await pool.request("ops.cancel", {"task_id": "T", "command_id": "same"})).code == "unknown_task"
    await pool.submit("T")
    assert (await pool.request("ops.cancel", {"task_id": "T", "command_id": "same"})).ok


async def test_empty_claims_are_decided_anew_even_if_they_renewed_something(pool: PoolHarness) -> None:
    await pool.holds("a", "other")
    await pool.advance(100)
    first = await pool.request("agent.a.claim", {"command_id": "same"})
    assert (first.result, first.names) == ({"leases": []}, ["renewed"])

    await pool.submit("T")

    again = await pool.request("agent.a.claim", {"command_id": "same"})
    assert [lease["task_id"] for lease in again.result["leases"]] == ["T"]


async def test_a_late_report_is_kept_once_and_refused_the_same_way_again(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.advance(400)
    body = {"task_id": "T", "token": token, "percent": 50, "command_id": "same"}

    first = await pool.request("agent.a.progress", body)
    assert first.code == "stale_token"
    assert pool.names()[-1] == "late_progress"
    position = pool.position
    again = await pool.request("agent.a.progress", body)
    await pool.register("b")
    await pool.assign("b", "T")
    changed = await pool.request("agent.a.progress", body)
    await pool.restart()
    after = await pool.request("agent.a.progress", body)

    assert again.raw == changed.raw == after.raw == first.raw
    assert first.headers == after.headers
    assert [r.position for r in pool.records() if r.name == "late_progress"] == [position]


async def test_a_late_report_on_what_has_ended_is_refused_the_same_way_again(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.given("ops.cancel", task_id="T")
    body = {"task_id": "T", "token": token, "result": 1, "command_id": "same"}

    first = await pool.request("agent.a.complete", body)
    position = pool.position
    assert first.code == "task_finished"
    assert pool.names()[-1] == "late_progress"
    assert (await pool.request("agent.a.complete", body)).raw == first.raw
    await pool.restart()
    assert (await pool.request("agent.a.complete", body)).raw == first.raw
    assert pool.names(position).count("late_progress") == 0


async def test_ids_are_keyed_by_actor_and_verb(pool: PoolHarness) -> None:
    def ask(actor: str, verb: str) -> object:
        return pool.request(f"ops.{verb}", {"command_id": "same"}, headers={"Custody-Actor": actor} if actor else {})

    replies = [await ask(actor, verb) for actor in ("", "x", "y") for verb in ("submit", "pause", "resume")]  # type: ignore[misc] # awaitable
    assert len({json.dumps(reply) for reply in replies}) == 9
    await pool.register("a", "b")
    for agent in "ab":
        await pool.submit(f"T{agent}")
        assert (await pool.request(f"agent.{agent}.claim", {"command_id": "same"})).result["leases"]


async def test_without_an_id_every_request_is_a_new_command(pool: PoolHarness) -> None:
    first, second = [await pool.given("ops.submit", title="x") for _ in range(2)]
    assert first["task_id"] != second["task_id"]


async def test_only_so_many_outcomes_are_remembered(make_pool: MakePool) -> None:
    pool = await make_pool(outcomes=2)
    first = await pool.given("ops.submit", command_id="1")
    for number in range(2, 4):
        await pool.given("ops.submit", command_id=str(number))
    assert await pool.given("ops.submit", command_id="1") != first
    await pool.restart()
    assert len(pool.service.memory.outcomes) == 2


async def test_a_repeat_whose_events_cannot_be_read_is_told_to_come_back(pool: PoolHarness) -> None:
    await pool.given("ops.submit", task_id="T", command_id="same")
    pool.log.fail_reads(1)
    assert (await pool.request("ops.submit", {"task_id": "T", "command_id": "same"})).code == "unavailable"
    assert (await pool.request("ops.submit", {"task_id": "T", "command_id": "same"})).ok


async def test_a_repeat_that_cannot_be_rendered_is_answered_all_the_same(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.given("ops.submit", task_id="T", command_id="same")
    monkeypatch.setattr(pool.codec, "decode", _unreadable)

    reply = await pool.request("ops.submit", {"task_id": "T", "command_id": "same"})

    monkeypatch.undo()
    assert reply.code == "unavailable"
    assert "could not be answered" in caplog.text


def _unreadable(_message: object) -> None:
    raise ZeroDivisionError


async def test_an_id_that_comes_again_with_another_body_is_a_conflict(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    other = await pool.holds("a", "U")
    await pool.advance(100)
    body = {"task_id": "T", "token": token, "percent": 30, "command_id": "same"}
    first = await pool.request("agent.a.progress", body)
    await pool.advance(10)
    position = pool.position

    for changed in ({"task_id": "U", "token": other}, {"task_id": "never"}, {"percent": 99}):
        refused = await pool.request("agent.a.progress", {**body, **changed})
        assert (refused.code, refused["error"]["details"]) == ("command_conflict", {"command_id": "same"})
        assert refused.headers["Nats-Service-Error-Code"] == "409"
    await pool.restart()
    assert (await pool.request("agent.a.progress", {**body, "percent": 99})).code == "command_conflict"
    assert (await pool.request("agent.a.progress", body)).raw == first.raw
    assert pool.names(position).count("progressed") == 0


async def test_another_body_is_a_conflict_while_the_first_request_is_under_way(pool: PoolHarness) -> None:
    with pool.log.held():
        first = pool.post("ops.submit", {"title": "x", "command_id": "same"})
        await pool.rest()
        other = pool.post("ops.submit", {"title": "y", "command_id": "same"})
        assert other.answer.code == "command_conflict"
    await pool.rest()
    assert first.answer.ok
    assert pool.names().count("submitted") == 1


async def test_the_same_body_may_be_written_down_otherwise(pool: PoolHarness) -> None:
    body = {"task_id": "T", "payload": {"a": 1, "b": 2}, "required_capabilities": ["x", "y"], "command_id": "same"}
    first = await pool.request("ops.submit", body)
    again = body | {"payload": {"b": 2, "a": 1}, "required_capabilities": ["y", "x"], "priority": "medium"}
    assert (await pool.request("ops.submit", again)).raw == first.raw


async def test_a_claim_may_come_again_and_wait_for_the_rest_of_its_time(pool: PoolHarness) -> None:
    await pool.register("a")
    first = pool.post("agent.a.claim", {"wait_s": 20.0, "command_id": "same"})
    await pool.advance(5)
    again = pool.post("agent.a.claim", {"wait_s": 15.0, "command_id": "same"})
    await pool.submit("T")
    assert first.answer.ok
    assert again.answer.raw == first.answer.raw
    assert (await pool.request("agent.a.claim", {"max": 2, "command_id": "same"})).code == "command_conflict"


async def test_an_outcome_from_before_bodies_were_digested_never_conflicts(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.service.command_service.body_digest", lambda _command: "")
    first = await pool.request("ops.submit", {"task_id": "T", "command_id": "same"})
    monkeypatch.undo()
    assert b"commanddigest" not in pool.log.messages[-1].body
    assert (await pool.request("ops.submit", {"task_id": "U", "command_id": "same"})).raw == first.raw


async def test_one_event_of_an_outcome_carries_the_digest(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T", "U", "V")
    await pool.given("agent.a.claim", max=3, command_id="same")
    await pool.given("agent.a.heartbeat")
    assert [bool(recorded.digest) for recorded in pool.records()[-4:]] == [False, True, False, False]


async def test_renewals_on_the_side_are_not_what_was_asked(pool: PoolHarness) -> None:
    other = await pool.holds("a", "U")
    token = await pool.holds("a", "T")
    await pool.advance(100)
    body = {"task_id": "T", "token": token, "command_id": "same"}
    first = await pool.request("agent.a.start", body)
    assert first.names == ["started", "renewed", "renewed"]
    await pool.advance(30)
    assert (await pool.request("agent.a.start", body)).raw == first.raw
    assert (await pool.request("agent.a.start", {**body, "task_id": "U", "token": other})).code == "command_conflict"


async def test_what_renewed_only_another_lease_is_told_again_of_its_own_task(pool: PoolHarness) -> None:
    """A long lease is not worth renewing yet, a short one of the same holder is."""
    long = await pool.holds("a", "long", lease={"mode": "fixed", "lease_s": 1000})
    await pool.given("agent.a.start", task_id="long", token=long)
    await pool.holds("a", "short", lease={"mode": "fixed", "lease_s": 100})
    await pool.advance(20)
    body = {"task_id": "long", "token": long, "command_id": "same"}

    first = await pool.request("agent.a.start", body)

    assert first.names == ["renewed"]
    assert pool.records()[-1].entity_id == "short"
    assert (await pool.request("agent.a.start", body)).raw == first.raw
    await pool.restart()
    assert (await pool.request("agent.a.start", body)).raw == first.raw
    for other in ("short", "nobodys"):
        assert (await pool.request("agent.a.start", body | {"task_id": other})).code == "command_conflict"


async def test_a_lease_that_is_asked_for_again_is_told_as_it_is_now(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.advance(100)
    body = {"task_id": "T", "token": token, "command_id": "same"}
    first = await pool.request("agent.a.lease", body)
    assert first.result["reported"] is None
    await pool.given("agent.a.progress", task_id="T", token=token, percent=40, checkpoint={"page": 2})
    again = await pool.request("agent.a.lease", body)
    assert again.result["reported"] == {"percent": 40, "note": None, "checkpoint": {"page": 2}}
