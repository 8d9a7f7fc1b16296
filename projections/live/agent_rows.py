"""Agents as rows: what each holds, how far it is, when it was heard last, and whether that is a reason to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.actors import acting_agent
from domain.events import Entity
from domain.events import task as ev
from domain.policies.load_balancing import loads_since
from domain.statuses import AgentStatus, TaskStatus
from domain.timestamps import after, format_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from domain.agent import Agent
    from domain.recorded import Recorded
    from domain.task import Task
    from projections.live.silences import Silences
    from projections.state.pool_state import PoolState

    HeardAt = Callable[[str], datetime | None]
    """Returns when an agent was heard last, as far as it is known; see `LiveView.tick`."""

TONES = ("ok", "silent", "stalled", "lost")
"""`silent`: a lease of it has expired and it was not heard since, its task is stuck, or it was not heard for half of
`lost_after_s`. Whether an agent that holds nothing is heard, the log does not tell: it counts as silent only if it is
known beside the log when it was heard. An outage of the service is no silence: nothing could hear it."""
MAX_HOLDS = 20
"""Held tasks that one row names, the oldest grants."""


class Signs(NamedTuple):
    """What is known of when an agent was heard."""

    heard_at: datetime | None = None
    """When it was heard last."""
    beside_log: bool = False
    """Whether that is known beside the log, so that an idle agent's silence is known too."""
    expired_at: datetime | None = None
    """When a lease of it expired, if it was not heard since."""


