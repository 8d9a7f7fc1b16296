"""Until when a lease is surely held, by this machine's clock, whatever the service's shows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody_client.local_term import LocalTerm
from custody_client.wire import Lease

SERVICE_NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def lease(*, granted: datetime = SERVICE_NOON, term_s: float = 180, grace_s: float = 60) -> Lease:
    expires_at = granted + timedelta(seconds=term_s)
    return Lease("T", 7, 1, expires_at=expires_at, grace_s=grace_s, lease_s=term_s)


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(days=-3), timedelta(days=400)])
def test_the_services_clock_may_show_anything(apart: timedelta) -> None:
    term = LocalTerm(lease(granted=SERVICE_NOON + apart), granted_by=1000.0)
    assert term.ends_at == 1000 + 180 + 60


def test_a_confirmed_renewal_moves_the_end_as_far_as_the_service_says() -> None:
    term = LocalTerm(lease(), granted_by=1000.0)
    term.renew(SERVICE_NOON + timedelta(seconds=60 + 180), sent_at=1059.0)
    assert (term.ends_at, term.confirmed_at) == (1000 + 60 + 180 + 60, 1059.0)


def test_a_renewal_that_was_not_worth_recording_moves_nothing() -> None:
    term = LocalTerm(lease(), granted_by=1000.0)
    term.renew(SERVICE_NOON + timedelta(seconds=180), sent_at=1010.0)
    assert (term.ends_at, term.confirmed_at) == (1240, 1010.0)


def test_a_late_answer_takes_nothing_back() -> None:
    term = LocalTerm(lease(), granted_by=1000.0)
    term.renew(SERVICE_NOON + timedelta(seconds=300), sent_at=1100.0)
    term.renew(SERVICE_NOON + timedelta(seconds=240), sent_at=1050.0)
    assert (term.ends_at, term.confirmed_at) == (1000 + 300 + 60, 1100.0)


@given(
    offset_s=st.floats(-1e6, 1e6),
    delay_s=st.floats(0, 100),
    renewals=st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 10)), max_size=5),
    term_s=st.floats(0.1, 1000),
)
def test_the_end_here_is_never_later_than_the_services(
    offset_s: float, delay_s: float, renewals: list[tuple[float, float]], term_s: float
) -> None:
    """Both clocks run alike; the service grants and renews after it was asked."""
    asked = 1000.0
    granted = asked + delay_s
    service = SERVICE_NOON + timedelta(seconds=offset_s)
    term = LocalTerm(lease(granted=service + timedelta(seconds=granted), term_s=term_s, grace_s=1), granted_by=asked)
    judged_at = granted + term_s + 1
    for sent_after, travel in renewals:
        decided = granted + sent_after + travel
        judged_at = max(judged_at, decided + term_s + 1)
        term.renew(service + timedelta(seconds=decided + term_s), sent_at=granted + sent_after)
    assert term.ends_at <= judged_at + 1e-3
