"""Actors are named one way, and read back the same way."""

import pytest

from domain.actors import STEALER, SWEEPER, WRITER, acting_agent, agent_actor, operator_actor


def test_an_agents_actor_names_the_agent() -> None:
    assert agent_actor("a1") == "agent/a1"
    assert acting_agent(agent_actor("a1")) == "a1"


@pytest.mark.parametrize("actor", [SWEEPER, STEALER, WRITER, operator_actor(), operator_actor("agent/a1"), "agent"])
def test_nothing_else_is_an_agent(actor: str) -> None:
    assert acting_agent(actor) is None


def test_an_operators_actor_has_the_name_that_was_given() -> None:
    assert (operator_actor(), operator_actor("ann")) == ("ops", "ops/ann")
