"""Answers that say what the log says pass, whenever they are given; any other is named with its entity."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pydantic_core
import pytest
from msgspec.structs import replace

from domain.timestamps import after
from projections.queries import pool_copy
from projections.queries.answers import answer
from projections.queries.pool_copy import PoolCopy
from projections.queries.questions import BacklogQuery
from projections.queries.statistics_view import statistics_document
from projections.reports.agreement import LISTED_VIEWS, backlog_differences, page_differences, statistics_differences
from projections.state.statistics import Statistics
from tests.domain.situations import SITUATIONS
from tests.support.scenario import OPS, Scenario


def copy_of(s: Scenario, *, late_s: float = 0.0, live: bool = True) -> PoolCopy:
    """The live state as it answers, or the fold of its log."""
    counts = Statistics()
    for recorded in s.log:
        counts.observe([recorded])
    now = s.now + timedelta(seconds=late_s)
    return pool_copy.copy_of(s.state if live else s.shadow, now, counts.totals(), lambda _: now if live else None)


def told(view: str, said: PoolCopy, **page: Any) -> dict[str, Any]:
    """An answer as it comes over the wire."""
    result: dict[str, Any] = json.loads(pydantic_core.to_json(answer(LISTED_VIEWS[view].query(**page), said)))
    return result


def differences(said: PoolCopy, log: PoolCopy) -> list[str]:
    """What is found when every view is asked, in pages of two."""
    found: list[str] = []
    for view in LISTED_VIEWS:
        after = None
        while True:
            page = told(view, said, limit=2, after=after)
            found += page_differences(view, page, after, log)
            after = page["next"]
            if after is None:
                break
    backlog = json.loads(pydantic_core.to_json(answer(BacklogQuery(), said)))
    counts = json.loads(pydantic_core.to_json(statistics_document(said)))
    return [*found, *backlog_differences(backlog, log), *statistics_differences(counts, log)]


@pytest.mark.parametrize("how", SITUATIONS)
def test_an_honest_service_agrees_with_its_log(how: str) -> None:
    s = Scenario()
    SITUATIONS[how][1](s)
    s.holds("C", *(f"t{number}" for number in range(5)))
    for number in range(5):
        s.given(OPS, "submit", task_id=f"q{number}", priority=("low", "critical")[number % 2])
    s.given(OPS, "steal", from_="C", to="B", count=2)
    assert differences(copy_of(s), copy_of(s, live=False)) == []
    assert differences(copy_of(s, late_s=7_000.0), copy_of(s, live=False)) == []


@pytest.fixture
def s() -> Scenario:
    s = Scenario()
    s.holds("A", "T", "U")
    s.given(OPS, "submit", task_id="V")
    s.given(OPS, "submit", task_id="W")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["U"])
    return s


def test_a_task_that_differs_is_named_with_what_differs(s: Scenario) -> None:
    said = copy_of(s)
    task = said.tasks["T"]
    assert task.lease is not None
    lied = said._replace(tasks={**said.tasks, "T": replace(task, lease=replace(task.lease, percent=99))})
    assert differences(lied, copy_of(s, live=False)) == [
        "task T: the service says percent 99, and the log makes it 0",
        "lease of T: the service says percent 99, and the log makes it 0",
        (
            'agent A: the service says holds [{"task_id": "T", "percent": 99}], '
            'and the log makes it [{"task_id": "T", "percent": 0}]'
        ),
    ]


def test_a_task_that_is_not_shown_is_named(s: Scenario) -> None:
    said = copy_of(s)
    lied = said._replace(tasks={name: each for name, each in said.tasks.items() if name != "V"})
    found = differences(lied, copy_of(s, live=False))
    assert found[0] == "task V: the service does not show it"
    assert "backlog: the service says queued 1, and the log makes it 2" in found
    assert "backlog: the service has W in place 1, and the log V" in found
    assert "statistics: the service says tasks.queued 1, and the log makes it 2" in found


def test_what_depends_on_the_services_clock_is_no_difference(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="later", priority="critical", delay_s=60)
    log = copy_of(s, live=False)
    for aging_s in (0.0, 5.0):
        said = copy_of(s)._replace(now=after(s.now, 61), aging_s=aging_s)
        assert differences(said, log._replace(aging_s=aging_s)) == []


def test_a_load_that_has_grown_old_since_the_last_event_is_no_difference(s: Scenario) -> None:
    s.given("A", "heartbeat", load={"cpu": 95.0})
    late_s = s.rules.load_valid_s + 1
    assert copy_of(s).loads_since != copy_of(s, late_s=late_s).loads_since
    assert differences(copy_of(s, late_s=late_s), copy_of(s, live=False)) == []


def test_what_the_log_does_not_have_is_named(s: Scenario) -> None:
    said = copy_of(s)
    lied = said._replace(
        agents={**said.agents, "Z": replace(said.agents["A"], agent_id="Z")},
        held={**said.held, "Z": 0, "A": 4},
        heard={**said.heard, "Z": None},
    )
    assert differences(lied, copy_of(s, live=False)) == [
        "agent A: the service says tasks 4, and the log makes it 1",
        "agent Z: the log makes none, and the service shows it",
        "workload of A: the service says room 96, and the log makes it 99",
        "workload of Z: the log makes none, and the service shows it",
        "statistics: the service says agents 3, and the log makes it 2",
    ]


def test_a_task_that_ended_may_be_forgotten_but_not_revived(s: Scenario) -> None:
    before = copy_of(s).tasks["T"]
    s.given("A", "complete", task_id="T", token=s.token("T"))
    log = copy_of(s, live=False)
    forgetful = copy_of(s)._replace(recent={})
    assert differences(forgetful, log) == []
    revived = forgetful._replace(tasks={**forgetful.tasks, "T": before})
    assert "task T: the log makes none, and the service shows it" in differences(revived, log._replace(recent={}))
    assert 'task T: the service says agent_id "A", and the log makes it nothing' in differences(revived, log)
