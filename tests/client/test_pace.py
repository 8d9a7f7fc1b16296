"""When a beat is due: by the terms of what is held."""

from datetime import UTC, datetime, timedelta

import pytest

from custody_client.clock import steady_s
from custody_client.errors import LeaseLost
from custody_client.holding import Holding
from custody_client.pace import IDLE_S, RETRY_S, beat_due_at
from custody_client.wire import Lease


def holding(*, term_s: float, granted_by: float = 0.0) -> Holding:
    expires_at = datetime(2026, 11, 29, tzinfo=UTC) + timedelta(seconds=term_s)
    return Holding(Lease("T", 7, 1, expires_at=expires_at, grace_s=1, lease_s=term_s), granted_by)


@pytest.mark.parametrize(
    ("terms_s", "due_at"),
    [
        pytest.param([], IDLE_S, id="nothing is held: now and then"),
        pytest.param([180], 60, id="a third of the term"),
        pytest.param([180, 0.6], 0.2, id="the shortest term counts"),
        pytest.param([0.01], 0.05, id="not more often than twenty times a second"),
    ],
)
def test_a_beat_is_due_by_the_terms(terms_s: list[float], due_at: float) -> None:
    held = [holding(term_s=each) for each in terms_s]
    assert beat_due_at(held, sent_at=0.0, answered=True, now=0.0) == pytest.approx(due_at)


def test_a_lease_that_was_confirmed_by_a_report_needs_no_beat_yet() -> None:
    held = holding(term_s=180)
    held.term.renew(held.lease.expires_at, sent_at=50.0)
    assert beat_due_at([held], sent_at=0.0, answered=True, now=50.0) == pytest.approx(110)


def test_after_a_beat_without_an_answer_the_next_one_is_due_soon() -> None:
    held = holding(term_s=180)
    assert beat_due_at([held], sent_at=10.0, answered=False, now=10.0) == pytest.approx(10 + RETRY_S)
    assert beat_due_at([], sent_at=10.0, answered=False, now=10.0) == pytest.approx(10 + RETRY_S)


def test_what_shows_no_progress_in_its_time_is_not_vouched_for() -> None:
    held = holding(term_s=180)
    held.progress_within_s = 60
    now = steady_s()
    assert held.vouched(now + 59)
    assert not held.vouched(now + 61)
    held.ending = True
    assert held.vouched(now + 61), "its outcome is on its way"


def test_what_is_lost_is_not_vouched_for() -> None:
    held = holding(term_s=180)
    held.lose("cancelled")
    assert not held.vouched(steady_s())


def test_a_loss_counts_above_a_hand_over_and_an_outcome_on_its_way_above_both() -> None:
    held = holding(term_s=180)
    stops: list[str] = []
    held.on_stop(lambda: stops.append("stop"))
    held.ending = True
    assert not held.lose("cancelled")
    held.ending = False
    assert held.lose("cancelled")
    assert not held.lose("again")
    assert stops == ["stop"]
    assert isinstance(held.stop_reason, LeaseLost)


def test_a_stop_that_came_first_reaches_the_handler_too() -> None:
    held = holding(term_s=180)
    held.lose("cancelled")
    stops: list[str] = []
    held.on_stop(lambda: stops.append("stop"))
    assert stops == ["stop"]
