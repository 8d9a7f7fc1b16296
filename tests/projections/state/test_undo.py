"""What the log refuses is taken back whole, and what it acknowledged stands, whatever was decided after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.commands.service_commands import ExecuteSteal
from domain.decision import Decision
from domain.lifecycles import AgentStatus, StealStatus, TaskStatus
from domain.recorded import Recorded
from domain.request import Request
from tests.support.scenario import OPS, Scenario


def tentatively(s: Scenario, *requests: Request) -> tuple[list[Recorded], int]:
    """Decide and apply; return the events and how many entities were replaced."""
    records: list[Recorded] = []
    changes = 0
    for request in requests:
        decision: Decision = s.decide(request)
        assert decision.refusal is None, decision.refusal
        s.state.apply(decision)
        records += decision.records
        changes += len(decision.after)
    return records, changes


def held(s: Scenario) -> Scenario:
    s.holds("A", "T", "T2", capacity=5)
    s.given("B", "register", capacity=5)
    return s


COMMANDS: dict[str, Callable[[Scenario], Request]] = {
    "a new task": lambda s: s.request(OPS, "submit", task_id="new"),
    "a new agent": lambda s: s.request("new", "register"),
    "an update of an agent": lambda s: s.request("A", "register", capacity=2, capabilities=["gpu"]),
    "an agent's leaving": lambda s: s.request("A", "deregister"),
    "a completion": lambda s: s.request("A", "complete", task_id="T", token=s.token("T")),
    "a release": lambda s: s.request("A", "release", task_id="T", token=s.token("T")),
    "a report": lambda s: s.request("A", "progress", task_id="T", token=s.token("T"), percent=5),
    "a steal's plan": lambda s: s.request(OPS, "steal", from_="A", to="B", task_ids=["T"]),
    "a pause": lambda s: s.request(OPS, "pause"),
    "a pause of an agent": lambda s: s.request(OPS, "pause", agent_id="B"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_undone(command: str) -> None:
    s = held(Scenario())
    before = dict(s.state.entities())
    tentatively(s, COMMANDS[command](s))
    assert s.state.position > s.state.committed_position

    s.state.undo()

    assert s.state.position == s.state.committed_position
    assert dict(s.state.entities()) == before
    s.check()


def test_several_changes_of_one_entity_are_undone_to_the_first() -> None:
    s = held(Scenario())
    before = s.task("T")
    token = s.token("T")
    tentatively(s, s.request("A", "start", task_id="T", token=token))
    tentatively(s, s.request("A", "progress", task_id="T", token=token, percent=5))
    tentatively(s, s.request("A", "complete", task_id="T", token=token))

    s.state.undo()

    assert s.task("T") is before
    s.check()


def test_a_refused_return_of_an_agent_leaves_it_gone() -> None:
    s = held(Scenario())
    s.given("B", "deregister")
    tentatively(s, s.request("B", "register"))
    assert s.agent("B").status is AgentStatus.LIVE

    s.state.undo()

    assert s.agent("B").status is AgentStatus.DEREGISTERED
    assert "B" not in s.state.agents
    s.check()


@pytest.mark.parametrize("accepted", [True, False], ids=["the second too", "the second is refused"])
def test_a_batch_is_final_while_the_next_one_is_tentative(*, accepted: bool) -> None:
    s = held(Scenario())
    token = s.token("T")
    records, changes = tentatively(s, s.request("A", "start", task_id="T", token=token))
    more, _ = tentatively(s, s.request("A", "complete", task_id="T", token=token), s.request("B", "deregister"))

    s.store(records, changes=changes)
    assert s.state.committed_position == records[-1].position
    if accepted:
        s.store(more)
    else:
        s.state.undo()
        s.check()

    assert s.task("T").status is (TaskStatus.COMPLETED if accepted else TaskStatus.IN_PROGRESS)


def test_a_steal_whose_execution_is_refused_is_still_planned() -> None:
    s = held(Scenario())
    planned = s.decide(s.request(OPS, "steal", from_="A", to="B", task_ids=["T"]))
    s.state.apply(planned)
    operation_id = planned.records[0].entity_id
    tentatively(s, Request(ExecuteSteal(operation_id), "ops", "c"))

    s.store(planned.records, changes=len(planned.after))
    s.state.undo()

    steal = s.state.steal(operation_id)
    assert steal is not None
    assert steal.status is StealStatus.PLANNED
    s.check()
