"""Leases become bars, events become marks, and what a limit or a range leaves out is known."""

from __future__ import annotations

import pytest

from domain.commands.service_commands import Rearm
from domain.events.task import Stolen
from projections.postmortem import event_collector
from projections.postmortem.bars import ENDS, Bar
from projections.postmortem.report import postmortem
from tests.domain.situations import SITUATIONS
from tests.support.postmortem import collected, found
from tests.support.scenario import OPS, START, Scenario


def bars(s: Scenario, **options: object) -> list[Bar]:
    lanes = found(s, **options).timeline.lanes
    return [bar for lane in lanes if lane.kind == "task" for _, bar in lane.bars]


ENDED = {
    "queued": [],
    "queued after an expiry": ["expired"],
    "queued after a release": ["released"],
    "queued after a revocation": ["revoked"],
    "queued after a failure": ["failed"],
    "assigned": ["open"],
    "assigned, stolen for B": ["stolen", "open"],
    "in progress": ["open"],
    "stuck": ["open"],
    "blocked": ["blocked"],
    "quarantined after an expiry": ["expired"],
    "quarantined after a release": ["released"],
    "completed": ["completed"],
    "failed by its holder": ["failed"],
    "failed over its deadline": ["failed"],
    "cancelled while held": ["cancelled"],
    "cancelled while queued": [],
}


@pytest.mark.parametrize("how", SITUATIONS)
def test_a_lease_is_a_bar_that_says_how_it_ended(how: str) -> None:
    s = Scenario()
    SITUATIONS[how][1](s)
    drawn = bars(s)
    assert [bar.ended for bar in drawn] == ENDED[how]
    assert set(ENDED[how]) <= set(ENDS)
    for bar in drawn:
        assert s.log[bar.token - 1].name in {"leased", "stolen"}
        assert (bar.end is None) == (bar.ended == "open")


def test_an_event_that_is_the_edge_of_a_bar_has_no_mark() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "progress", task_id="T", token=token, percent=5)
    s.given("A", "release", task_id="T", token=token)
    marks = {lane.kind: [mark.kind for mark in lane.marks] for lane in found(s).timeline.lanes}
    assert marks == {"agent": ["registered", "progressed"], "task": ["progressed"]}


def test_an_agents_leases_stand_in_rows_that_do_not_overlap() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    s.wait(5).given("A", "complete", task_id="T", token=s.token("T"))
    s.holds("A", "V")
    (lane,) = (lane for lane in found(s).timeline.lanes if lane.kind == "agent")
    assert [(row, bar.task_id) for row, bar in lane.bars] == [(0, "T"), (1, "U"), (0, "V")]
    assert lane.rows == 2


def test_an_expiry_shows_its_grace_the_wait_for_the_rhythm_and_the_silence() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    for at in (100, 200, 300):
        s.at(at).given("A", "progress", task_id="T", token=token, percent=5)
    s.sweep(at=900)
    (bar,) = bars(s)
    spans = {span.kind: (s.seconds_until(span.begin), s.seconds_until(span.end or START)) for span in bar.spans}
    assert spans == {"silent": (300, 900), "grace": (540, 600), "wait": (600, 900)}
    assert bar.note == "expired: silent 10m, term 4m + grace 1m, median 1m 40s × 5 = 8m 20s"


def test_an_announced_silence_and_a_stopped_clock_are_spans() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 3600}, on_silence="stuck")
    s.at(10).given("A", "silence", task_id="T", token=token, for_s=100, reason="build")
    s.sweep(at=800).then("stuck")
    s.at(900).given("A", "progress", task_id="T", token=token, percent=5)
    (bar,) = bars(s)
    spans = {span.kind: (s.seconds_until(span.begin), s.seconds_until(span.end or START)) for span in bar.spans}
    assert spans.items() >= {"announced": (10.0, 110.0), "stopped": (800.0, 900.0)}.items()


def test_a_clock_that_runs_on_is_no_span() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 3600})
    s.given("A", "progress", task_id="T", token=token, percent=5)
    s.sweep(at=800).then("stuck")
    s.sweep(at=3660).then("expired", "requeued")
    (bar,) = bars(s)
    assert "stopped" not in {span.kind for span in bar.spans}
    assert bar.ended == "expired"


def test_a_task_that_waits_without_a_holder_shows_it() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    s.at(30).given("A", "claim")
    s.at(40).given("A", "block", task_id="T", token=s.token("T"), reason="no key")
    (lane,) = (lane for lane in found(s).timeline.lanes if lane.kind == "task")
    assert [(span.kind, span.end is None, s.log[span.position - 1].name) for span in lane.spans] == [
        ("queued", False, "submitted"),
        ("blocked", True, "blocked"),
    ]


def test_a_steal_is_one_arrow_for_each_operation() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T", "U"])
    (arrow,) = found(s).timeline.arrows
    assert (arrow.from_agent, arrow.to_agent, set(arrow.task_ids)) == ("A", "B", {"T", "U"})
    assert isinstance(s.log[arrow.position - 1].event, Stolen)


