"""How long tasks take on average."""

import pytest

from domain.policies.load_balancing import average_duration_s


@pytest.mark.parametrize(
    ("durations_s", "expect"),
    [
        pytest.param([], None, id="none yet: unknown"),
        pytest.param([3.0], 3.0, id="one"),
        pytest.param([1.0, 2.0, 6.0], 3.0, id="the mean"),
        pytest.param([1000.0] + [2.0] * 50, 2.0, id="only the last 50 count"),
    ],
)
def test_average_duration(durations_s: list[float], expect: float | None) -> None:
    assert average_duration_s(durations_s) == expect
