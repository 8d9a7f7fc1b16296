"""Pools with a given load, and what the stealer and the choice of an agent make of them."""

from collections.abc import Container, Sequence
from datetime import UTC, datetime

from domain.actors import STEALER
from domain.agent import Agent
from domain.decisions.dispatch import decide
from domain.lifecycles import AgentStatus, IntakeStatus, TaskStatus
from domain.policies.lease import LeasePolicy
from domain.policies.load_balancing import Load, Move, StealConfig
from domain.pool import Pool
from domain.request import Request
from domain.rules import Rules
from domain.task import Definition, Lease, Task
from domain.values import Budgets
from projections.state.pool_state import Live, PoolState
from projections.state.steal_pass import move_from, sources

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
NO_LIMIT = 1_000_000
_DEFINITION = Definition(request_digest="d", lease=LeasePolicy(), budgets=Budgets(steals=1000, attempts=1000))


def pool_of(fleet: Sequence[Load], rules: Rules | None = None, *, paused: Container[str] = ()) -> PoolState:
    """A pool in which these agents were registered in this order and hold so many assigned tasks."""
    agents = [
        Agent(
            each.agent_id, 1, number, number, AgentStatus.LIVE, capabilities=each.capabilities, priority=each.priority,
            capacity=each.capacity or NO_LIMIT, cpu=each.cpu, last_recorded_at=NOW,
            intake=IntakeStatus.PAUSED if each.agent_id in paused else IntakeStatus.OPEN,
        )
        for number, each in enumerate(fleet, 1)
    ]  # fmt: skip
    holders = [each.agent_id for each in fleet for _ in range(each.tasks)]
    tasks = [
        Task(
            f"T{token}", 2, token, _DEFINITION, NOW, TaskStatus.ASSIGNED, 1, 1, NOW,
            lease=Lease(token, holder, 1, NOW, 240.0, 60.0, NOW),
        )
        for token, holder in enumerate(holders, len(fleet) + 1)
    ]  # fmt: skip
    position = len(agents) + len(tasks)
    return PoolState.restored(
        Pool("p", position=position),
        rules or Rules(),
        live=Live(tasks, agents),
        recent={},
        committed=(position, NOW),
        evicted_through=0,
        ended_through=0,
    )


def moves_of_a_pass(config: StealConfig, fleet: Sequence[Load]) -> list[Move]:
    """What one pass of the stealer moves, decided and carried out as in a service."""
    rules = Rules(steal=config)
    state = pool_of(fleet, rules)
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
    return moves