class AgentRows:
    """Rows by agent; only those that may have changed are made anew."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        self._turns_at: dict[str, datetime | None] = {}
        """When a row changes by time alone: its agent counts as silent, or its load no more."""
        self._holder_of: dict[str, str] = {}
        self._heard: dict[str, datetime] = {}
        """What was heard of an agent beside the log."""
        self._touched: set[str] = set()

    def reset(self, state: PoolState) -> None:
        """Begin anew with a state."""
        self._touched.update(self._rows, state.agents)
        self._holder_of = {
            task_id: agent_id for agent_id in state.workloads.holders() for task_id in state.held_by(agent_id)
        }

    def observe(self, records: Sequence[Recorded], state: PoolState) -> None:
        """Follow acknowledged events; `state` is as it is after them."""
        touched, holder_of = self._touched, self._holder_of
        for recorded in records:
            entity_id = recorded.entity_id
            actor = acting_agent(recorded.actor)
            if actor is not None:
                touched.add(actor)
            if recorded.entity is Entity.AGENT:
                touched.add(entity_id)
            elif recorded.entity is Entity.TASK:
                before = holder_of.get(entity_id)
                task = state.tasks.get(entity_id)
                now = None if task is None else task.holder
                if now is not None:
                    touched.add(now)
                if before is not None and before != now:
                    touched.add(before)
                    del holder_of[entity_id]
                if now is not None and before != now:
                    holder_of[entity_id] = now
                if type(recorded.event) is ev.Expired:
                    touched.add(recorded.event.agent_id)
            elif recorded.entity is Entity.POOL:
                touched.update(state.agents)

    def heard(self, heard: Iterable[tuple[str, datetime]]) -> None:
        """Learn when agents were heard, beside the log: of idle ones it has no record. From `query.agents`."""
        for agent_id, at in heard:
            known = self._heard.get(agent_id)
            if known is None or at > known:
                self._heard[agent_id] = at
                self._touched.add(agent_id)

    def touch_all(self, state: PoolState) -> None:
        """Make every row anew at the next `take_changes`."""
        self._touched.update(state.agents)

    def take_changes(
        self, state: PoolState, now: datetime, heard_at: HeardAt, silences: Silences
    ) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Return the rows that changed since the last call, and the agents that are gone.

        `heard_at`: when an agent was heard last, by the log. `silences`: followed the same events.
        """
        touched, self._touched = self._touched, set()
        touched.update(agent_id for agent_id, at in self._turns_at.items() if at is not None and at <= now)
        changed, gone = {}, []
        for agent_id in touched:
            agent = state.agents.get(agent_id)
            if agent is None:
                self._heard.pop(agent_id, None)
                self._turns_at.pop(agent_id, None)
                if self._rows.pop(agent_id, None) is not None:
                    gone.append(agent_id)
                continue
            row, self._turns_at[agent_id] = agent_row(agent, state, now, self._signs(agent_id, heard_at, silences))
            if self._rows.get(agent_id) != row:
                self._rows[agent_id] = changed[agent_id] = row
        return changed, gone

    def _signs(self, agent_id: str, heard_at: HeardAt, silences: Silences) -> Signs:
        logged, polled = heard_at(agent_id), self._heard.get(agent_id)
        expired_at = silences.expired_at(agent_id, logged)
        known = [at for at in (logged, polled) if at is not None]
        if expired_at is not None and polled is not None and polled > expired_at:
            expired_at = None
        return Signs(max(known, default=None), polled is not None, expired_at)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return every row by agent, as of the last `take_changes`."""
        return dict(self._rows)


def agent_row(agent: Agent, state: PoolState, now: datetime, signs: Signs) -> tuple[dict[str, Any], datetime | None]:
    """Return an agent's row, and when it changes by time alone (None: it does not).

    `{agent_id, tone, status, intake, drain_deadline, slots, held, task_id, task, percent, words, holds: [{task_id,
    title, status, percent, expires_at, stalled}], heard_at, silent_from, load: {cpu, memory}, load_at, load_status,
    session, capabilities, labels, priority}`. `task_id`, `task` (its title), `percent` and `words` (its last note) are
    of the task that the agent reported on, began or was granted last. `silent_from`: when it counts as silent if it is
    not heard.
    """
    held = [state.tasks[task_id] for task_id in state.held_by(agent.agent_id)]
    at_work = max(held, key=_reported_at, default=None)
    lease = None if at_work is None else at_work.lease
    since = loads_since(now, state.rules.load_valid_s)
    silent_from = _silent_from(state, agent, held, signs)
    row = {
        "agent_id": agent.agent_id,
        "tone": _tone(agent, held, silent_from, now),
        "status": agent.status.value,
        "intake": agent.intake.value,
        "drain_deadline": _time(agent.drain_deadline),
        "slots": agent.capacity,
        "held": len(held),
        "task_id": None if at_work is None else at_work.task_id,
        "task": None if at_work is None else at_work.definition.title,
        "percent": None if lease is None else lease.percent,
        "words": None if lease is None else lease.note,
        "holds": [_hold(task) for task in held[:MAX_HOLDS]],
        "heard_at": _time(signs.heard_at),
        "silent_from": _time(silent_from),
        "load": {"cpu": agent.cpu, "memory": agent.memory},
        "load_at": _time(agent.load_at),
        "load_status": state.rules.steal.load_status(len(held), agent.cpu_since(since)).value,
        "session": agent.session,
        "capabilities": sorted(agent.capabilities),
        "labels": list(agent.labels),
        "priority": agent.priority,
    }
    load_ends = None if agent.load_at is None or not agent.cpu else after(agent.load_at, state.rules.load_valid_s)
    turns = [at for at in (silent_from, load_ends) if at is not None and at > now]
    return row, min(turns, default=None)


def _silent_from(state: PoolState, agent: Agent, held: Sequence[Task], signs: Signs) -> datetime | None:
    """Return when an agent counts as silent if nothing happens; None: never, or it is not known."""
    if agent.status is not AgentStatus.LIVE:
        return None
    moments = [] if signs.expired_at is None else [signs.expired_at]
    if signs.heard_at is not None and (held or signs.beside_log):
        due = after(signs.heard_at, state.rules.lost_after_s / 2)
        # After an outage it has as long as it was out of reach, as its leases have.
        moments.append(due if state.pool.not_before is None else max(due, state.pool.not_before))
    for task in held:
        lease = task.held_lease
        if task.status is TaskStatus.STUCK:
            moments.append(task.status_since)
        elif task.ticking:
            floor = state.pool.floor(lease.token)
            moments.append(lease.expires_at if floor is None else max(floor, lease.expires_at))
    return min(moments, default=None)


def _tone(agent: Agent, held: Sequence[Task], silent_from: datetime | None, now: datetime) -> str:
    if agent.status is AgentStatus.LOST:
        return "lost"
    if silent_from is not None and silent_from <= now:
        return "silent"
    return "stalled" if any(task.held_lease.stalled_at is not None for task in held) else "ok"


def _reported_at(task: Task) -> tuple[float, int]:
    lease = task.held_lease
    reported_s = lease.report_times_s[-1] if lease.report_times_s else 0.0
    return max(reported_s, (lease.started_at or lease.granted_at).timestamp()), lease.token


def _hold(task: Task) -> dict[str, Any]:
    lease = task.held_lease
    return {
        "task_id": task.task_id,
        "title": task.definition.title,
        "status": task.status.value,
        "percent": lease.percent,
        "expires_at": format_timestamp(lease.expires_at),
        "stalled": lease.stalled_at is not None,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_timestamp(at)
