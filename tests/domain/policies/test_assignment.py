"""Which agent suits a task, and how long tasks take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policies.load_balancing import Candidate, assignment_score, average_duration_s, best_agent

GPU = frozenset({"gpu"})
NOTHING: frozenset[str] = frozenset()
CAPABILITIES = st.frozensets(st.sampled_from(["gpu", "web", "db"]))
CANDIDATES = st.lists(
    st.builds(Candidate, agent_id=st.text(max_size=3), tasks=st.integers(0, 20), capabilities=CAPABILITIES), max_size=6
)


@pytest.mark.parametrize(
    ("required", "candidates", "expect"),
    [
        pytest.param(NOTHING, [], None, id="nobody"),
        pytest.param(NOTHING, [Candidate("a", 9, NOTHING)], "a", id="any agent will do if nothing is required"),
        pytest.param(NOTHING, [Candidate("a", 2, NOTHING), Candidate("b", 1, NOTHING)], "b", id="fewer tasks win"),
        pytest.param(GPU, [Candidate("a", 0, NOTHING), Candidate("b", 9, GPU)], "b", id="all capabilities are needed"),
        pytest.param(GPU, [Candidate("a", 0, frozenset({"web"}))], None, id="nobody is able"),
        pytest.param(GPU, [Candidate("a", 0, GPU, available=False)], None, id="nobody is available"),
        pytest.param(GPU, [Candidate("a", 3, GPU), Candidate("b", 3, GPU | {"web"})], "a", id="the first wins ties"),
    ],
)
def test_best_agent(required: frozenset[str], candidates: list[Candidate], expect: str | None) -> None:
    assert best_agent(required, candidates) == expect


@pytest.mark.parametrize(
    ("required", "tasks", "expect"),
    [
        pytest.param(GPU, 0, 0.6 + 0.4, id="idle and able: 1"),
        pytest.param(GPU, 2, 0.2 + 0.4, id="0.6 over tasks + 1"),
        pytest.param(GPU | {"db"}, 0, 0.6 + 0.2, id="0.4 x the share it has"),
        pytest.param(NOTHING, 0, 0.6 + 0.4, id="nothing required: it has all of it"),
    ],
)
def test_assignment_score(required: frozenset[str], tasks: int, expect: float) -> None:
    assert assignment_score(required, Candidate("a", tasks, GPU)) == pytest.approx(expect)


@given(required=CAPABILITIES, candidates=CANDIDATES)
def test_the_best_agent_is_able_and_none_able_has_fewer_tasks(
    required: frozenset[str], candidates: list[Candidate]
) -> None:
    able = [candidate for candidate in candidates if required <= candidate.capabilities]
    fewest = min((candidate.tasks for candidate in able), default=None)
    first = next((candidate.agent_id for candidate in able if candidate.tasks == fewest), None)
    assert best_agent(required, candidates) == first


@pytest.mark.parametrize(
    ("durations_s", "expect"),
    [
        pytest.param([], None, id="none yet: unknown"),
        pytest.param([3.0], 3.0, id="one"),
        pytest.param([1.0, 2.0, 6.0], 3.0, id="the mean"),
        pytest.param([1000.0] + [2.0] * 50, 2.0, id="only the last 50 count"),
    ],
)
def test_average_duration(durations_s: list[float], expect: float | None) -> None:
    assert average_duration_s(durations_s) == expect
