"""When several errors apply, the caller is told the first of the contract's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import RefusalCode
from tests.support.scenario import OPS, Scenario, Step

Case = Callable[[Scenario], Step]


def finished(s: Scenario, task_id: str = "done") -> int:
    """Given a task that A once held and that has ended; return A's token."""
    token = s.holds("A", task_id)
    s.given(OPS, "cancel", task_id=task_id)
    return token


def ops(verb: str, **body: Any) -> Case:
    return lambda s: s.when(OPS, verb, **body)


def unknown_agent_on_an_unknown_task(s: Scenario) -> Step:
    return s.when("X", "start", task_id="X", token=1)


def unknown_agent_with_a_stale_token(s: Scenario) -> Step:
    s.holds("A", "T")
    return s.when("X", "start", task_id="T", token=1)


def unknown_agent_for_an_assignment(s: Scenario) -> Step:
    finished(s)
    return s.when(OPS, "assign", task_id="done", agent_id="X")


def stale_token_on_a_finished_task(s: Scenario) -> Step:
    finished(s)
    return s.when("A", "start", task_id="done", token=1)


def stale_token_of_another_agent(s: Scenario) -> Step:
    s.holds("A", "T")
    s.given("B", "register")
    return s.when("B", "start", task_id="T", token=1)


def current_token_of_another_agent_in_a_paused_pool(s: Scenario) -> Step:
    token = s.holds("A", "T")
    s.given("B", "register")
    s.given(OPS, "pause")
    return s.when("B", "start", task_id="T", token=token)


def assigned_already_in_a_paused_pool(s: Scenario) -> Step:
    s.holds("A", "T", capacity=1)
    s.given(OPS, "pause")
    return s.when(OPS, "assign", task_id="T", agent_id="A")


def paused_and_full(s: Scenario) -> Step:
    s.holds("A", "T", capacity=1)
    s.given(OPS, "pause", agent_id="A")
    return s.when("A", "claim")


def paused_pool_and_full(s: Scenario) -> Step:
    s.holds("A", "T", capacity=1)
    s.given(OPS, "drain")
    return s.when("A", "claim")


def steal_of_an_unknown_task_beside_a_finished_one(s: Scenario) -> Step:
    finished(s)
    s.given("B", "register")
    return s.when(OPS, "steal", from_="A", to="B", task_ids=["done", "X"])


def steal_of_a_finished_task_beside_one_in_progress(s: Scenario) -> Step:
    finished(s)
    token = s.holds("A", "T")
    s.given("A", "start", task_id="T", token=token)
    s.given("B", "register")
    return s.when(OPS, "steal", from_="A", to="B", task_ids=["T", "done"])


def steal_of_one_in_progress_for_a_paused_agent(s: Scenario) -> Step:
    token = s.holds("A", "T")
    s.given("A", "start", task_id="T", token=token)
    s.given("B", "register")
    s.given(OPS, "pause", agent_id="B")
    return s.when(OPS, "steal", from_="A", to="B", task_ids=["T"])


def steal_for_a_paused_agent_that_is_full(s: Scenario) -> Step:
    s.holds("A", "T")
    s.holds("B", "T2", capacity=1)
    s.given(OPS, "pause", agent_id="B")
    return s.when(OPS, "steal", from_="A", to="B", task_ids=["T"])


def another_definition_of_a_finished_task(s: Scenario) -> Step:
    finished(s)
    return s.when(OPS, "submit", task_id="done", title="another")


def stale_session_on_an_unknown_task(s: Scenario) -> Step:
    s.given("A", "register", session="s1")
    return s.when("A", "start", session="s2", task_id="X", token=1)


def stale_session_with_a_stale_token(s: Scenario) -> Step:
    s.holds("A", "T")
    return s.when("A", "start", session="s2", task_id="T", token=1)


def stale_session_in_a_paused_pool(s: Scenario) -> Step:
    s.given("A", "register", session="s1")
    s.given(OPS, "pause")
    return s.when("A", "claim", session="s2")


CASES: list[tuple[Case, str, str]] = [
    (unknown_agent_on_an_unknown_task, "unknown_agent", "unknown_task"),
    (unknown_agent_with_a_stale_token, "unknown_agent", "stale_token"),
    (unknown_agent_for_an_assignment, "unknown_agent", "task_finished"),
    (ops("assign", task_id="X", agent_id="X"), "unknown_agent", "unknown_task"),
    (lambda s: s.when("X", "claim", session="s1"), "unknown_agent", "stale_session"),
    (stale_session_on_an_unknown_task, "stale_session", "unknown_task"),
    (stale_session_with_a_stale_token, "stale_session", "stale_token"),
    (stale_session_in_a_paused_pool, "stale_session", "paused"),
    (ops("steal", from_="X", to="Y", task_ids=["X"]), "unknown_agent", "unknown_task"),
    (steal_of_an_unknown_task_beside_a_finished_one, "unknown_task", "task_finished"),
    (another_definition_of_a_finished_task, "task_exists", "task_finished"),
    (stale_token_on_a_finished_task, "task_finished", "stale_token"),
    (steal_of_a_finished_task_beside_one_in_progress, "task_finished", "illegal_transition"),
    (stale_token_of_another_agent, "stale_token", "not_holder"),
    (current_token_of_another_agent_in_a_paused_pool, "not_holder", "paused"),
    (assigned_already_in_a_paused_pool, "illegal_transition", "paused"),
    (steal_of_one_in_progress_for_a_paused_agent, "illegal_transition", "paused"),
    (paused_and_full, "paused", "at_capacity"),
    (paused_pool_and_full, "paused", "at_capacity"),
    (steal_for_a_paused_agent_that_is_full, "paused", "at_capacity"),
]


@pytest.mark.parametrize(
    ("case", "first", "second"),
    CASES,
    ids=[f"{first} before {second} {n}" for n, (_, first, second) in enumerate(CASES)],
)
def test_order(case: Case, first: str, second: str) -> None:
    codes = [code.value for code in RefusalCode]
    assert codes.index(first) < codes.index(second)

    case(Scenario()).refused(first)


def test_the_codes_are_in_the_contracts_order_with_its_numbers() -> None:
    assert [(code.value, code.number) for code in RefusalCode] == [
        ("invalid_command", 400),
        ("command_conflict", 409),
        ("unknown_agent", 404),
        ("stale_session", 409),
        ("unknown_task", 404),
        ("task_exists", 409),
        ("task_finished", 409),
        ("stale_token", 409),
        ("not_holder", 403),
        ("illegal_transition", 409),
        ("paused", 503),
        ("at_capacity", 409),
        ("overloaded", 503),
        ("not_writer", 503),
        ("unavailable", 503),
    ]
