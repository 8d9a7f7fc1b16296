"""An outage of ours is not the agents' silence: the floor under every judgement."""

from __future__ import annotations

import pytest

from domain.commands.service_commands import Rearm
from domain.due import lease_due_at
from domain.events.pool import Rearmed
from domain.pool import jitter_fraction
from domain.rules import Rules
from tests.support.scenario import Scenario


def rearm(s: Scenario, blind_s: float) -> list[str]:
    return s.asks(Rearm("the connection was gone", blind_s), actor="writer").names


def test_nothing_expires_before_the_blind_time_and_a_share_of_the_jitter_have_passed() -> None:
    s = Scenario(Rules(rearm_jitter_s=10.0))
    token = s.holds("A", "T")
    s.at(1000)
    assert rearm(s, 100.0) == ["rearmed"]

    floor_s = 1100 + jitter_fraction(token) * 10
    assert s.sweep(at=floor_s - 0.001).names == []
    assert s.sweep(at=floor_s + 0.001).names == ["expired", "requeued"]


def test_a_floor_that_is_over_before_the_lease_is_due_changes_nothing() -> None:
    s = Scenario()
    s.holds("A", "T")
    rearm(s, 100.0)

    assert s.sweep(at=239.999999).names == []
    assert s.sweep(at=240).names == ["expired", "requeued"]


def test_no_holder_is_called_stuck_for_the_time_of_an_outage() -> None:
    s = Scenario(Rules(rearm_jitter_s=0.0))
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 3000.0})
    s.given("A", "progress", task_id="T", token=token, percent=1)
    s.at(590)
    rearm(s, 500.0)

    assert s.sweep(at=1090).names == []
    assert s.sweep(at=1090.000001).names == ["stuck"]


def test_a_deadline_knows_no_floor() -> None:
    s = Scenario()
    s.holds("A", "T", deadline_s=50.0)
    rearm(s, 500.0)

    assert s.sweep(at=51).names == ["failed"]


def test_a_tasks_own_state_is_untouched_by_a_floor() -> None:
    s = Scenario()
    s.holds("A", "T")
    before = s.task("T")
    rearm(s, 500.0)

    assert s.task("T") is before
    assert lease_due_at(s.lease("T"), s.state.pool) >= s.now


@pytest.mark.parametrize("blind_s", [0.0, -5.0])
def test_without_a_blind_time_there_is_nothing_to_say(blind_s: float) -> None:
    assert rearm(Scenario(), blind_s) == []


def test_the_floor_of_a_very_long_outage_is_bounded() -> None:
    s = Scenario(Rules(rearm_max_s=60.0, rearm_jitter_s=5.0))
    event = s.asks(Rearm("a week-end", 200_000.0)).then("rearmed").event(Rearmed)

    assert s.seconds_until(event.not_before) == 60
    assert (event.blind_s, event.jitter_s) == (200_000.0, 5.0)


def test_a_short_outage_has_a_short_jitter() -> None:
    s = Scenario()
    assert s.asks(Rearm("a blink", 2.0)).event(Rearmed).jitter_s == 2.0


def test_a_later_floor_stands_when_an_earlier_one_is_asked_for() -> None:
    s = Scenario()
    rearm(s, 500.0)
    assert rearm(s, 100.0) == []
    assert rearm(s, 500.0) == []


def test_no_lease_loses_its_jitter_to_a_later_but_shorter_outage() -> None:
    s = Scenario(Rules(rearm_jitter_s=30.0))
    rearm(s, 500.0)
    before = [s.state.pool.floor(token) for token in range(100)]
    s.at(499)
    assert rearm(s, 2.0) == ["rearmed"]

    after = [s.state.pool.floor(token) for token in range(100)]
    assert all(x is not None and y is not None and x <= y for x, y in zip(before, after, strict=True))
