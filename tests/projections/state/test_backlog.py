"""The backlog at a moment is what a look at every queued task says, however it came to its state."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.agent import Agent
from domain.lifecycles import AgentStatus, TaskStatus
from domain.policies.load_balancing import StealConfig
from domain.rules import Rules
from domain.task import Task
from projections.state.backlog import Backlog, is_delayed, listing_order, queue_order
from projections.state.workloads import Workloads
from tests.projections.queries.test_views import definitions
from tests.support.scenario import OPS, START, Scenario

moments = st.integers(0, 100).map(lambda seconds: START + timedelta(seconds=seconds))
ABLE_TO_ALL = frozenset({"gpu", "web", "db"})


@st.composite
def queued_tasks(draw: st.DrawFn, task_id: str) -> Task:
    since = draw(moments)
    number = int(task_id)
    return Task(
        task_id=task_id,
        version=1,
        position=number,
        definition=draw(definitions),
        submitted_at=since,
        status=draw(st.sampled_from([TaskStatus.QUEUED] * 3 + [TaskStatus.BLOCKED])),
        attempt=1,
        queued_position=number,
        status_since=since,
        submitted_position=number,
        not_before=draw(st.none() | moments),
        avoids=(avoids := draw(st.none() | st.sampled_from("AB"))),
        avoids_until=draw(moments) if avoids is not None else None,
    )


changes = st.lists(
    st.one_of(
        moments.map(lambda moment: ("", None, moment)),
        st.sampled_from("123456").flatmap(
            lambda task_id: st.tuples(st.just(task_id), st.none() | queued_tasks(task_id), st.just(START))
        ),
    ),
    max_size=30,
)
"""A task replaced by another state or taken out, or a move to a moment."""


def seen(backlog: Backlog, workloads: Workloads) -> dict[str, object]:
    agents = [Agent(name, 1, 1, 1, AgentStatus.LIVE, capabilities=ABLE_TO_ALL) for name in "ABC"]
    return {
        "size": len(backlog),
        "counts": {required: backlog.count(required) for required in backlog.kinds()},
        "avoided": {required: backlog.avoided_by_all(required) for required in backlog.kinds()},
        "heads": {required: backlog.first_of(required) for required in backlog.kinds()},
        "first": [backlog.first(agent, limit, workloads) for agent in agents for limit in (1, 3, 9)],
    }


@settings(deadline=None, max_examples=200)
@given(history=changes, aging_s=st.sampled_from([0.0, 7.0]))
def test_it_follows_every_change_and_every_moment(
    history: list[tuple[str, Task | None, datetime]], aging_s: float
) -> None:
    workloads = Workloads(StealConfig())
    for name in "AC":
        workloads.replace_agent(name, None, Agent(name, 1, 1, 1, AgentStatus.LIVE, capabilities=ABLE_TO_ALL))
    backlog, now = Backlog(aging_s), dict[str, Task]()
    for task_id, task, moment in history:
        if not task_id:
            backlog.advance(moment)
            continue
        before = now.pop(task_id, None)
        shown = seen(backlog, workloads)
        backlog.replace(before, task)
        backlog.replace(task, before)
        assert seen(backlog, workloads) == shown, "an undo is exact"
        backlog.replace(before, task)
        if task is not None:
            now[task_id] = task

        anew = Backlog(aging_s)
        anew.advance(backlog.as_of)
        for each in now.values():
            anew.replace(None, each)
        assert seen(anew, workloads) == seen(backlog, workloads)
        ready = [
            each for each in now.values() if each.status is TaskStatus.QUEUED and not is_delayed(each, backlog.as_of)
        ]
        ready.sort(key=lambda each: queue_order(each, backlog.as_of, aging_s))
        listed = sorted(
            (listing_order(each, backlog.as_of, aging_s), each.task_id)
            for each in now.values()
            if each.status is TaskStatus.QUEUED
        )
        assert list(backlog.listing(())) == listed
        for place in [*(place for place, _ in listed), (0, -1.5), (0.5,), (1,), (1, 2, 3, 4, 5)]:
            assert list(backlog.listing(place)) == [each for each in listed if each[0] > place]
        other = Agent("C", 1, 1, 1, AgentStatus.LIVE, capabilities=ABLE_TO_ALL)
        assert backlog.first(other, 99, workloads) == [each.task_id for each in ready]


def test_a_task_that_waits_for_long_goes_before_more_urgent_ones_that_came_later() -> None:
    s = Scenario(Rules(priority_aging_s=100.0))
    s.given("A", "register", capacity=9)
    s.given(OPS, "submit", task_id="low", priority="low")
    s.at(99).given(OPS, "submit", task_id="medium")
    assert [each.task_id for each in s.state.queued_for(s.agent("A"), 9, s.now)] == ["medium", "low"]
    s.at(100).check()
    assert [each.task_id for each in s.state.queued_for(s.agent("A"), 9, s.now)] == ["low", "medium"]
    s.at(190).given(OPS, "submit", task_id="high", priority="high")
    assert [each.task_id for each in s.state.queued_for(s.agent("A"), 9, s.now)] == ["high", "low", "medium"]
    s.at(200)
    assert [each.task_id for each in s.state.queued_for(s.agent("A"), 9, s.now)] == ["low", "medium", "high"]
    s.check()


def test_a_delay_is_no_wait_and_what_comes_back_begins_anew() -> None:
    s = Scenario(Rules(priority_aging_s=100.0))
    s.given("A", "register", capacity=9)
    s.given(OPS, "submit", task_id="later", priority="low", delay_s=90)
    s.given(OPS, "submit", task_id="back", priority="low")
    s.given(OPS, "assign", task_id="back", agent_id="A")
    s.at(150).given("A", "release", task_id="back", token=s.token("back"))
    s.given(OPS, "submit", task_id="medium")
    assert [each.task_id for each in s.state.queued_for(s.agent("A"), 9, s.now)] == ["medium", "later", "back"]
    s.at(190)
    assert [each.task_id for each in s.state.queued_for(s.agent("A"), 9, s.now)] == ["later", "medium", "back"]
    s.at(260)
    assert [each.task_id for each in s.state.queued_for(s.agent("A"), 1, s.now)] == ["medium"]


def test_an_entity_is_placed_by_its_state_alone() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", delay_s=50)
    task = s.task("T")
    s.state.indexes.backlog.replace(task, replace(task, not_before=None))
    assert s.state.indexes.backlog.count(frozenset()) == 1
