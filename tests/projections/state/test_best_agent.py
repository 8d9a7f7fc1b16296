"""Which agent suits a task: the one with every required capability and the fewest tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policies.load_balancing import Load
from tests.support.steal_passes import pool_of

GPU = frozenset({"gpu"})
NOTHING: frozenset[str] = frozenset()
CAPABILITIES = st.frozensets(st.sampled_from(["gpu", "web", "db"]))


def agent(agent_id: str, tasks: int, capabilities: frozenset[str] = NOTHING) -> Load:
    return Load(agent_id, tasks, capabilities=capabilities)


@pytest.mark.parametrize(
    ("required", "agents", "expect"),
    [
        pytest.param(NOTHING, [], None, id="no agent"),
        pytest.param(NOTHING, [agent("a", 9)], "a", id="any agent will do if nothing is required"),
        pytest.param(NOTHING, [agent("a", 2), agent("b", 1)], "b", id="fewer tasks win"),
        pytest.param(GPU, [agent("a", 0), agent("b", 9, GPU)], "b", id="all capabilities are needed"),
        pytest.param(GPU, [agent("a", 0, frozenset({"web"}))], None, id="none is able"),
        pytest.param(GPU, [agent("paused", 0, GPU)], None, id="none is available"),
        pytest.param(GPU, [agent("a", 3, GPU), agent("b", 3, GPU | {"web"})], "a", id="the first wins ties"),
    ],
)
def test_best_agent(required: frozenset[str], agents: list[Load], expect: str | None) -> None:
    assert pool_of(agents, paused={"paused"}).best_agent(required) == expect


@given(required=CAPABILITIES, of_agents=st.lists(st.tuples(st.integers(0, 9), CAPABILITIES), max_size=6))
def test_the_best_agent_is_able_and_none_able_has_fewer_tasks(
    required: frozenset[str], of_agents: list[tuple[int, frozenset[str]]]
) -> None:
    agents = [agent(f"a{number}", *each) for number, each in enumerate(of_agents)]
    able = [each for each in agents if required <= each.capabilities]
    fewest = min((each.tasks for each in able), default=None)
    first = next((each.agent_id for each in able if each.tasks == fewest), None)
    assert pool_of(agents).best_agent(required) == first
