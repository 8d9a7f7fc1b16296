"""Alive and not advancing: heard for `stall_s`, while neither percent nor checkpoint changes."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import task as ev
from domain.rules import Rules
from domain.values import OnStall
from projections.queries.documents import task_document
from projections.reports.explain import explain
from tests.support.scenario import OPS, Scenario

LONG = {"mode": "fixed", "lease_s": 50_000.0}


def reporting(s: Scenario, until: float, *, every: float = 100, percent: int = 40, checkpoint: Any = None) -> list[str]:
    """Report the same again and again, and sweep; return the names of the sweeps' events."""
    token, names = s.token("T"), []
    at = s.seconds_until(s.now)
    while at + every <= until:
        at += every
        s.at(at)
        names += s.sweep().names
        if s.task("T").lease is None:
            return names
        s.given("A", "progress", task_id="T", token=token, percent=percent, checkpoint=checkpoint)
    return names


def test_a_holder_that_reports_the_same_for_too_long_is_stalled_once() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG, stall_s=1000.0)
    assert reporting(s, 1100) == [], "the first report changed the percent at 100 s"
    s.sweep(at=1100).then()

    event = s.sweep(at=1100.000001).then("stalled").event(ev.Stalled)

    assert (event.token, event.agent_id, event.percent, event.stall_s) == (token, "A", 40, 1000)
    assert s.seconds_until(event.advanced_at) == 100
    assert s.task("T").status == "in_progress"
    assert reporting(s, 20_000, every=99) == []


@pytest.mark.parametrize("change", [{"percent": 41}, {"percent": 39}, {"checkpoint": {"at": 2}}])
def test_a_change_of_percent_or_checkpoint_is_an_advance(change: dict[str, Any]) -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG, stall_s=1000.0)
    same: dict[str, Any] = {"percent": 40, "checkpoint": {"at": 1}}
    reporting(s, 1000, **same)
    s.given("A", "progress", task_id="T", token=token, **(same | change))
    assert reporting(s, 2000, **(same | change)) == []
    assert reporting(s, 2100, **(same | change)) == ["stalled"]
    assert s.lease("T").stalled_at is not None

    s.given("A", "progress", task_id="T", token=token, percent=90)

    assert s.lease("T").stalled_at is None
    assert reporting(s, 3300, percent=90) == ["stalled"]


def test_heartbeats_keep_it_alive_and_not_advancing() -> None:
    s = Scenario()
    s.holds("A", "T", stall_s=500.0)
    names = []
    for at in range(60, 601, 60):
        s.at(at).given("A", "heartbeat")
        names += s.sweep().names
    assert names == ["stalled"]


def beating(s: Scenario, until: float, *, every: float, **body: Any) -> list[str]:
    """Send heartbeats and sweep whenever something falls due; return the names of all events on tasks."""
    names, at = [], s.seconds_until(s.now)
    while at + every <= until:
        at += every
        while (due := s.state.next_due_at()) is not None and s.seconds_until(due) < at:
            names += s.at(s.seconds_until(due)).sweep().names
        names += [name for name in s.at(at).given("A", "heartbeat", **body).names if name != "heartbeat"]
        names += s.sweep().names
    return names


@pytest.mark.parametrize("vouching", [False, True])
@pytest.mark.parametrize(
    ("every", "stalled_after_s"),
    [(1, 20), (8, 20), (12, 20), (19, 20), (25, 25)],
    ids=["often", "before and after its half", "after its half", "just before it", "after it"],
)
def test_heartbeats_alone_show_on_a_long_lease_that_it_stalls(
    *, vouching: bool, every: float, stalled_after_s: float
) -> None:
    """A tenth of the term is 100 s: of such beats the log would have none yet."""
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 1000.0}, stall_s=20.0)
    body = {"tasks": [{"task_id": "T", "token": token}]} if vouching else {}
    assert beating(s, 59, every=every, **body) == ["renewed", "stalled"], "one renewal, for no more than that is needed"
    stalled_at = s.lease("T").stalled_at
    assert stalled_at is not None
    assert s.seconds_until(stalled_at) == pytest.approx(stalled_after_s, abs=1e-5)


def test_who_advances_in_time_is_renewed_no_more_often_for_that() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 1000.0}, stall_s=20.0)
    for percent in range(1, 6):
        assert beating(s, percent * 10, every=9) == []
        s.given("A", "progress", task_id="T", token=token, percent=percent)
    s.sweep().then()