def test_an_outage_spans_from_its_beginning_to_its_floor() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.at(200).asks(Rearm("the connection was gone", 50.0), actor="writer")
    (outage,) = found(s).timeline.outages
    assert (s.seconds_until(outage.begin), outage.end is not None and s.seconds_until(outage.end)) == (150, 250)


def test_reports_and_renewals_are_marks_of_the_task_and_of_its_holder() -> None:
    s = Scenario()
    token = s.holds("A", "T", "U")
    s.at(100).given("A", "progress", task_id="U", token=token, percent=5)
    s.given("A", "heartbeat")
    marks = {
        (lane.kind, lane.id, mark.kind, mark.row)
        for lane in found(s).timeline.lanes
        for mark in lane.marks
        if mark.kind in {"progressed", "renewed"}
    }
    assert marks == {
        ("agent", "A", "progressed", 1),
        ("agent", "A", "renewed", 0),
        ("task", "U", "progressed", 0),
        ("task", "T", "renewed", 0),
    }


# What is in question


@pytest.fixture
def shop() -> Scenario:
    """Two agents, a task of each, and a third that went from A to B."""
    s = Scenario()
    s.holds("A", "T")
    s.holds("B", "U")
    s.holds("A", "V")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["V"])
    s.given("B", "heartbeat", load={"cpu": 99, "memory": 1})
    return s


def lanes(s: Scenario, **options: object) -> set[str]:
    return {f"{lane.kind} {lane.id}" for lane in found(s, **options).timeline.lanes}


def test_a_task_comes_with_its_holders(shop: Scenario) -> None:
    assert lanes(shop, task="V") == {"task V", "agent A", "agent B"}
    names = [entry.subject for entry in found(shop, task="V").entries]
    assert "task/T" not in names
    assert any(name.startswith("steal/") for name in names)


def test_an_agent_comes_with_the_whole_story_of_its_tasks(shop: Scenario) -> None:
    assert lanes(shop, agent="A", also=("T", "V")) == {"agent A", "agent B", "task T", "task V"}
    assert "task/U" not in {entry.subject for entry in found(shop, agent="A", also=("T", "V")).entries}


def test_a_task_and_an_agent_are_what_concerns_both(shop: Scenario) -> None:
    subjects = [(entry.subject, entry.event) for entry in found(shop, task="V", agent="B").entries]
    assert ("task/V", "stolen") in subjects
    assert ("task/V", "submitted") not in subjects


def test_without_either_everything_is_in_question(shop: Scenario) -> None:
    assert len(found(shop).entries) == len(shop.log)


# Ranges and limits


def test_a_lease_from_before_the_range_begins_where_it_was_granted(shop: Scenario) -> None:
    shop.at(100).given("A", "complete", task_id="T", token=shop.token("T"))
    drawn = {bar.task_id: bar for bar in bars(shop, first=len(shop.log))}
    assert drawn["T"].begin == START
    assert drawn["U"].ended == "open"


def test_the_newest_events_are_kept_and_the_rest_is_counted(shop: Scenario) -> None:
    kept = found(shop, limit=3)
    ordinary = [each.position for each in shop.log if each.name != "heartbeat"]
    assert [entry.position for entry in kept.entries] == ordinary[-3:]
    assert kept.dropped == len(shop.log) - 3


def test_lanes_beyond_the_limit_are_counted(shop: Scenario) -> None:
    made = postmortem(collected(shop), max_lanes=3)
    assert len(made.timeline.lanes) == 3
    assert made.timeline.omitted == 2


def test_tasks_to_which_nothing_happens_are_shown_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_collector, "MAX_IDLE", 2)
    s = Scenario()
    s.holds("A", "T", "U", "V")
    s.given("B", "register")
    made = found(s, first=len(s.log))
    assert sum(lane.kind == "task" for lane in made.timeline.lanes) == 2
    assert made.timeline.omitted == 1


# What the rules said


def test_what_was_held_when_the_range_begins_has_its_verdict(shop: Scenario) -> None:
    shop.at(100).given("A", "complete", task_id="T", token=shop.token("T"))
    told = [(each.task_id, each.status) for each in found(shop, first=len(shop.log)).explanations]
    assert sorted(told) == [("T", "assigned"), ("T", "completed"), ("U", "assigned"), ("V", "assigned")]


def test_at_each_event_the_rules_say_what_is_to_come() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    for at in (100, 200, 300):
        s.at(at).given("A", "progress", task_id="T", token=token, percent=5)
    told = found(s).explanations[-1]
    assert (told.task_id, told.status, told.position) == ("T", "in_progress", len(s.log))
    said = [(None if each.at is None else s.seconds_until(each.at), each.what) for each in told.next]
    assert (540.0, "the lease expires, unless the holder is heard") in said
    assert (600.0, "its grace ends") in said
    assert any(at == 800.0 and "median report interval is 1m 40s, times 5" in what for at, what in said)


def test_an_outage_changes_what_the_rules_say_of_every_held_task() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.at(230).asks(Rearm("the connection was gone", 100.0), actor="writer")
    last = found(s).explanations[-1]
    assert last.task_id == "T"
    assert any("because the pool could not hear its agents" in each.what for each in last.next)
