"""Every event has its words, and the numbers it was decided by are among them."""

import pytest

from domain.commands.service_commands import Extend
from domain.events import EVENT_TYPES
from domain.events import steal as st
from domain.events import task as ev
from projections.reports.history_entry import history_entry, unreadable_entry
from projections.reports.time_text import duration
from projections.reports.wording import _WORDINGS, describe
from tests.domain.situations import SITUATIONS
from tests.support.scenario import OPS, Scenario


def lines(s: Scenario) -> dict[str, str]:
    """The wording of the last event of each name."""
    return {recorded.name: history_entry(recorded).what for recorded in s.log}


def test_every_event_but_the_plain_start_has_a_wording() -> None:
    assert set(EVENT_TYPES.values()) - set(_WORDINGS) == {ev.Started}


@pytest.mark.parametrize("how", SITUATIONS)
def test_every_history_can_be_told(how: str) -> None:
    s = Scenario()
    SITUATIONS[how][1](s)
    for recorded in s.log:
        told = history_entry(recorded)
        assert told.position == recorded.position
        assert told.subject == recorded.originator_id
        assert told.token == getattr(recorded.event, "token", None)
        assert "\n" not in told.what
        assert told.as_json()["time"].endswith("Z")


def test_a_delay_is_told_with_its_end() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "release", task_id="T", token=token, delay_s=60)
    assert lines(s)["requeued"] == (
        "attempt 2, after release: released by A; hand-off at 0 %; not before 2026-11-21 08:01:00Z"
    )
    s.given(OPS, "submit", task_id="U", delay_s=60)
    assert lines(s)["submitted"].endswith("not before 2026-11-21 08:01:00Z")


def test_an_expiry_names_its_numbers() -> None:
    s = Scenario()
    s.holds("A", "T")
    token = s.token("T")
    s.given("A", "start", task_id="T", token=token)
    for at in (10, 40, 70):
        s.at(at).given("A", "progress", task_id="T", token=token, percent=at)
    s.sweep(at=5000).then("expired", "requeued")
    said = lines(s)
    assert said["expired"] == (
        "lease of A ended: silent for 1h 22m, 3 reports, median interval 30s × 5 = 2m 30s tolerated, "
        "lease until 2026-11-21 08:06:10Z + grace 1m"
    )
    assert said["requeued"].startswith("attempt 2, after expiry: lease expired at ")
    assert said["requeued"].endswith("; hand-off at 70 %")
    assert said["progressed"] == "70 % (report 3); held until 2026-11-21 08:06:10Z (term 5m, grace 1m)"


def test_a_reason_with_nothing_before_it_begins_the_words() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.given(OPS, "cancel", task_id="T", reason="not needed")
    assert lines(s)["cancelled"] == "not needed"
    s.holds("A", "U")
    s.given(OPS, "cancel", task_id="U", reason="not needed")
    assert lines(s)["cancelled"] == "held by A: not needed"


def test_staleness_names_its_threshold() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 3600})
    s.at(10).given("A", "progress", task_id="T", token=token, percent=1)
    s.sweep(at=700).then("stuck")
    assert "its last beat is older than 10m: silent for 11m 30s, 1 report" in lines(s)["stuck"]


def test_a_deadline_names_how_late_it_was() -> None:
    s = Scenario()
    s.holds("A", "T", deadline_s=60)
    s.sweep(at=90).then("failed")
    assert lines(s)["failed"] == (
        "deadline exceeded by sweeper (held by A); deadline 2026-11-21 08:01:00Z passed 30s before"
    )


def test_an_extension_names_its_evidence() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.at(300).asks(Extend("T", token, "git worktree", ("UU main.py",))).then("extended")
    assert lines(s)["extended"].startswith("git worktree found evidence (UU main.py): 7m more, until ")


def test_a_steal_names_both_loads() -> None:
    s = Scenario()
    s.holds("A", "T", "U", "V")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T", "U"], reason="uneven")
    said = lines(s)
    assert said["planned"] == "T, U from A (3 tasks, cpu 0 %) to B (0 tasks, cpu 0 %): uneven"
    assert said["completed"] == "2 moved; source 3 → 1 tasks, target 0 → 2"
    assert "to B by steal" in said["stolen"]


def test_why_is_the_verb_and_the_id_that_the_caller_chose() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", command_id="from-me")
    s.given("A", "register")
    assert [history_entry(recorded).why for recorded in s.log] == ["submit from-me", "register"]


def test_what_cannot_be_read_is_shown() -> None:
    told = unreadable_entry(7, "custody.p.evt.task.T.x", "not JSON")
    assert (told.position, told.event, told.as_json()["time"]) == (7, "unreadable", None)
    assert "not JSON" in told.what


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.2s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (270, "4m 30s"),
        (3600, "1h"),
        (5400, "1h 30m"),
        (90_000, "1d 1h"),
        (-90, "-1m 30s"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_long_results_are_cut() -> None:
    told = describe(ev.Completed(token=1, agent_id="A", result="x" * 1000, duration_s=2))
    assert told.endswith("…")
    assert len(told) < 130


def test_a_move_by_expected_durations_says_what_it_gains() -> None:
    plan = st.Planned(
        from_agent="A", to_agent="B", task_ids=("T",), reason="load", gain_s=90.0,
        source_tasks=9, target_tasks=0, source_cpu=0.0, target_cpu=0.0,
    )  # fmt: skip
    assert describe(plan) == "T from A (9 tasks, cpu 0 %) to B (0 tasks, cpu 0 %), to begin 1m 30s sooner in all: load"