def test_who_vouches_for_another_task_does_not_show_that_this_one_stalls() -> None:
    s = Scenario()
    s.holds("A", "T", lease={"mode": "fixed", "lease_s": 1000.0}, stall_s=20.0)
    other = s.holds("A", "other", lease={"mode": "fixed"})
    body = {"tasks": [{"task_id": "other", "token": other}]}
    assert "stalled" not in beating(s, 300, every=10, **body)


def test_a_lease_that_nothing_renews_any_more_stalls_too() -> None:
    """Its first term reaches to its hard cap, so that no beat moves its expiry."""
    s = Scenario()
    s.holds("A", "T", lease={"mode": "fixed", "lease_s": 5000.0, "max_lease_s": 5000.0}, stall_s=100.0)
    assert beating(s, 200, every=10) == ["renewed", "stalled"]
    assert s.seconds_until(s.lease("T").expires_at) == 5000


@pytest.mark.parametrize("on_silence", ["requeue", "stuck"])
def test_a_holder_that_beats_is_stalled_and_not_stuck(on_silence: str) -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG, stall_s=2000.0, on_silence=on_silence)
    names = beating(s, 4500, every=50)
    assert (names.count("stalled"), names.count("stuck")) == (1, 0)


def test_without_the_sweeper_no_beat_is_written_for_a_stall() -> None:
    s = Scenario(Rules(sweeper_enabled=False))
    s.holds("A", "T", lease={"mode": "fixed", "lease_s": 1000.0}, stall_s=20.0)
    assert beating(s, 59, every=5) == []


def test_who_is_silent_is_judged_by_its_silence() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG, stall_s=100.0, on_silence="stuck")
    s.given("A", "progress", task_id="T", token=s.token("T"), percent=5)
    s.sweep(at=601).then("stuck")
    s.sweep(at=40_000).then()


def test_an_announced_silence_does_not_count() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG, stall_s=100.0)
    s.given("A", "progress", task_id="T", token=token, percent=5)
    s.at(50).given("A", "silence", task_id="T", token=token, for_s=500.0, reason="a build")
    s.at(600).given("A", "progress", task_id="T", token=token, percent=5)
    s.sweep(at=650).then()
    s.sweep(at=650.000001).then("stalled")


@pytest.mark.parametrize("verb", ["start", "progress"])
def test_work_that_goes_on_during_an_announced_silence_shortens_nothing(verb: str) -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG, stall_s=100.0)
    s.given("A", "silence", task_id="T", token=token, for_s=500.0, reason="a build")
    s.at(50).given("A", verb, task_id="T", token=token, **({"percent": 5} if verb == "progress" else {}))
    s.at(550).given("A", "progress", task_id="T", token=token, percent=5 if verb == "progress" else 0)
    s.sweep(at=600).then()
    s.sweep(at=600.000001).then("stalled")


@pytest.mark.parametrize(
    ("rules", "definition", "stall_s"),
    [
        (Rules(), {}, 1800),
        (Rules(), {"lease": {"mode": "fixed"}}, None),
        (Rules(), {"lease": {"mode": "estimated"}}, None),
        (Rules(), {"lease": {"mode": "fixed"}, "stall_s": 60}, 60),
        (Rules(), {"stall_s": 0}, None),
        (Rules(stall_s=0), {}, None),
        (Rules(stall_s=90), {"lease": {"mode": "fixed"}}, 90),
        (Rules(stall_s=90), {"stall_s": 0}, None),
    ],
)
def test_half_an_hour_in_mode_adaptive_and_never_in_the_others_unless_set(
    rules: Rules, definition: dict[str, Any], stall_s: float | None
) -> None:
    s = Scenario(rules)
    s.given(OPS, "submit", task_id="T", **definition)
    assert s.task("T").definition.stall_s == stall_s
    assert s.task("T").definition.on_stall == "flag"


