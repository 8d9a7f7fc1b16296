"""The pool in a few numbers."""

from __future__ import annotations

from projections.live.service_health import ServiceHealth
from tests.support.scenario import OPS
from tests.support.watched import Watched


def test_an_empty_pool() -> None:
    strip = Watched().look()["strip"]
    assert strip | {"position": 0, "held": 0, "queued": 0, "oldest_wait_s": None, "backlog_empty_at": None} == strip
    assert (strip["served_by"], strip["served"], strip["last_event_at"], strip["mode"]) == (None, None, None, "live")


def test_a_pool_at_work() -> None:
    s = Watched()
    s.given("A", "register", capacity=100)
    for number in range(30):
        s.given(OPS, "submit", task_id=f"T{number:02}")
    s.wait(60).given("A", "claim", max=20)
    for number in range(10):
        s.given("A", "complete", task_id=f"T{number:02}", token=s.token(f"T{number:02}"))
    strip = s.look()["strip"]
    assert strip | {"held": 10, "queued": 10, "oldest_wait_s": 60.0, "throughput_per_min": 10.0} == strip
    assert strip["oldest_since"] == "2026-11-21T08:00:00.000000Z"
    assert strip["backlog_empty_at"] is None, "the queue has grown since the first event that is known"


def test_a_task_whose_time_has_not_come_does_not_wait() -> None:
    s = Watched()
    s.given(OPS, "submit", task_id="T", delay_s=100)
    s.wait(50)
    strip = s.look()["strip"]
    assert (strip["queued"], strip["delayed"], strip["oldest_wait_s"]) == (1, 1, None)
    s.wait(60)
    assert s.look()["strip"]["oldest_wait_s"] == 10.0


def test_when_the_backlog_will_be_empty() -> None:
    s = Watched()
    s.given("A", "register", capacity=100)
    for number in range(30):
        s.given(OPS, "submit", task_id=f"T{number:02}")
    s.wait(1000).given("A", "heartbeat")
    s.look()
    s.wait(60).given("A", "claim", max=20)
    # Twenty a minute lately, over the five minutes that rates are of: ten more take some two minutes.
    assert s.look()["strip"]["backlog_empty_at"].startswith("2026-11-21T08:")
    s.wait(3600)
    assert s.look()["strip"]["backlog_empty_at"] is None


def test_what_went_wrong_in_the_last_hour() -> None:
    s = Watched()
    token = s.holds("A", "T")
    s.sweep(1000)
    s.given("A", "heartbeat")
    s.when("A", "progress", task_id="T", token=token, percent=5)
    strip = s.look()["strip"]
    assert (strip["expiries_1h"], strip["false_recoveries_1h"], strip["last_hour_since"]) == (1, 1, None)
    s.wait(4000)
    strip = s.look()["strip"]
    assert (strip["expiries_1h"], strip["false_recoveries_1h"]) == (0, 0)


def test_before_the_first_poll_it_is_unknown_whether_the_service_answers() -> None:
    s = Watched()
    s.health = ServiceHealth()
    assert s.look()["strip"]["served"] is None


def test_who_serves() -> None:
    s = Watched()
    s.health = ServiceHealth().answered(s.now, {"leader": "host:1:2"})
    assert (s.look()["strip"]["served_by"], s.look().get("strip")) == ("host:1:2", None)
    s.health = s.health.failed(s.now, "no answer")
    strip = s.look()["strip"]
    assert (strip["served_by"], strip["served"]) == ("host:1:2", False)


def test_a_health_that_says_something_else_is_no_fault() -> None:
    health = ServiceHealth().answered(Watched().now, {"leader": 5})
    assert (health.leader, health.failing_since) == (None, None)
