"""Replaying the stealer with other settings over the recorded workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from domain.actors import STEALER, agent_actor
from domain.decisions.dispatch import decide_named
from domain.events import Entity
from domain.events import pool as pool_ev
from domain.events import steal as st
from domain.events import task as ev
from domain.policies.load_balancing import StealPolicy, loads_since
from domain.request import Request
from domain.steal import Steal
from domain.task import Task
from domain.timestamps import TICK, after
from projections.state.balance_pass import BalancePass, Wish
from projections.state.steal_pass import move_from, sources
from projections.state.work_times import WorkTimes
from projections.state.workloads import Workloads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.agent import Agent
    from domain.commands.service_commands import PlanMove, PlanSteal
    from domain.decision import Decision
    from domain.pool import Pool
    from domain.recorded import Recorded
    from domain.rules import Rules
    from projections.state.pool_state import PoolState

MAX_TARGETS = 1_000
"""The most agents with room that a plan looks at."""
_OPERATION = "whatif"
_MOST_DOUBLINGS = 10
_TICK_S = TICK.total_seconds()


class StealReplay:
    """The recorded tasks, held by the agents that this replay's steals lead to. Implements the domain's `PoolView`.

    The record's grants are applied; its moves by the stealer are not: a task stays with its holder until it is moved
    here. Work on a task begins and ends when it did in the record, whichever agent holds it here.
    """

    def __init__(self, record: PoolState, rules: Rules) -> None:
        self.moved = 0
        """Tasks moved so far, by passes that count."""
        self.workloads = Workloads(rules.steal)
        self.position = 0
        self._record = record
        self._rules = rules
        self._tasks: dict[str, Task] = {}
        self._agents: dict[str, Agent] = {}
        self._steals: dict[str, Steal] = {}
        self._times = WorkTimes()
        self._balances = rules.steal.policy is StealPolicy.BALANCE
        self._next_pass: datetime | None = None
        self._vain_passes = 0
        """Passes of the policy balance in a row that moved nothing."""
        self._changed = False
        self._claimers: set[str] = set()
        """Agents that were granted a task by a claim of their own."""
        self._ended_at_claimer = False
        """Whether a task of one of them ended since the last plan, so that it may claim again."""
        self._counted = True
        self._cooldown_until: datetime | None = None

    def run_passes_until(self, now: datetime, *, counted: bool = True) -> None:
        """Run the passes that are due before now; `counted`: whether the tasks that they move are counted."""
        self._counted = counted
        steal = self._rules.steal
        if not steal.enabled or self._next_pass is None:
            return
        while self._next_pass < now:
            at = self._next_pass
            self._next_pass = after(at, steal.interval_s)
            if self._balances:
                self._balance(at, now)
                continue
            if (
                not self._changed
                and (self._cooldown_until is None or at > after(self._cooldown_until, steal.interval_s))
                and not self._loads_change_before(now)
            ):
                # Nothing changes before now, so no pass until then would move anything: skip them.
                missed = (now - at).total_seconds() // steal.interval_s
                self._next_pass = after(at, (missed + 1) * steal.interval_s)
                return
            self._changed = False
            self._pass(at)

    def _loads_change_before(self, now: datetime) -> bool:
        """Return whether a load that counts is to be outdated before now, which makes passes without any event."""
        reported_at = self.workloads.next_outdated_load()
        outdated = reported_at is not None and after(reported_at, self._rules.load_valid_s) < now
        return outdated and self.pool.accepts_grants

    def observe(self, recorded: Recorded) -> None:
        """Apply an event that the record has just folded."""
        self._times.observe((recorded,), self._record.task)
        if recorded.entity is Entity.TASK:
            self._apply_to_task(recorded)
        elif recorded.entity is Entity.AGENT:
            agent_id, agent = recorded.entity_id, self._record.agent(recorded.entity_id)
            self.workloads.replace_agent(agent_id, self._agents.pop(agent_id, None), agent)
            if agent is not None:
                self._agents[agent_id] = agent
            else:
                self._claimers.discard(agent_id)
            self._changed = True
        elif isinstance(recorded.event, st.Planned) and recorded.event.gain_s is not None:
            # The policy balance planned it in the record: its target had nothing to do, and could use so many tasks.
            if self._balances and self._rules.steal.enabled:
                self._plan([Wish(recorded.event.to_agent, len(recorded.event.task_ids))], recorded.time)
        elif isinstance(recorded.event, pool_ev.Led):
            # The stealer starts with its service, which was away before.
            self._next_pass = after(recorded.time, self._rules.steal.interval_s)
            self._changed = True
        came_free = self.workloads.some_ran_out or self._ended_at_claimer
        if self._balances and self._next_pass is not None and self.workloads.unstarted and came_free:
            self._vain_passes = 0
            self._next_pass = min(self._next_pass, after(recorded.time, self._rules.steal.move_cost_s))

    # The `PoolView` of the decisions

    @property
    def pool(self) -> Pool:
        """The recorded pool."""
        return self._record.pool

    def task(self, task_id: str) -> Task | None:
        """Return a held task."""
        return self._tasks.get(task_id)

    def agent(self, agent_id: str) -> Agent | None:
        """Return a recorded agent."""
        return self._agents.get(agent_id)

    def steal(self, operation_id: str) -> Steal | None:
        """Return the steal under way."""
        return self._steals.get(operation_id)

    def held_by(self, agent_id: str) -> Sequence[str]:
        """Return the tasks that the agent holds here, oldest grant first."""
        return self.workloads.held_by(agent_id)

    def tasks_held(self, agent_id: str) -> int:
        """Return how many tasks the agent holds here."""
        return self.workloads.count(agent_id)

    def silence_s(self, agent_id: str) -> float:  # noqa: ARG002 - the protocol's signature
        """Return 0: the log does not say when agents were heard; those that were silent for long are lost in it."""
        return 0.0

    def _apply_to_task(self, recorded: Recorded) -> None:
        task_id, event = recorded.entity_id, recorded.event
        new, old = self._record.tasks.get(task_id), self._tasks.get(task_id)
        if new is None or new.lease is None:
            if old is not None and old.lease is not None and old.lease.agent_id in self._claimers:
                self._ended_at_claimer = True
            self._put(task_id, None)
            return
        if isinstance(event, ev.Leased) and recorded.actor == agent_actor(event.agent_id):
            self._claimers.add(event.agent_id)
        moved_by_stealer = isinstance(event, ev.Stolen) and recorded.actor == STEALER
        granted = isinstance(event, ev.Grant) and not moved_by_stealer
        if not granted and old is not None and old.lease is not None:
            lease = replace(new.lease, agent_id=old.lease.agent_id, token=old.lease.token)
            new = replace(new, lease=lease, steals=old.steals, last_stolen_at=old.last_stolen_at)
            self._changed = self._changed or old.status is not new.status
            self.workloads.unstarted.replace_task(task_id, old, new)
            self._tasks[task_id] = new
        else:
            self._put(task_id, new)

    def _put(self, task_id: str, new: Task | None) -> None:
        """Set a task, which may have another holder, or remove it (None)."""
        self._changed = True
        # Two steps, because a lease made here may have the same token as a later one of the record.
        self.workloads.replace_task(task_id, self._tasks.get(task_id), None)
        self.workloads.replace_task(task_id, None, new)
        if new is None:
            self._tasks.pop(task_id, None)
        else:
            self._tasks[task_id] = new

    def _balance(self, at: datetime, now: datetime) -> None:
        """Make a plan of the policy balance, for agents that have nothing to do here and find nothing to claim.

        Each gets one task, as if it claimed one: of claims in vain the log tells only those that led to a steal.
        """
        self.workloads.take_ran_out()
        self._ended_at_claimer = False
        if not self.workloads.unstarted or not self.pool.accepts_grants:
            self._next_pass = max(self._next_pass or now, now)
            return
        wishes = [
            Wish(agent_id, 1)
            for agent_id in self.workloads.with_room(MAX_TARGETS)
            if self._has_nothing_to_begin(agent_id)
            and (agent := self.agent(agent_id)) is not None
            and not self._record.queued_for(agent, 1, at)
        ]
        moved = self.moved
        ripens_in_s = self._plan(wishes, at)
        if self.moved > moved:
            self._vain_passes = 0
        # What is left of the tasks changes with the time that they have taken, so later passes may come further apart.
        pause_s = self._rules.steal.interval_s * 2 ** min(self._vain_passes, _MOST_DOUBLINGS)
        self._vain_passes += 1
        if ripens_in_s is not None:
            pause_s = min(pause_s, ripens_in_s + _TICK_S)
        self._next_pass = after(at, pause_s)

    def _plan(self, wishes: Sequence[Wish], at: datetime) -> float | None:
        """Plan by the policy balance and carry it out; return in how many seconds more may move, if that is known."""
        plan = BalancePass(self, self._times, self._rules.steal, at, loads_since(at, self._rules.load_valid_s))
        self.position = self._record.position
        for command in plan.moves(wishes, lambda: _OPERATION):
            self._carry_out(command, at)
        return plan.ripens_in_s

    def _has_nothing_to_begin(self, agent_id: str) -> bool:
        """Return whether an agent holds nothing, or claims its tasks itself and has begun all that it holds."""
        if not self.workloads.count(agent_id):
            return True
        return agent_id in self._claimers and not self.workloads.unstarted.count(agent_id)

    def _pass(self, at: datetime) -> None:
        self.position = self._record.position
        if not self.pool.accepts_grants:
            return
        since = loads_since(at, self._rules.load_valid_s)
        for source in sources(self, self._rules.steal, since):
            command = move_from(self, self._rules.steal, source, _OPERATION, since)
            if command is None:
                continue
            self._carry_out(command, at)

    def _carry_out(self, command: PlanSteal | PlanMove, at: datetime) -> None:
        request: Request | None = Request(command, STEALER, "")
        while request is not None:
            decision = decide_named(self, request, at, self._rules)
            self._apply(decision, at)
            request = decision.follow_up

    def _apply(self, decision: Decision, at: datetime) -> None:
        for (_, key), new in decision.after.items():
            if isinstance(new, Task):
                self._put(key, new)
                self.moved += self._counted
                self._cooldown_until = after(at, self._rules.steal.cooldown_s)
            elif isinstance(new, Steal):
                self._steals[key] = new
                if new.over:
                    del self._steals[key]
        self.position += len(decision.records)
