"""How long a lease runs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.events.task import Submitted
from domain.policies.lease import (
    LeaseMode,
    LeasePolicy,
    LeaseTerms,
    first_terms,
    longest_terms,
    renewal_terms,
    shortest_first_terms,
)
from domain.values import Priority

ADAPTIVE = LeasePolicy()
ESTIMATED = LeasePolicy(mode=LeaseMode.ESTIMATED)
FIXED = LeasePolicy(mode=LeaseMode.FIXED)

HOURS = st.floats(0.05, 168)
PRIORITIES = st.sampled_from(Priority)
LABELS = st.lists(st.sampled_from(["simple", "Complex", "RESEARCH", "epic", "docs", ""]), max_size=4)


@st.composite
def estimated_policies(draw: st.DrawFn) -> LeasePolicy:
    low, high = sorted((draw(HOURS), draw(HOURS)))
    return LeasePolicy(
        mode=LeaseMode.ESTIMATED,
        default_hours=draw(HOURS),
        min_hours=low,
        max_hours=high,
        renewal_decay=draw(st.floats(0.01, 1)),
    )


@pytest.mark.parametrize(
    ("reports", "percent", "expect"),
    [
        pytest.param(0, 0, LeaseTerms(180, 60), id="no report yet: 180 + 60"),
        pytest.param(0, 90, LeaseTerms(180, 60), id="no report yet, whatever the percent: 180 + 60"),
        pytest.param(1, 0, LeaseTerms(240, 60), id="one report: 240 + 60"),
        pytest.param(1, 100, LeaseTerms(240, 60), id="one report, whatever the percent: 240 + 60"),
        pytest.param(2, 24, LeaseTerms(240, 60), id="two reports, below 25 %: 240 + 60"),
        pytest.param(2, 25, LeaseTerms(300, 60), id="two reports, 25 %: 300 + 60"),
        pytest.param(2, 74, LeaseTerms(300, 60), id="two reports, below 75 %: 300 + 60"),
        pytest.param(2, 75, LeaseTerms(360, 90), id="two reports, 75 %: 360 + 90, the longest"),
        pytest.param(40, 100, LeaseTerms(360, 90), id="many reports change nothing more"),
        pytest.param(40, 0, LeaseTerms(240, 60), id="progress that falls back shortens the next term"),
    ],
)
def test_adaptive_terms(reports: int, percent: int, expect: LeaseTerms) -> None:
    assert renewal_terms(ADAPTIVE, reports=reports, percent=percent, estimated_hours=40.0) == expect


@given(hours=st.none() | HOURS, priority=PRIORITIES, labels=LABELS)
def test_an_adaptive_first_term_looks_at_nothing(hours: float | None, priority: Priority, labels: list[str]) -> None:
    terms = first_terms(ADAPTIVE, estimated_hours=hours, priority=priority, labels=labels)
    assert terms == renewal_terms(ADAPTIVE, reports=0, percent=0, estimated_hours=hours) == LeaseTerms(180, 60)


def test_adaptive_mode_has_its_own_grace() -> None:
    policy = LeasePolicy(grace_s=5)
    assert renewal_terms(policy, reports=2, percent=80, estimated_hours=None).grace_s == 90


@pytest.mark.parametrize(
    ("estimated_hours", "priority", "labels", "expect_hours"),
    [
        pytest.param(None, Priority.MEDIUM, [], 2, id="no estimate: the default"),
        pytest.param(0, Priority.MEDIUM, [], 2, id="an estimate of nothing is none"),
        pytest.param(4, Priority.MEDIUM, [], 4, id="the estimate"),
        pytest.param(4, Priority.CRITICAL, [], 2, id="critical: x 0.5"),
        pytest.param(4, Priority.HIGH, [], 3, id="high: x 0.75"),
        pytest.param(4, Priority.LOW, [], 6, id="low: x 1.5"),
        pytest.param(4, Priority.MEDIUM, ["simple"], 2, id="simple: x 0.5"),
        pytest.param(4, Priority.MEDIUM, ["complex"], 6, id="complex: x 1.5"),
        pytest.param(4, Priority.MEDIUM, ["research"], 8, id="research: x 2"),
        pytest.param(4, Priority.MEDIUM, ["epic"], 12, id="epic: x 3"),
        pytest.param(4, Priority.MEDIUM, ["docs", "EPIC", "simple"], 12, id="the first that matches, in any case"),
        pytest.param(4, Priority.MEDIUM, ["epics", " epic"], 4, id="a label matches as a whole"),
        pytest.param(None, Priority.LOW, ["epic"], 9, id="factors apply to the default too"),
        pytest.param(40, Priority.MEDIUM, [], 24, id="no longer than max_hours"),
        pytest.param(0.5, Priority.MEDIUM, [], 1, id="no shorter than min_hours"),
    ],
)
def test_estimated_first_term(
    estimated_hours: float | None, priority: Priority, labels: list[str], expect_hours: float
) -> None:
    terms = first_terms(ESTIMATED, estimated_hours=estimated_hours, priority=priority, labels=labels)
    assert terms == LeaseTerms(expect_hours * 3600, 1800)


@pytest.mark.parametrize(
    ("renewals", "percent", "estimated_hours", "expect_hours"),
    [
        pytest.param(0, 40, None, 4, id="base: 4 h"),
        pytest.param(0, 50, None, 4, id="50 % is not above 50 %"),
        pytest.param(0, 51, None, 3, id="above 50 %: 3 h"),
        pytest.param(0, 75, None, 3, id="75 % is not above 75 %"),
        pytest.param(0, 76, None, 2, id="above 75 %: 2 h"),
        pytest.param(2, 24, None, 4 * 0.9**2, id="below 25 % with 2 renewals: still 4 h"),
        pytest.param(3, 24, None, 2 * 0.9**3, id="below 25 % with more than 2 renewals: 2 h"),
        pytest.param(3, 25, None, 4 * 0.9**3, id="25 % is not below 25 %"),
        pytest.param(0, 40, 8, 4, id="an estimate of 8 h is not over 8 h"),
        pytest.param(0, 40, 8.5, 6, id="an estimate over 8 h: x 1.5"),
        pytest.param(1, 40, None, 3.6, id="each renewal: x 0.9"),
        pytest.param(5, 40, 9, 6 * 0.9**5, id="5 renewals: no cap yet"),
        pytest.param(6, 40, 9, 2, id="over 5 renewals: at most 2 h"),
        pytest.param(100, 40, None, 1, id="no shorter than min_hours"),
    ],
)
def test_estimated_renewal(renewals: int, percent: int, estimated_hours: float | None, expect_hours: float) -> None:
    terms = renewal_terms(ESTIMATED, reports=renewals + 1, percent=percent, estimated_hours=estimated_hours)
    assert terms.lease_s == pytest.approx(expect_hours * 3600)
    assert terms.grace_s == 1800


@given(
    policy=estimated_policies(),
    hours=st.none() | st.floats(0, 10_000),
    priority=PRIORITIES,
    labels=LABELS,
    reports=st.integers(0, 1_000_000),
    percent=st.integers(0, 100),
)
def test_estimated_terms_stay_within_the_bounds(
    policy: LeasePolicy, hours: float | None, priority: Priority, labels: list[str], reports: int, percent: int
) -> None:
    for terms in (
        first_terms(policy, estimated_hours=hours, priority=priority, labels=labels),
        renewal_terms(policy, reports=reports, percent=percent, estimated_hours=hours),
    ):
        assert policy.min_hours * 3600 <= terms.lease_s <= policy.max_hours * 3600


@given(policy=estimated_policies(), reports=st.integers(0, 50), percent=st.integers(0, 100), hours=st.none() | HOURS)
def test_an_estimated_renewal_is_never_longer_than_the_one_before(
    policy: LeasePolicy, reports: int, percent: int, hours: float | None
) -> None:
    before = renewal_terms(policy, reports=reports, percent=percent, estimated_hours=hours)
    after = renewal_terms(policy, reports=reports + 1, percent=percent, estimated_hours=hours)
    assert after.lease_s <= before.lease_s * (1 + 1e-12)


@given(reports=st.integers(0, 100), percent=st.integers(0, 100), hours=st.none() | HOURS)
def test_fixed_terms_are_constant(reports: int, percent: int, hours: float | None) -> None:
    policy = LeasePolicy(mode=LeaseMode.FIXED, lease_s=2.5, grace_s=0)
    first = first_terms(policy, estimated_hours=hours, priority=Priority.LOW, labels=["epic"])
    assert first == renewal_terms(policy, reports=reports, percent=percent, estimated_hours=hours) == LeaseTerms(2.5, 0)


@pytest.mark.parametrize(
    ("policy", "expect_s"),
    [
        pytest.param(FIXED, 60, id="fixed: 60 s"),
        pytest.param(ESTIMATED, 1800, id="estimated: 30 min"),
        pytest.param(LeasePolicy(mode=LeaseMode.FIXED, grace_s=7), 7, id="fixed: as told"),
        pytest.param(LeasePolicy(mode=LeaseMode.ESTIMATED, grace_s=0), 0, id="estimated: as told, also none"),
    ],
)
def test_grace(policy: LeasePolicy, expect_s: float) -> None:
    first = first_terms(policy, estimated_hours=None, priority=Priority.MEDIUM, labels=())
    renewal = renewal_terms(policy, reports=1, percent=10, estimated_hours=None)
    assert first.grace_s == renewal.grace_s == expect_s


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        pytest.param({"mode": "eternal"}, "mode", id="a mode there is not"),
        pytest.param({"lease": 5}, "lease", id="a field there is not"),
        pytest.param({"lease_s": 0}, "lease_s", id="no lease at all"),
        pytest.param({"lease_s": 7 * 86_400 + 1}, "lease_s", id="a fixed lease over a week"),
        pytest.param({"lease_s": "240"}, "lease_s", id="a number as text"),
        pytest.param({"lease_s": True}, "lease_s", id="a boolean as a number"),
        pytest.param({"lease_s": float("nan")}, "lease_s", id="not a number"),
        pytest.param({"lease_s": None}, "lease_s", id="null where a number belongs"),
        pytest.param({"grace_s": -1}, "grace_s", id="negative grace"),
        pytest.param({"grace_s": 86_401}, "grace_s", id="grace over a day"),
        pytest.param({"default_hours": 0}, "default_hours", id="an estimate of nothing"),
        pytest.param({"min_hours": -1}, "min_hours", id="a negative bound"),
        pytest.param({"max_hours": float("inf")}, "max_hours", id="an infinite bound"),
        pytest.param({"max_hours": 169}, "max_hours", id="a bound over a week"),
        pytest.param({"min_hours": 3, "max_hours": 2}, "max_hours", id="bounds that cross"),
        pytest.param({"min_hours": 25}, "max_hours", id="a lower bound above the default upper one"),
        pytest.param({"max_hours": 0.5}, "max_hours", id="an upper bound below the default lower one"),
        pytest.param({"renewal_decay": 0}, "renewal_decay", id="a decay to nothing"),
        pytest.param({"renewal_decay": 1.1}, "renewal_decay", id="a decay that grows"),
        pytest.param({"max_renewals": -1}, "max_renewals", id="fewer than no renewals"),
        pytest.param({"max_renewals": 2.0}, "max_renewals", id="a count that is not whole"),
        pytest.param({"max_renewals": False}, "max_renewals", id="a boolean as a count"),
        pytest.param({"max_lease_s": 0}, "max_lease_s", id="no attempt at all"),
        pytest.param({"max_lease_s": 31 * 86_400}, "max_lease_s", id="an attempt over 30 days"),
        pytest.param({"silence_multiplier": 0.5}, "silence_multiplier", id="less patience than the rhythm itself"),
        pytest.param({"silence_multiplier": 1001}, "silence_multiplier", id="patience without end"),
    ],
)
def test_a_policy_out_of_range_is_refused_and_the_field_named(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(ValidationError) as refused:
        LeasePolicy.model_validate(fields)
    assert [error["loc"] for error in refused.value.errors()] == [(at,)]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"mode": "fixed", "lease_s": 2, "grace_s": 1}, id="whole numbers for floats"),
        pytest.param({"min_hours": 0.0001, "max_hours": 0.0001}, id="bounds of less than a second that meet"),
        pytest.param({"mode": "estimated", "min_hours": 3, "max_hours": 4}, id="a default outside the bounds"),
        pytest.param({"mode": "fixed", "lease_s": 60, "max_lease_s": 2}, id="an attempt shorter than its term"),
        pytest.param({"max_renewals": 0, "renewal_decay": 1}, id="the edges"),
    ],
)
def test_a_policy_in_range_survives_its_own_json(fields: dict[str, Any]) -> None:
    policy = LeasePolicy.model_validate(fields)
    assert LeasePolicy.model_validate_json(policy.model_dump_json()) == policy
    assert LeasePolicy.model_validate(policy.model_dump(mode="json")) == policy


def test_a_policy_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ADAPTIVE.lease_s = 1.0  # type: ignore[misc] # what is refused


def test_the_phases_of_the_adaptive_mode_are_the_policys() -> None:
    policy = LeasePolicy(
        first_s=10.0, first_grace_s=1.0, second_s=20.0, second_grace_s=2.0, working_percent=40, working_s=30.0,
        working_grace_s=3.0, finishing_percent=60, finishing_s=40.0, finishing_grace_s=4.0,
    )  # fmt: skip
    reported = [(0, 99), (1, 99), (2, 39), (2, 40), (2, 60)]
    found = [renewal_terms(policy, reports=reports, percent=at, estimated_hours=None) for reports, at in reported]
    assert found == [LeaseTerms(10, 1), LeaseTerms(20, 2), LeaseTerms(20, 2), LeaseTerms(30, 3), LeaseTerms(40, 4)]
    assert longest_terms(policy) == LeaseTerms(40, 4)
    assert shortest_first_terms(policy) == LeaseTerms(10, 1)


def test_the_factors_of_the_estimated_mode_are_the_policys() -> None:
    policy = LeasePolicy(
        mode=LeaseMode.ESTIMATED, critical_factor=0.25, high_factor=0.3, medium_factor=0.9, low_factor=2.0,
        simple_factor=0.1, complex_factor=1.1, research_factor=1.2, epic_factor=2.2, large_factor=2.0,
        min_hours=0.1, max_hours=100.0,
    )  # fmt: skip

    def hours(priority: str, *labels: str) -> float:
        terms = first_terms(policy, estimated_hours=10.0, priority=Priority(priority), labels=labels)
        return round(terms.lease_s / 3600, 6)

    assert [hours(each) for each in ("critical", "high", "medium", "low")] == [2.5, 3, 9, 20]
    assert [hours("low", each) for each in ("Simple", "complex", "research", "epic", "x")] == [2, 22, 24, 44, 20]
    assert renewal_terms(policy, reports=1, percent=0, estimated_hours=9.0).lease_s == 4 * 2 * 3600


@pytest.mark.parametrize(
    ("reports", "percent", "estimated_hours", "expect_hours"),
    [
        pytest.param(1, 0, None, 20, id="at the beginning: renewal_hours"),
        pytest.param(1, 40, None, 20, id="at renewal_half_percent: not above it"),
        pytest.param(1, 41, None, 15, id="above it: renewal_half_hours"),
        pytest.param(1, 60, None, 15, id="at renewal_late_percent: not above it"),
        pytest.param(1, 61, None, 10, id="above it: renewal_late_hours"),
        pytest.param(2, 9, None, 20, id="renewal_slow_after renewals: not yet slow"),
        pytest.param(3, 9, None, 5, id="more of them, below renewal_slow_percent: renewal_slow_hours"),
        pytest.param(3, 10, None, 20, id="more of them, at renewal_slow_percent"),
        pytest.param(1, 0, 3, 20, id="an estimate of large_hours is not large"),
        pytest.param(1, 0, 3.5, 40, id="one above it is: x large_factor"),
        pytest.param(4, 30, 9, 40, id="renewal_many_after renewals: no cap yet"),
        pytest.param(5, 30, 9, 7, id="more of them: at most renewal_many_hours"),
    ],
)
def test_the_renewals_of_the_estimated_mode_are_the_policys(
    reports: int, percent: int, estimated_hours: float | None, expect_hours: float
) -> None:
    policy = LeasePolicy(
        mode=LeaseMode.ESTIMATED, min_hours=0.1, max_hours=100.0, renewal_decay=1.0, large_factor=2.0, large_hours=3.0,
        renewal_hours=20.0, renewal_half_percent=40, renewal_half_hours=15.0, renewal_late_percent=60,
        renewal_late_hours=10.0, renewal_slow_percent=10, renewal_slow_after=1, renewal_slow_hours=5.0,
        renewal_many_after=3, renewal_many_hours=7.0,
    )  # fmt: skip
    terms = renewal_terms(policy, reports=reports, percent=percent, estimated_hours=estimated_hours)
    assert terms.lease_s == expect_hours * 3600


def test_what_has_its_default_is_left_out_of_events_and_read_as_the_default() -> None:
    plain, own = LeasePolicy(), LeasePolicy(first_s=33.0)
    own_prefixes = ("first", "epic", "working", "renewal_h", "renewal_m", "large")
    assert not any(name.startswith(own_prefixes) for name in plain.model_dump())
    assert own.model_dump()["first_s"] == 33
    for policy in (plain, own):
        assert LeasePolicy.model_validate_json(policy.model_dump_json()) == policy


def test_equal_policies_are_one_object_in_memory() -> None:
    first, second = (Submitted(request_digest="d", lease=LeasePolicy(first_s=34.0)) for _ in range(2))
    assert first.lease is second.lease
