"""What the sweeper makes of one task, and when the next verdict on it falls due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.lifecycles import TERMINAL, TICKING, TaskStatus
from domain.policies.sweeping import DueMoments, Verdict, deadline_exceeded_at, first_due_at, judge, stuck_at

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
TICK_S = 0.000001
STATUSES = st.sampled_from(sorted(TaskStatus))
SECONDS = st.integers(-(10**6), 10**6) | st.floats(-(10**6), 10**6)
MOMENTS = st.none() | SECONDS.map(lambda seconds: NOW + timedelta(seconds=seconds))


def ago(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOW - timedelta(seconds=seconds)


def moments(overdue_s: float | None, beat_age_s: float | None, threshold_s: float = 600.0) -> DueMoments:
    """Return the moments of a task that is past its deadline, and whose holder was last heard, for so long."""
    deadline = ago(overdue_s)
    return DueMoments(
        deadline_exceeded_at=None if deadline is None else deadline_exceeded_at(deadline),
        stuck_at=stuck_at(ago(beat_age_s), threshold_s),
    )


@pytest.mark.parametrize(
    ("status", "overdue_s", "beat_age_s", "expect"),
    [
        pytest.param("completed", 3600.0, 9999.0, Verdict.ALREADY_FINISHED, id="finished: named, never overwritten"),
        pytest.param("in_progress", TICK_S, None, Verdict.DEADLINE_EXCEEDED, id="past the deadline: it fails"),
        pytest.param(
            "in_progress", TICK_S, 601.0, Verdict.DEADLINE_EXCEEDED, id="past the deadline and stale: deadline first"
        ),
        pytest.param("queued", TICK_S, None, Verdict.DEADLINE_EXCEEDED, id="past the deadline and not held: it fails"),
        pytest.param("stuck", 1.0, 9999.0, Verdict.DEADLINE_EXCEEDED, id="past the deadline while stuck: it fails"),
        pytest.param("assigned", 0.0, None, Verdict.NONE, id="at the deadline: not past it"),
        pytest.param("assigned", 0.0, 600.000001, Verdict.STUCK, id="at the deadline and stale: stuck"),
        pytest.param("in_progress", None, 600.000001, Verdict.STUCK, id="no deadline and stale: stuck"),
        pytest.param("in_progress", -1.0, 600.0, Verdict.NONE, id="at the threshold: not past it"),
        pytest.param("in_progress", -1.0, None, Verdict.NONE, id="no beat yet: a free pass"),
        pytest.param("stuck", -1.0, 9999.0, Verdict.NONE, id="stuck stays stuck quietly"),
        pytest.param("queued", None, None, Verdict.NONE, id="queued: nothing is due"),
    ],
)
def test_verdict(status: str, overdue_s: float | None, beat_age_s: float | None, expect: Verdict) -> None:
    assert judge(TaskStatus(status), moments(overdue_s, beat_age_s), NOW) is expect


@pytest.mark.parametrize(
    ("recovery_in_s", "beat_age_s", "expect"),
    [
        pytest.param(0.0, 9999.0, Verdict.RECOVER, id="due for recovery: before staleness"),
        pytest.param(TICK_S, 9999.0, Verdict.STUCK, id="stale, and recovery is not due yet"),
        pytest.param(TICK_S, 0.0, Verdict.NONE, id="neither"),
    ],
)
def test_recovery_is_asked_before_staleness(recovery_in_s: float, beat_age_s: float, expect: Verdict) -> None:
    due = DueMoments(recovery_at=ago(-recovery_in_s), stuck_at=stuck_at(ago(beat_age_s), 600.0))
    assert judge(TaskStatus.IN_PROGRESS, due, NOW) is expect


@pytest.mark.parametrize(
    ("lease_due_s", "not_before_s", "expect_s"),
    [
        pytest.param(None, [], 600 + TICK_S, id="just after the threshold"),
        pytest.param(601.0, [], 600 + TICK_S, id="before the lease is due"),
        pytest.param(600 + TICK_S, [], None, id="not when the lease is due: that is judged instead"),
        pytest.param(None, [599.0], 600 + TICK_S, id="a floor before the threshold moves nothing"),
        pytest.param(None, [600.0], 600 + TICK_S, id="a floor at the threshold moves nothing"),
        pytest.param(None, [650.0, 700.0], 700 + TICK_S, id="just after the latest floor"),
        pytest.param(700.0, [700.0], None, id="a floor as late as the lease is due leaves that alone"),
    ],
)
def test_when_a_silent_holder_is_stuck(
    lease_due_s: float | None, not_before_s: list[float], expect_s: float | None
) -> None:
    found = stuck_at(
        NOW,
        600.0,
        lease_due_at=None if lease_due_s is None else NOW + timedelta(seconds=lease_due_s),
        not_before=[NOW + timedelta(seconds=each) for each in not_before_s],
    )
    assert found == (None if expect_s is None else NOW + timedelta(seconds=expect_s))


@given(status=STATUSES, overdue_s=st.none() | SECONDS, beat_age_s=st.none() | SECONDS, threshold_s=st.floats(1, 9e4))
def test_a_verdict_needs_its_ground(
    status: TaskStatus, overdue_s: float | None, beat_age_s: float | None, threshold_s: float
) -> None:
    deadline, beat = ago(overdue_s), ago(beat_age_s)
    overdue = deadline is not None and deadline < NOW
    stale = beat is not None and NOW - beat > timedelta(seconds=threshold_s)
    verdict = judge(status, moments(overdue_s, beat_age_s, threshold_s), NOW)
    assert (verdict is Verdict.ALREADY_FINISHED) == (status in TERMINAL)
    assert (verdict is Verdict.DEADLINE_EXCEEDED) == (overdue and status not in TERMINAL)
    assert (verdict is Verdict.STUCK) == (stale and status in TICKING and not overdue)


@given(status=STATUSES, deadline_exceeded_at=MOMENTS, recovery_at=MOMENTS, stuck_at=MOMENTS)
def test_there_is_a_verdict_exactly_from_the_due_moment_on(
    status: TaskStatus, deadline_exceeded_at: datetime | None, recovery_at: datetime | None, stuck_at: datetime | None
) -> None:
    due = DueMoments(deadline_exceeded_at, recovery_at, stuck_at)
    first = first_due_at(status, due)
    quiet = {Verdict.NONE, Verdict.ALREADY_FINISHED}
    assert (judge(status, due, NOW) not in quiet) == (first is not None and first <= NOW)
    if first is not None:
        assert judge(status, due, first) not in quiet
        assert judge(status, due, first - timedelta(microseconds=1)) in quiet
