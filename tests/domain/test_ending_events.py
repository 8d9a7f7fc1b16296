"""The events that end something are those that the lifecycles say."""

from domain.lifecycles import LEASE_ENDING_EVENTS, STEAL, STEAL_ENDING_EVENTS, STEAL_ENDS, StealStatus


def test_a_lease_ends_by_any_event_after_which_its_holder_has_it_no_longer() -> None:
    assert sorted(LEASE_ENDING_EVENTS) == [
        "blocked", "cancelled", "completed", "expired", "failed", "quarantined", "released", "requeued", "revoked",
        "stolen",
    ]  # fmt: skip


def test_a_steal_is_over_when_it_was_carried_out_or_given_up() -> None:
    assert frozenset(StealStatus) - {status for status, _, _ in STEAL.items()} == STEAL_ENDS
    assert {"completed", "failed"} == STEAL_ENDING_EVENTS
