"""A pass of the stealer makes exactly the moves that the policy plans, which the conformance vectors prove."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.actors import STEALER
from domain.agent import Agent
from domain.decisions.dispatch import decide
from domain.draft import Request
from domain.events import Entity
from domain.events import task as ev
from domain.lifecycles import AgentStatus, TaskStatus
from domain.policies.lease import LeasePolicy
from domain.policies.load_balancing import Load, Move, StealConfig, plan
from domain.pool import Pool
from domain.rules import Rules
from domain.task import Lease, Task
from domain.values import Budgets
from projections.state.pool_state import PoolState
from projections.state.steal_pass import move_from, sources

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
DEFINITION = ev.Submitted(request_digest="d", lease=LeasePolicy(), budgets=Budgets(steals=1000, attempts=1000))

configs = st.builds(
    StealConfig,
    steal_threshold=st.integers(0, 4),
    max_steal_batch=st.integers(1, 12),
    min_tasks_to_steal=st.integers(0, 9),
    cooldown_s=st.just(0.0),
)
capabilities = st.frozensets(st.sampled_from(["gpu", "web", "git"]))


@st.composite
def fleets(draw: st.DrawFn) -> list[Load]:
    count = draw(st.integers(0, 6) | st.integers(3, 6))
    fleet = []
    for number in range(count):
        tasks = draw(st.integers(0, 2) | st.integers(9, 14))
        fleet.append(
            Load(
                agent_id=f"a{number}",
                tasks=tasks,
                cpu=draw(st.sampled_from([0.0, 29.9, 50.0, 81.0])),
                capabilities=draw(capabilities),
                priority=draw(st.sampled_from([0.0, 1.0, 5.0])),
                capacity=tasks + draw(st.integers(0, 10)) or 1,
            )
        )
    return fleet


def state_of(fleet: list[Load], rules: Rules) -> PoolState:
    """Return a pool in which these agents were registered in this order and hold so many assigned tasks."""
    agents = [
        Agent(
            each.agent_id, 1, number, number, AgentStatus.LIVE, capabilities=each.capabilities, priority=each.priority,
            capacity=each.capacity or 1, cpu=each.cpu, last_recorded_at=NOW,
        )
        for number, each in enumerate(fleet, 1)
    ]  # fmt: skip
    holders = [each.agent_id for each in fleet for _ in range(each.tasks)]
    tasks = [
        Task(
            f"T{token}", 2, token, DEFINITION, NOW, TaskStatus.ASSIGNED, 1, 1, NOW,
            lease=Lease(token, holder, 1, NOW, 240.0, 60.0, NOW),
        )
        for token, holder in enumerate(holders, len(fleet) + 1)
    ]  # fmt: skip
    position = len(agents) + len(tasks)
    return PoolState.restored(
        Pool("p", position=position),
        rules,
        live={
            **{(Entity.AGENT, agent.agent_id): agent for agent in agents},
            **{(Entity.TASK, task.task_id): task for task in tasks},
        },
        recent={},
        committed=(position, NOW),
        evicted_through=0,
        ended_through=0,
    )


@settings(deadline=None)
@given(config=configs, fleet=fleets())
def test_a_pass_makes_the_moves_that_the_policy_plans(config: StealConfig, fleet: list[Load]) -> None:
    rules = Rules(steal=config)
    state = state_of(fleet, rules)
    moves = []
    for number, source in enumerate(sources(state, config, NOW)):
        command = move_from(state, config, source, f"s{number}", NOW)
        if command is None:
            continue
        held = state.tasks_held(command.target)
        request: Request | None = Request(command, STEALER, "c")
        while request is not None:
            decision = decide(state, request, NOW, rules)
            state.apply(decision)
            state.commit()
            request = decision.follow_up
        moves.append(Move(command.source, command.target, state.tasks_held(command.target) - held))
    assert moves == plan(config, fleet)
