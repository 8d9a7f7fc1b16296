"""How long a failed task waits: the delay, its growth, its limit and its jitter."""

from __future__ import annotations

import pytest

from domain.policies.retry import RetryPolicy, resolved_retry, retry_delay_s


@pytest.mark.parametrize(
    ("policy", "failures", "jitter", "expected_s"),
    [
        pytest.param(RetryPolicy(), 1, 0.0, 1.0, id="the first failure waits for the delay"),
        pytest.param(RetryPolicy(), 3, 0.0, 4.0, id="each further one doubles it"),
        pytest.param(RetryPolicy(), 9, 0.0, 256.0, id="until the limit is near"),
        pytest.param(RetryPolicy(), 10, 0.0, 300.0, id="and no longer than the limit"),
        pytest.param(RetryPolicy(), 1, 0.5, 1.125, id="jitter adds up to a quarter"),
        pytest.param(RetryPolicy(), 30, 0.9, 300.0, id="the limit holds with jitter"),
        pytest.param(RetryPolicy(delay_s=5, backoff=1), 7, 0.0, 5.0, id="without backoff it stays the same"),
        pytest.param(RetryPolicy(delay_s=0), 3, 0.9, 0.0, id="no delay, no wait"),
        pytest.param(RetryPolicy(delay_s=10, max_delay_s=0), 3, 0.9, 0.0, id="a limit of none"),
        pytest.param(RetryPolicy(backoff=100), 1000, 0.9, 300.0, id="the thousandth failure is no overflow"),
    ],
)
def test_delay(policy: RetryPolicy, failures: int, jitter: float, expected_s: float) -> None:
    assert retry_delay_s(policy, failures=failures, jitter=jitter) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(None, RetryPolicy(delay_s=2, backoff=3, max_delay_s=60), id="none of its own"),
        pytest.param(
            RetryPolicy(backoff=1), RetryPolicy(delay_s=2, backoff=1, max_delay_s=60), id="one field of its own"
        ),
        pytest.param(
            RetryPolicy(delay_s=600),
            RetryPolicy(delay_s=600, backoff=3, max_delay_s=600),
            id="a delay above the pool's limit raises that",
        ),
    ],
)
def test_a_tasks_own_fields_override_the_pools(wanted: RetryPolicy | None, expected: RetryPolicy) -> None:
    assert resolved_retry(RetryPolicy(delay_s=2, backoff=3, max_delay_s=60), wanted) == expected
