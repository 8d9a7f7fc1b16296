"""What the sweeper makes of one task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policies.sweeping import Verdict, judge

FINISHED = {"terminal": True, "held": False}
HELD = {"terminal": False, "held": True}
NOT_HELD = {"terminal": False, "held": False}
AGES = st.none() | st.floats(-(10**6), 10**6)


@pytest.mark.parametrize(
    ("task", "deadline_overdue_s", "beat_age_s", "expect"),
    [
        pytest.param(FINISHED, 3600.0, 9999.0, Verdict.ALREADY_FINISHED, id="finished: named, never overwritten"),
        pytest.param(HELD, 0.001, None, Verdict.DEADLINE_EXCEEDED, id="past the deadline: it fails"),
        pytest.param(HELD, 0.001, 600.001, Verdict.DEADLINE_EXCEEDED, id="past the deadline and stale: deadline first"),
        pytest.param(NOT_HELD, 0.001, None, Verdict.DEADLINE_EXCEEDED, id="past the deadline and nobody's: it fails"),
        pytest.param(NOT_HELD, 1.0, 9999.0, Verdict.DEADLINE_EXCEEDED, id="past the deadline while stuck: it fails"),
        pytest.param(HELD, 0.0, None, Verdict.NONE, id="at the deadline: not past it"),
        pytest.param(HELD, 0.0, 600.001, Verdict.STUCK, id="at the deadline and stale: stuck"),
        pytest.param(HELD, None, 600.001, Verdict.STUCK, id="no deadline and stale: stuck"),
        pytest.param(HELD, -1.0, 600.0, Verdict.NONE, id="at the threshold: not past it"),
        pytest.param(HELD, -1.0, None, Verdict.NONE, id="no beat yet: a free pass"),
        pytest.param(NOT_HELD, -1.0, 9999.0, Verdict.NONE, id="stuck stays stuck quietly"),
        pytest.param(NOT_HELD, None, None, Verdict.NONE, id="queued: nothing is due"),
    ],
)
def test_verdict(
    task: dict[str, bool], deadline_overdue_s: float | None, beat_age_s: float | None, expect: Verdict
) -> None:
    verdict = judge(**task, deadline_overdue_s=deadline_overdue_s, beat_age_s=beat_age_s, stuck_threshold_s=600.0)
    assert verdict is expect


@given(task=st.sampled_from([FINISHED, HELD, NOT_HELD]), overdue_s=AGES, beat_age_s=AGES, threshold_s=st.floats(1, 9e4))
def test_a_verdict_needs_its_ground(
    task: dict[str, bool], overdue_s: float | None, beat_age_s: float | None, threshold_s: float
) -> None:
    overdue = overdue_s is not None and overdue_s > 0
    stale = beat_age_s is not None and beat_age_s > threshold_s
    verdict = judge(**task, deadline_overdue_s=overdue_s, beat_age_s=beat_age_s, stuck_threshold_s=threshold_s)
    assert (verdict is Verdict.ALREADY_FINISHED) == task["terminal"]
    assert (verdict is Verdict.DEADLINE_EXCEEDED) == (overdue and not task["terminal"])
    assert (verdict is Verdict.STUCK) == (stale and task["held"] and not overdue)