def test_with_on_stall_requeue_it_is_taken_from_its_holder_with_a_hand_off() -> None:
    s = Scenario(Rules(on_stall=OnStall.REQUEUE))
    token = s.holds("A", "T", lease=LONG, stall_s=1000.0)
    assert reporting(s, 2000, checkpoint=[4]) == ["stalled", "revoked", "requeued"]

    task = s.task("T")
    revoked, requeued = (recorded.event for recorded in s.log[-2:])
    assert isinstance(revoked, ev.Revoked)
    assert isinstance(requeued, ev.Requeued)
    assert (revoked.cause, revoked.agent_id, requeued.cause) == ("stall", "A", "stall")
    assert requeued.reason == revoked.reason == "stalled: A was heard and did not advance beyond 40 % for 1100 s"
    assert (task.status, task.attempt, task.former[-1].ended) == ("queued", 2, "revoked")
    assert task.handoff is not None
    assert (task.handoff.progress, task.handoff.last_checkpoint) == (40, [4])
    s.when("A", "progress", task_id="T", token=token, percent=41).refused("stale_token", "late_progress")


@pytest.mark.parametrize(("max_delay_s", "preferred_s"), [(300.0, 300.0), (5000.0, 1000.0), (0.0, 0.0)])
def test_another_agent_is_preferred_to_the_one_that_stalled(max_delay_s: float, preferred_s: float) -> None:
    """For as long again as the limit is, but no longer than a failed task may wait."""
    s = Scenario(Rules(on_stall=OnStall.REQUEUE))
    retry = {"delay_s": 0, "max_delay_s": max_delay_s}
    s.holds("A", "T", lease=LONG, stall_s=1000.0, retry=retry)
    s.given("B", "register")
    assert reporting(s, 2000) == ["stalled", "revoked", "requeued"]
    if preferred_s:
        assert s.when("A", "claim").result["leases"] == []
        steps = [each.what for each in explain(s.task("T"), s.state.pool, s.rules, s.now, state=s.state).next]
        assert "until here other agents are preferred to A, which had it last" in steps
        s.wait(preferred_s - 0.001)
        assert s.when("A", "claim").result["leases"] == []
        s.wait(0.001)
    assert [each["task_id"] for each in s.when("A", "claim").result["leases"]] == ["T"]


def test_the_one_that_stalled_gets_it_back_when_there_is_no_other() -> None:
    s = Scenario(Rules(on_stall=OnStall.REQUEUE))
    s.holds("A", "T", lease=LONG, stall_s=1000.0)
    s.given("B", "register", capabilities=["gpu"])
    s.given(OPS, "pause", agent_id="B")
    reporting(s, 2000)
    assert [each["task_id"] for each in s.when("A", "claim").result["leases"]] == ["T"]


def test_an_agent_is_chosen_that_did_not_stall() -> None:
    s = Scenario(Rules(on_stall=OnStall.REQUEUE))
    s.holds("A", "T", lease=LONG, stall_s=1000.0)
    s.given("B", "register")
    s.holds("B", "U", lease=LONG)
    s.given("B", "register", capacity=5)
    reporting(s, 2000)
    s.given("B", "heartbeat")
    s.given(OPS, "assign", task_id="T")
    assert s.lease("T").agent_id == "B"


def test_stalls_use_up_attempts() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG, stall_s=1000.0, on_stall="requeue", budgets={"attempts": 1})
    assert reporting(s, 2000) == ["stalled", "revoked", "quarantined"]


def test_without_the_sweeper_nothing_is_called_stalled() -> None:
    s = Scenario(Rules(sweeper_enabled=False))
    s.holds("A", "T", stall_s=100.0)
    assert reporting(s, 2000) == []


def test_it_is_shown_wherever_the_task_is() -> None:
    s = Scenario()
    s.holds("A", "T", stall_s=1000.0)
    reporting(s, 1000)
    steps = explain(s.task("T"), s.state.pool, s.rules, s.now).next
    (step,) = (each for each in steps if each.what.startswith("stalled"))
    assert step.at is not None
    assert s.seconds_until(step.at) == pytest.approx(1100, abs=1e-5)
    reporting(s, 1300)

    document = task_document(s.task("T"), s.now)

    assert document["stalled"] is document["lease"]["stalled"] is True
    assert document["lease"]["advanced_at"] == "2026-11-21T08:01:40.000000Z"
    facts = explain(s.task("T"), s.state.pool, s.rules, s.now).why
    assert any(fact.startswith("stalled: its holder is heard") for fact in facts)


def test_a_worker_that_reports_often_is_no_alarm() -> None:
    s = Scenario()
    s.holds("A", "T")
    for percent in range(1, 20):
        s.wait(10).given("A", "progress", task_id="T", token=s.token("T"), percent=percent)
    assert s.lease("T").escalated
    assert "escalated" not in "".join(explain(s.task("T"), s.state.pool, s.rules, s.now).why)
