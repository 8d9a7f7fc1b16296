"""A plan of the policy balance: what agents have to do, as the state and the recorded times tell, and the moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from domain.commands.service_commands import PlanMove
from domain.lifecycles import LeaseStatus, TaskStatus
from domain.limits import MAX_STEAL_TASKS
from domain.policies.balancing import Source, Target, Unstarted, plan_moves
from domain.timestamps import seconds_between
from projections.state.unstarted import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from domain.agent import Agent
    from domain.policies.balancing import BalancingMove
    from domain.policies.load_balancing import StealConfig
    from domain.task import Task
    from projections.state.work_times import WorkTimes
    from projections.state.workloads import Workloads

MAX_SOURCES = 32
"""The most agents that a plan takes tasks from: those with the most tasks that they have not begun."""
MAX_LISTED = 200
"""The most tasks that a plan looks at of one agent, if that holds more than a few: of each kind the latest assigned."""
FEW = 32
"""So many tasks of an agent are looked at in any case."""
MAX_MOVED = 400
"""The most tasks that one plan moves; another one follows."""
_MAX_BEGUN = 16
"""Of more tasks that an agent has begun, these are taken for all."""


class BalanceView(Protocol):
    """What a plan reads: agents and their workloads, and the tasks that they hold."""

    @property
    def workloads(self) -> Workloads:
        """The agents by what they hold."""
        ...

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent."""
        ...

    def task(self, task_id: str) -> Task | None:
        """Return a held task."""
        ...


class Wish(NamedTuple):
    """An agent that has nothing to do, and how many tasks its waiting claims ask for; None: none waits."""

    agent_id: str
    tasks: int | None = None


class BalancePass:
    """Plans moves on one state, at one moment. Costs nothing for tasks and agents beyond the limits above."""

    def __init__(
        self, view: BalanceView, times: WorkTimes, config: StealConfig, now: datetime, loads_since: datetime
    ) -> None:
        """`loads_since`: loads reported before it count no more."""
        self._view = view
        self._times = times
        self._config = config
        self._now = now
        self._loads_since = loads_since
        self.ripens_in_s: float | None = None
        """After how many seconds a task may move that was assigned too lately for this plan; None: there is none."""

    def moves(self, wishes: Iterable[Wish], new_id: Callable[[], str]) -> list[PlanMove]:
        """Return the moves that level the loads, for agents that have nothing to do; `new_id` names each of them."""
        targets = [target for wish in wishes if (target := self._target(wish)) is not None]
        if not targets or not self._config.enabled:
            return []
        wanted = sum(target.wants for target in targets)
        found = self._view.workloads.unstarted.sources(MAX_SOURCES)
        sources = [source for agent_id in found if (source := self._source(agent_id, wanted)) is not None]
        planned = plan_moves(
            sources, targets, move_cost_s=self._config.move_cost_s, share=self._config.share, most=MAX_MOVED
        )
        return [_command(move, new_id()) for move in planned]

    def _target(self, wish: Wish) -> Target | None:
        agent = self._view.agent(wish.agent_id)
        if agent is None or not agent.accepts_grants:
            return None
        if agent.cpu_since(self._loads_since) > self._config.overloaded_above_cpu:
            return None
        if self._view.workloads.unstarted.count(agent.agent_id):
            return None
        room = agent.capacity - self._view.workloads.count(agent.agent_id)
        wants = min(room, MAX_STEAL_TASKS if wish.tasks is None else wish.tasks)
        pace = self._times.pace(agent.agent_id)
        return Target(agent.agent_id, wants, agent.capabilities, wish.tasks is not None, pace, agent.priority)

    def _source(self, agent_id: str, wanted: int) -> Source | None:
        agent = self._view.agent(agent_id)
        if agent is None or not agent.may_be_stolen_from:
            return None
        unstarted = self._view.workloads.unstarted
        begun, pace = unstarted.begun(agent_id), self._times.pace(agent_id)
        may_move: list[Unstarted] = []
        others_s, usual_s = 0.0, dict[Kind, float]()
        not_listed = unstarted.kinds(agent_id)
        # Where there are few, their order is looked at too; else what is not listed is taken to come first.
        most = FEW if unstarted.count(agent_id) <= FEW else max(min(wanted, MAX_LISTED // len(not_listed)), 1)
        for task_id in unstarted.latest(agent_id, most):
            task = self._view.task(task_id)
            if task is None:
                continue
            kind, expected_s = kind_of(task), self._times.expected_s(task)
            if self._is_stealable(task):
                may_move.append(_unstarted(task, expected_s))
            else:
                others_s += expected_s
            not_listed[kind] = not_listed.get(kind, 0) - 1
            usual_s[kind] = expected_s
        others_s += sum(usual_s.get(kind, 0.0) * max(count, 0) for kind, count in not_listed.items())
        return Source(agent_id, self._begun_s(list(begun), pace), may_move, others_s * pace, len(begun) or 1, pace)

    def _begun_s(self, begun: list[str], pace: float) -> float:
        looked_at = [task for task_id in begun[:_MAX_BEGUN] if (task := self._view.task(task_id)) is not None]
        left_s = sum(self._remaining_s(task, pace) for task in looked_at)
        return left_s * len(begun) / len(looked_at) if looked_at else 0.0

    def _remaining_s(self, task: Task, pace: float) -> float:
        lease = task.held_lease
        since = lease.started_at or lease.granted_at
        return self._times.remaining_s(task, seconds_between(since, self._now), lease.percent, pace)

    def _is_stealable(self, task: Task) -> bool:
        """Return whether the policy lets a task move now; the writer asks the other rules when it decides."""
        lease, config = task.lease, self._config
        if lease is None or task.status is not TaskStatus.ASSIGNED or task.steals >= task.definition.budgets.steals:
            return False
        rests_until_s = config.move_cost_s - seconds_between(lease.granted_at, self._now)
        if task.last_stolen_at is not None:
            rests_until_s = max(rests_until_s, config.cooldown_s - seconds_between(task.last_stolen_at, self._now))
        if rests_until_s <= 0:
            return True
        self.ripens_in_s = rests_until_s if self.ripens_in_s is None else min(self.ripens_in_s, rests_until_s)
        return False


_NONE: frozenset[str] = frozenset()


def _unstarted(task: Task, expected_s: float) -> Unstarted:
    definition = task.definition
    required = frozenset(definition.required_capabilities) if definition.required_capabilities else _NONE
    if not task.former:
        return Unstarted(task.task_id, expected_s, required)
    not_for = {former.agent_id for former in task.former if former.ended is LeaseStatus.STOLEN}
    if task.failed_last_by is not None:
        not_for.add(task.failed_last_by)
    return Unstarted(task.task_id, expected_s, required, frozenset(not_for))


def _command(move: BalancingMove, operation_id: str) -> PlanMove:
    return PlanMove(operation_id, move.source, move.target, move.task_ids[:MAX_STEAL_TASKS], round(move.gain_s, 3))
