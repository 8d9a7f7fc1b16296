"""What proves what: that an agent lives, that it vouches for a task, and that others report its load."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands.service_commands import MarkLost
from domain.events.agent import Heartbeat, LoadReported
from domain.lifecycles import AgentStatus
from tests.support.scenario import OPS, Scenario

FIXED = {"mode": "fixed", "lease_s": 100, "grace_s": 10}
BUSY: dict[str, Any] = {"cpu": 95.0, "memory": 20.0}


def vouched(s: Scenario, *task_ids: str) -> list[dict[str, Any]]:
    return [{"task_id": task_id, "token": s.token(task_id)} for task_id in task_ids]


def expiries(s: Scenario, *task_ids: str) -> list[float]:
    return [s.seconds_until(s.lease(task_id).expires_at) for task_id in task_ids]


def test_a_heartbeat_renews_only_the_tasks_that_it_vouches_for() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", "T3", lease=FIXED)

    step = s.at(50).when("A", "heartbeat", tasks=vouched(s, "T1", "T3")).then("heartbeat", "renewed", "renewed")

    assert expiries(s, "T1", "T2", "T3") == [150, 100, 150]
    assert [lease["task_id"] for lease in step.result["leases"]] == ["T1", "T2", "T3"]
    assert step.result["directives"] == []


def test_a_hung_task_expires_beside_its_three_siblings() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", "T3", "hung", lease=FIXED)
    for second in range(20, 140, 20):
        s.at(second).given("A", "heartbeat", tasks=vouched(s, "T1", "T2", "T3"))
        s.sweep()

    assert (s.task("hung").status, s.task("T1").status) == ("queued", "assigned")


def test_who_vouches_for_nothing_renews_nothing() -> None:
    s = Scenario()
    s.holds("A", "T", lease=FIXED)

    s.at(50).when("A", "heartbeat", tasks=[]).then("heartbeat")

    assert expiries(s, "T") == [100]


def test_without_tasks_all_is_renewed_also_after_some_were_named() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", lease=FIXED)
    s.at(60).given("A", "heartbeat", tasks=vouched(s, "T1"))

    s.at(80).given("A", "heartbeat")

    assert expiries(s, "T1", "T2") == [180, 180]


def test_a_task_whose_token_is_not_the_agents_current_one_is_to_be_stopped() -> None:
    s = Scenario()
    stale = s.holds("A", "T")
    s.given("A", "release", task_id="T", token=stale)
    s.given(OPS, "assign", task_id="T", agent_id="A")
    others = s.holds("B", "U")
    pairs = [("T", stale), ("T", s.token("T")), ("U", others), ("X", 1), ("X", 1)]

    step = s.given("A", "heartbeat", tasks=[{"task_id": each, "token": token} for each, token in pairs])

    assert step.result["directives"] == [
        {"task_id": "T", "do": "stop", "reason": f"token {stale} is stale", "token": stale},
        {"task_id": "U", "do": "stop", "reason": f"token {others} is another agent's", "token": others},
        {"task_id": "X", "do": "stop", "reason": "token 1 is stale", "token": 1},
    ]


def test_a_stale_token_renews_nothing_of_its_task() -> None:
    s = Scenario()
    stale = s.holds("A", "T", lease=FIXED)
    s.given("A", "release", task_id="T", token=stale)
    s.given(OPS, "assign", task_id="T", agent_id="A")

    s.at(50).when("A", "heartbeat", tasks=[{"task_id": "T", "token": stale}]).then("heartbeat")

    assert expiries(s, "T") == [100]


def test_to_vouch_for_a_stuck_task_recovers_it() -> None:
    s = Scenario()
    s.holds("A", "T", "U", on_silence="stuck", lease=FIXED)
    s.sweep(at=111).then("stuck", "stuck")

    s.when("A", "heartbeat", tasks=vouched(s, "T")).then("heartbeat", "recovered")

    assert [s.task(each).status for each in ("T", "U")] == ["in_progress", "stuck"]


@pytest.mark.parametrize(
    ("verb", "body"), [("claim", {}), ("start", {"task_id": "T1"}), ("release", {"task_id": "T1"})], ids=str
)
def test_other_commands_of_an_agent_that_vouches_renew_only_the_task_they_name(verb: str, body: dict[str, Any]) -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", lease=FIXED)
    body = body | ({"token": s.token("T1")} if body else {})
    s.at(60).when("A", "heartbeat", tasks=vouched(s, "T1")).then("heartbeat", "renewed")

    s.at(90).given("A", verb, **body)

    assert expiries(s, "T2") == [100]
    if verb == "start":
        assert expiries(s, "T1") == [190]


def test_whether_an_agent_vouches_is_recorded_when_it_changes() -> None:
    s = Scenario()
    s.holds("A", "T")

    assert s.when("A", "heartbeat", tasks=vouched(s, "T")).then("heartbeat").event(Heartbeat).vouches
    assert s.agent("A").vouches
    s.when("A", "heartbeat", tasks=[]).then()
    assert not s.when("A", "heartbeat").then("heartbeat").event(Heartbeat).vouches
    assert not s.agent("A").vouches
    s.when("A", "heartbeat").then()


def test_a_load_without_life_renews_nothing_and_is_recorded_as_no_beat() -> None:
    s = Scenario()
    s.holds("A", "T", lease=FIXED)
    before = s.agent("A").last_recorded_at

    step = s.at(80).when("A", "heartbeat", alive=False, load=BUSY).then("load_reported")

    assert step.event(LoadReported).load.cpu == 95.0
    assert [lease["task_id"] for lease in step.result["leases"]] == ["T"]
    assert expiries(s, "T") == [100]
    agent = s.agent("A")
    assert (agent.cpu, agent.load_at, agent.last_recorded_at) == (95.0, s.now, before)


def test_a_load_without_life_does_not_revive_a_lost_agent() -> None:
    s = Scenario()
    s.given("A", "register")
    s.asks(MarkLost("A", 700.0)).then("lost")

    s.when("A", "heartbeat", alive=False, load=BUSY).then("load_reported")
    s.when("A", "heartbeat", alive=False).then()
    s.when(OPS, "load", agent_id="A", load={"cpu": 5.0}).then("load_reported")
    assert (s.agent("A").status, s.agent("A").cpu) == (AgentStatus.LOST, 5.0)

    s.when("A", "heartbeat").then("heartbeat")


def test_an_operator_reports_an_agents_load_which_is_no_sign_of_life() -> None:
    s = Scenario()
    s.holds("A", "T", lease=FIXED)

    step = s.at(80).when("ops/monitor", "load", agent_id="A", load=BUSY).then("load_reported")

    assert (step.result, step.records[0].actor) == ({"agent_id": "A"}, "ops/monitor")
    assert (s.agent("A").cpu, expiries(s, "T")) == (95.0, [100])
    s.when(OPS, "load", agent_id="X", load=BUSY).refused("unknown_agent")


def test_a_reported_load_is_recorded_when_it_changes_the_load_status_else_once_a_minute() -> None:
    s = Scenario()
    s.given("A", "register")

    s.when(OPS, "load", agent_id="A", load={"cpu": 10.0}).then("load_reported")
    s.when(OPS, "load", agent_id="A", load={"cpu": 20.0}).then()
    s.when("A", "heartbeat", alive=False, load={"cpu": 81.0}).then("load_reported")
    s.when(OPS, "load", agent_id="A", load={"cpu": 99.0}, at=59.9).then()
    s.when(OPS, "load", agent_id="A", load={"cpu": 99.0}, at=60).then("load_reported")
