"""The index of due times never misses what a look at every task would find."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from domain.commands.service_commands import Judge, Rearm
from domain.draft import Draft
from domain.events import pool as pool_ev
from domain.request import Request
from domain.rules import Rules
from domain.task import Task
from projections.state.due_times import SETTLED_AT_ONCE, DueTimes
from tests.support.scenario import OPS, START, Scenario


def record(s: Scenario, event: pool_ev.PoolEvent) -> None:
    draft = Draft(s.state, Request(Judge(()), "writer", "c"), s.now, s.rules)
    draft.record_pool(event)
    s.state.apply(draft.decided())
    s.store(draft.records)


def test_nothing_is_due_in_an_empty_pool() -> None:
    s = Scenario()
    assert list(s.state.due(s.now, 10)) == []
    assert s.state.next_due_at() is None


def test_what_is_due_stays_due_until_it_is_judged() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", "T3")
    s.at(240)

    assert list(s.state.due(s.now, 2)) == list(s.state.due(s.now, 2)) == ["T1", "T2"]
    assert set(s.state.due(s.now, 10)) == {"T1", "T2", "T3"}


@pytest.mark.parametrize(
    ("at", "due"),
    [(239.999999, []), (240, ["T"])],
    ids=["a tick before expiry and grace: no", "at expiry and grace: yes"],
)
def test_a_lease_is_due_when_its_grace_is_over(at: float, due: list[str]) -> None:
    s = Scenario()
    s.holds("A", "T")
    assert list(s.at(at).state.due(s.now, 10)) == due


def test_renewals_move_the_due_time_later_without_touching_the_index() -> None:
    s = Scenario()
    s.holds("A", "T")
    for at in (100, 200, 300):
        s.at(at).given("A", "heartbeat")

    assert s.state.next_due_at() == START + timedelta(seconds=540)


def test_a_deadline_is_due_one_tick_after_it_in_whatever_status() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", deadline_s=10.0)

    assert s.state.next_due_at() == START + timedelta(seconds=10, microseconds=1)
    assert s.sweep(at=10).names == []
    assert s.sweep(at=10.000001).names == ["failed"]


def test_a_deadline_at_the_end_of_time_is_never_due_and_harms_nothing() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", deadline="9999-12-31T23:59:59.999999Z")
    s.holds("A", "T2")

    assert s.sweep(at=240).names == ["expired", "requeued"]
    assert s.state.next_due_at() is not None


def test_without_a_sweeper_leases_are_due_but_deadlines_and_stale_beats_are_not() -> None:
    s = Scenario(Rules(sweeper_enabled=False))
    lease = {"mode": "fixed", "lease_s": 3000.0, "grace_s": 0.0}
    token = s.holds("A", "T", deadline_s=10.0, lease=lease)
    s.given("A", "progress", task_id="T", token=token, percent=1)

    assert s.sweep(at=2999.999999).names == []
    assert s.sweep(at=3000).names == ["expired", "requeued"]
    assert s.state.next_due_at() is None


def test_while_expiry_is_held_no_lease_is_due_and_then_all_are_again() -> None:
    s = Scenario()
    s.holds("A", "T1")
    s.holds("A", "T2", deadline_s=5000.0)
    record(s, pool_ev.ExpiryHeld(reason="maintenance"))
    assert s.sweep(at=1000).names == []
    assert s.asks(Judge(("T1", "T2"))).result == {"nothing": 2}

    record(s, pool_ev.ExpiryResumed())

    assert set(s.state.due(s.now, 10)) == {"T1", "T2"}


def test_a_deadline_is_due_while_expiry_is_held() -> None:
    s = Scenario()
    s.holds("A", "T", deadline_s=50.0)
    record(s, pool_ev.ExpiryHeld())

    assert s.sweep(at=51).names == ["failed"]


def test_a_floor_that_the_log_refused_leaves_no_lease_undue() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.at(240)
    s.state.apply(s.decide(Request(Rearm("outage", 500.0), "writer", "c")))
    assert list(s.state.due(s.now, 10)) == []

    s.state.undo()

    assert list(s.state.due(s.now, 10)) == ["T"]
    s.check()


def test_a_refused_end_of_a_lease_leaves_it_due() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.at(240)
    s.state.apply(s.decide(s.request(OPS, "cancel", task_id="T")))
    assert list(s.state.due(s.now, 10)) == []

    s.state.undo()

    assert list(s.state.due(s.now, 10)) == ["T"]


def test_a_quicker_rhythm_makes_a_lease_due_earlier_than_the_slower_one_before_it() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    for at in (10, 240):
        s.given("A", "progress", task_id="T", token=token, percent=30, at=at)
    assert s.state.next_due_at() == START + timedelta(seconds=240 + 5 * 230, microseconds=1)

    for at in (241, 242):
        s.given("A", "progress", task_id="T", token=token, percent=30, at=at)

    assert s.state.next_due_at() == START + timedelta(seconds=242 + 300 + 60)


def test_a_floor_over_many_leases_is_settled_in_parts() -> None:
    s = Scenario()
    s.holds("A", "T")
    held = s.state.task("T")
    looks: list[str] = []

    def task(task_id: str) -> Task | None:
        looks.append(task_id)
        return held

    times = DueTimes(s.rules, task)
    for number in range(5 * SETTLED_AT_ONCE // 2):
        times.replace(f"T{number}", held)
    floor = START + timedelta(hours=1)
    pool = msgspec.structs.replace(s.state.pool, not_before=floor)
    now = START + timedelta(minutes=30)

    bound = times.next_at(pool)
    assert bound is not None
    assert bound < now
    assert (times.settle(now, pool), times.settle(now, pool)) == (True, False)
    assert len(looks) <= 3 * SETTLED_AT_ONCE
    looks.clear()
    assert times.due(now, 10, pool) == []
    assert not looks
    assert times.next_at(pool) == floor
    assert len(times.due(floor, 10, pool)) == 10
