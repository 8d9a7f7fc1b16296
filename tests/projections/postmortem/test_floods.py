"""A flood of events: it is named, collapsed, and does not push the incident out."""

import pytest

from projections.postmortem.causes import Cause
from projections.postmortem.report import EventRow
from tests.support.postmortem import causes, found, named
from tests.support.scenario import Scenario

MANY = 600


@pytest.fixture
def flooded() -> Scenario:
    """T expires early on, and is taken up again; then B reports all the time."""
    s = Scenario()
    s.given("B", "register")
    s.holds("A", "T")
    s.at(240).sweep()
    s.given("B", "claim")
    token = s.token("T")
    for number in range(MANY):
        s.at(240 + number * 0.01).given("B", "progress", task_id="T", token=token, percent=5, message=f"{number}")
    return s


def test_a_flood_is_named(flooded: Scenario) -> None:
    (flood,) = named(flooded, Cause.FLOOD)
    total = len(flooded.log)
    assert flood.title == f"agent/B wrote {MANY} of {total} events: progressed"
    assert [each.text for each in flood.evidence] == ["the first", "the last, 6s later; at most 600 came within 10 s"]
    (few,) = named(flooded, Cause.FLOOD, limit=20)
    assert few.title == flood.title
    assert Cause.FLOOD not in causes(flooded, last=total - MANY + 400)


def test_the_incident_is_kept_when_something_must_be_left_out(flooded: Scenario) -> None:
    kept = found(flooded, limit=20)
    shown = [entry.event for entry in kept.entries]
    assert len(shown) == 20
    assert "expired" in shown
    assert "leased" in shown
    assert kept.dropped == len(flooded.log) - 20
    assert {each.cause for each in kept.findings} >= {Cause.NEVER_HEARD, Cause.FLOOD}
    assert kept.leases == {"expired": 1, "open": 1}
    assert [entry.position for entry in kept.entries] == sorted(entry.position for entry in kept.entries)


def test_repeats_are_collapsed_to_the_first_and_the_last(flooded: Scenario) -> None:
    whole = found(flooded)
    assert len(whole.entries) == len(flooded.log)
    reports = [row for row in whole.rows if row.entry.event == "progressed"]
    # `escalated` comes between them.
    assert [row.hidden > 0 for row in reports] == [False, True, False, True]
    assert sum(row.hidden for row in reports) == MANY - len(reports)
    assert sum(row.hidden for row in whole.rows) + len(whole.rows) == len(whole.entries)
    assert [row.entry.position for row in whole.rows] == sorted(row.entry.position for row in whole.rows)


def test_a_short_run_is_shown_whole(flooded: Scenario) -> None:
    reports = [each.position for each in flooded.log if each.name == "progressed"]
    assert all(row == EventRow(row.entry) for row in found(flooded, last=reports[2]).rows)
    assert [row.hidden for row in found(flooded, last=reports[3]).rows][-1] == 2


def test_a_flood_of_ordinary_events_does_not_hide_the_incident(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Scenario()
    s.holds("A", "T")
    s.at(240).sweep()
    with monkeypatch.context() as patched:
        # Once at the end: after each of so many commands it takes longer than a test may, where others want the
        # processor, too.
        patched.setattr(s, "check", lambda: None)
        for number in range(MANY):
            s.at(241 + number * 0.01).given("ops", "submit", task_id=f"F{number}")
            s.given("ops", "cancel", task_id=f"F{number}")
    s.check()
    kept = found(s, limit=210)
    assert "expired" in {entry.event for entry in kept.entries}
    assert {each.title for each in kept.findings if each.cause is Cause.FLOOD} == {
        f"ops wrote {MANY + 1} of {len(s.log)} events: submitted",
        f"ops wrote {MANY} of {len(s.log)} events: cancelled",
    }


def test_in_a_flood_a_grant_is_no_repeat() -> None:
    s = Scenario()
    s.given("A", "register", capacity=500)
    for number in range(200):
        s.at(number).given("ops", "submit", task_id=f"F{number}")
        s.given("ops", "assign", task_id=f"F{number}", agent_id="A")
    kept = [entry.event for entry in found(s, limit=300).entries]
    assert (kept.count("leased"), kept.count("submitted")) == (200, 100)
