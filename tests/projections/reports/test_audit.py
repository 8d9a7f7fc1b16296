"""Rows of an audit, and which events concern an agent."""

import json

import pytest

from domain.events import EVENT_TYPES, Entity
from domain.recorded import Recorded
from domain.rules import Rules
from infra.codec import CloudEventsCodec
from projections.reports.audit_filter import LEARNED_SUBJECTS, AgentFilter, actor_matches, subject_filter
from projections.reports.audit_rows import Rows
from projections.state.pool_state import PoolState
from tests.docs.events_of_every_type import messages
from tests.support.memory_log import matches
from tests.support.scenario import OPS, Scenario

FIXED = {"mode": "fixed", "lease_s": 60, "grace_s": 1}


def every_event() -> list[Recorded]:
    stored = messages()
    codec = CloudEventsCodec(stored[0].subject.split(".")[1])
    return [codec.decode(message) for message in stored]


def test_every_event_has_a_row() -> None:
    rows = Rows().of(every_event())
    every = {f"{kind.entity}.{kind.name}" for kind in EVENT_TYPES.values()}
    assert every - {f"{each.entity}.{each.event}" for each in rows} <= {"pool.expiry_held", "pool.expiry_resumed"}
    expired = next(each for each in rows if each.event == "expired")
    assert (expired.agent, expired.actor) == ("a1", "sweeper")
    assert json.loads(expired.numbers)["silence_s"] > 60
    planned = next(each for each in rows if each.event == "planned")
    assert {"source_tasks", "target_tasks"} <= json.loads(planned.numbers).keys()


@pytest.fixture
def two_agents() -> Scenario:
    s = Scenario()
    s.given("B", "register", capacity=10)
    s.holds("A", "mine", "moves")
    s.holds("B", "other")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["moves"])
    s.given("B", "start", task_id="moves", token=s.token("moves"))
    s.given(OPS, "submit", task_id="silent", lease=FIXED)
    s.given(OPS, "assign", task_id="silent", agent_id="A")
    s.wait(100).sweep()
    s.given(OPS, "assign", task_id="silent", agent_id="B")
    s.given("B", "complete", task_id="silent", token=s.token("silent"))
    return s


def concerning(records: list[Recorded], agent_id: str) -> list[str]:
    agent_filter = AgentFilter(agent_id)
    return [f"{each.entity_id} {each.name}" for each in records if agent_filter.includes(each)]


def test_an_agents_events_are_its_own_and_those_under_its_leases(two_agents: Scenario) -> None:
    found = concerning(two_agents.log, "A")
    operation = next(each.entity_id for each in two_agents.log if each.name == "planned")
    assert found == [
        "A registered", "mine leased", "moves leased", f"{operation} planned", f"{operation} executing",
        "moves stolen", f"{operation} completed", "silent leased", "silent expired", "silent requeued",
    ]  # fmt: skip


def test_a_filter_that_learned_the_grants_finds_the_same_in_any_part(two_agents: Scenario) -> None:
    codec = two_agents.codec
    for agent_id in "AB":
        whole = concerning(two_agents.log, agent_id)
        found: list[str] = []
        for recorded in two_agents.log:
            agent_filter = AgentFilter(agent_id)
            for subject in LEARNED_SUBJECTS:
                for each in two_agents.log:
                    if matches(f"custody.default.evt.{subject}", codec.encode([each], None)[0][0].subject):
                        agent_filter.learn(each)
            if agent_filter.includes(recorded):
                found.append(f"{recorded.entity_id} {recorded.name}")
        assert found == whole


def test_a_filter_that_begins_with_what_was_held_finds_the_same_from_there_on(two_agents: Scenario) -> None:
    for agent_id in "AB":
        everything = AgentFilter(agent_id)
        found = [everything.includes(each) for each in two_agents.log]
        state = PoolState("default", Rules())
        for position, recorded in enumerate(two_agents.log):
            agent_filter = AgentFilter(agent_id)
            agent_filter.start_from(state)
            assert [agent_filter.includes(each) for each in two_agents.log[position:]] == found[position:]
            state.fold(recorded)


def test_a_filter_forgets_leases_that_ended(two_agents: Scenario) -> None:
    s, agent_filter = two_agents, AgentFilter("B")
    for task_id in ("other", "moves"):
        s.given("B", "complete", task_id=task_id, token=s.token(task_id))
    for recorded in s.log:
        agent_filter.includes(recorded)
    remembered = agent_filter._tokens, agent_filter._operations  # noqa: SLF001 - memory shows nowhere else
    assert remembered == (set(), set())


def test_an_actor_is_named_wholly_or_by_its_kind() -> None:
    assert actor_matches("agent/a1", "agent/a1")
    assert actor_matches("ops/alice", "ops")
    assert actor_matches("ops", "ops")
    assert not actor_matches("agent/a12", "agent/a1")
    assert not actor_matches("ops", "ops/alice")


@pytest.mark.parametrize(
    ("wanted", "subjects"),
    [
        ({}, None),
        ({"entity": Entity.TASK}, "p.task.*.*"),
        ({"entity": Entity.TASK, "entity_id": "T"}, "p.task.T.*"),
        ({"event": "leased"}, "p.task.*.leased"),
        ({"event": "completed"}, "p.*.*.completed"),
        ({"event": "completed", "entity": Entity.STEAL}, "p.steal.*.completed"),
    ],
)
def test_the_broker_is_asked_for_no_more_than_needed(wanted: dict[str, str], subjects: str | None) -> None:
    assert subject_filter("p.", **wanted) == subjects  # type: ignore[arg-type] # each case has its own keywords
