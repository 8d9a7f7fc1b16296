"""Explaining a task: where it is, why, and what happens next and when, by the same rules that judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.handoffs import instructions
from domain.lifecycles import AgentStatus, IntakeStatus, TaskStatus
from domain.policies.aging import aged_rank
from domain.policies.cadence import median_interval_s
from domain.timestamps import format_timestamp, seconds_between
from domain.values import Priority
from projections.reports.next_steps import next_steps
from projections.reports.time_text import duration, moment
from projections.reports.wording import count
from projections.state.backlog import is_delayed, listing_order

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from domain.events.task import Handoff
    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Lease, Task
    from projections.reports.next_steps import NextStep
    from projections.state.pool_state import PoolState


class Candidate(NamedTuple):
    """An agent, and whether it could claim a queued task."""

    agent_id: str
    can: bool
    why: str
    """Its free capacity, or the obstacles."""


class Explanation(NamedTuple):
    """A task's state, in sentences."""

    task_id: str
    status: str
    headline: str
    why: tuple[str, ...]
    next: tuple[NextStep, ...]
    """In the order of time; steps without a time come last."""
    budgets: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values."""
        return {
            **self._asdict(),
            "next": [
                {"at": None if each.at is None else format_timestamp(each.at), "what": each.what} for each in self.next
            ],
            "candidates": [each._asdict() for each in self.candidates],
        }


def explain(task: Task, pool: Pool, rules: Rules, now: datetime, *, state: PoolState | None = None) -> Explanation:
    """Return the explanation of a task at `now`.

    `state`: the whole pool, if it is known. Without it the explanation names no candidates for a queued task.
    """
    queued = task.status is TaskStatus.QUEUED
    candidates = candidates_for(task, state, now) if queued and state is not None else ()
    return Explanation(
        task_id=task.task_id,
        status=task.status.value,
        headline=_headline(task, now),
        why=(
            *_why(task, pool, now),
            *_aged(task, rules, now),
            *(_prospects(task, state, candidates, now) if queued and state is not None else ()),
        ),
        next=next_steps(task, pool, rules, now, unable=why_unable(task, state) if state is not None else None),
        budgets=() if task.terminal else _budgets(task),
        candidates=candidates,
    )


def _headline(task: Task, now: datetime) -> str:
    age = duration(max(0.0, seconds_between(task.status_since, now)))
    since = f"for {age}"
    lease = task.lease
    if lease is not None:
        by = f"{lease.agent_id} under token {lease.token}, attempt {task.attempt}"
        match task.status:
            case TaskStatus.ASSIGNED:
                return f"assigned {since} to {by}; not started"
            case TaskStatus.STUCK:
                clock = "runs on" if task.ticking else "is stopped"
                return f"stuck {since}: held by {by}, which is silent; its clock {clock} at {lease.percent} %"
            case _:
                return f"in progress {since} with {by}, at {lease.percent} %"
    if task.terminal:
        return f"{task.status} {age} ago, in attempt {task.attempt}"
    if task.not_before is not None and is_delayed(task, now):
        return f"queued {since}, attempt {task.attempt}; waits until {moment(task.not_before)}"
    return f"{task.status} {since}, attempt {task.attempt}"


def _why(task: Task, pool: Pool, now: datetime) -> list[str]:
    reasons = []
    outcome = task.outcome
    if outcome is None or task.lease is not None:
        reasons.append(f"submitted at {moment(task.submitted_at)}")
    if outcome is not None:
        holder = f", held by {outcome.agent_id} under token {outcome.token}" if outcome.agent_id else ""
        detail = f": {outcome.detail}" if outcome.detail else ""
        before = "the attempt before ended: " if task.lease is not None else ""
        reasons.append(f"{before}{outcome.event} at {moment(outcome.at)} by {outcome.actor}{holder}{detail}")
    if task.definition.retry_of is not None:
        reasons.append(f"it retries {task.definition.retry_of}")
    if task.lease is not None:
        reasons.extend(_lease_facts(task.lease, now))
    if task.handoff is not None and not task.terminal:
        reasons.append(_handoff(task.handoff, now))
    if task.lease is None and task.status is TaskStatus.QUEUED and not pool.accepts_grants:
        reasons.append(f"the pool is {pool.intake}: nothing is granted until it is resumed")
    if task.retries:
        reasons.append(f"retried as {', '.join(task.retries)}")
    return reasons


def _handoff(handoff: Handoff, now: datetime) -> str:
    """Return a hand-off in words; once its advice is out of date, only where the work stands."""
    if now <= handoff.valid_until:
        return f"hand-off: {instructions(handoff)}"
    checkpoint = ", with a checkpoint" if handoff.last_checkpoint is not None else ""
    return f"hand-off at {handoff.progress} %{checkpoint}; its advice was valid until {moment(handoff.valid_until)}"


def _aged(task: Task, rules: Rules, now: datetime) -> list[str]:
    """Return in words how far a queued task's priority has aged."""
    if task.status is not TaskStatus.QUEUED:
        return []
    own = task.definition.priority
    rank = aged_rank(own, task.waits_since, now, rules.priority_aging_s)
    if rank == own.rank:
        return []
    counts_as = next(priority for priority in Priority if priority.rank == rank)
    waited = duration(seconds_between(task.waits_since, now))
    return [f"its priority is {own} and has aged to {counts_as}, after waiting for {waited}"]


def _lease_facts(lease: Lease, now: datetime) -> list[str]:
    facts = [f"granted at {moment(lease.granted_at)}"]
    if lease.started_at is not None:
        facts.append(f"started at {moment(lease.started_at)}")
    if lease.reports:
        note = f', the last note: "{lease.note}"' if lease.note else ""
        median_s = median_interval_s(lease.report_times_s)
        interval = f", one about every {duration(median_s)}" if median_s is not None else ""
        facts.append(f"{count(lease.reports, 'progress report')}{interval}{note}")
    if lease.last_beat_at is None:
        facts.append("not heard on it since the grant")
    elif lease.last_beat_at > now:
        facts.append(f"announced to be quiet until {moment(lease.last_beat_at)}")
    else:
        facts.append(f"last heard on it {duration(seconds_between(lease.last_beat_at, now))} ago")
    facts.append(f"its term is {duration(lease.lease_s)}, with {duration(lease.grace_s)} of grace")
    if lease.extensions:
        facts.append(f"extended {count(lease.extensions, 'time')} on a probe's evidence")
    if lease.stalled_at is not None:
        since = moment(lease.advanced_at or lease.granted_at)
        facts.append(f"stalled: its holder is heard, and neither percent nor checkpoint changed since {since}")
    return facts


def _budgets(task: Task) -> tuple[str, ...]:
    budgets = task.definition.budgets
    return (
        f"attempts: {max(0, budgets.attempts - task.attempts_used)} left after this one of {budgets.attempts}",
        f"failures: {task.failures} of {budgets.failures}",
        f"expiries in a row: {task.expiries} of {budgets.expiries}",
        f"steals: {task.steals} of {budgets.steals}",
        f"releases: {task.releases} of {budgets.releases}",
    )


def _prospects(task: Task, state: PoolState, candidates: tuple[Candidate, ...], now: datetime) -> list[str]:
    """Return a queued task's place in the queue, and whether any agent could take it."""
    aging_s = state.rules.priority_aging_s
    mine = listing_order(task, now, aging_s)
    others = (other for other in state.tasks.values() if other.status is TaskStatus.QUEUED)
    ahead = sum(listing_order(other, now, aging_s) < mine for other in others)
    waited = (
        f"{ahead} queued task{'s are more urgent or have' if ahead > 1 else ' is more urgent or has'} waited longer"
    )
    prospects = [] if is_delayed(task, now) else ["first in line" if ahead == 0 else waited]
    if not any(candidate.can for candidate in candidates):
        unable = why_unable(task, state)
        prospects.append("no registered agent can take it now" + (f": {unable}" if unable is not None else ""))
    return prospects


def why_unable(task: Task, state: PoolState) -> str | None:
    """Return why no live agent has all that a task requires, as a phrase that names what is missing; None if one has.

    Whether such an agent has room, or takes grants now, does not count.
    """
    required = frozenset(task.definition.required_capabilities)
    live = [agent for agent in state.agents.values() if agent.status is AgentStatus.LIVE]
    if any(required <= agent.capabilities for agent in live):
        return None
    if not live:
        return "no agent is live"
    missing = required - frozenset().union(*(agent.capabilities for agent in live))
    return f"no live agent has {', '.join(sorted(missing or required))}"


def candidates_for(task: Task, state: PoolState, now: datetime) -> tuple[Candidate, ...]:
    """Return every registered agent: those that could claim the task first, each group in the order of registration."""
    required = frozenset(task.definition.required_capabilities)
    avoided = task.avoids if task.avoids_until is not None and task.avoids_until > now else None
    left_by = avoided if avoided is not None and state.workloads.another_available(required, avoided) else None
    found = []
    for agent in sorted(state.agents.values(), key=lambda agent: agent.registered_position):
        held = state.tasks_held(agent.agent_id)
        missing = required - agent.capabilities
        obstacles = [
            obstacle
            for obstacle, applies in (
                (f"lacks {', '.join(sorted(missing))}", bool(missing)),
                (str(agent.status), agent.status is not AgentStatus.LIVE),
                (str(agent.intake), agent.intake is not IntakeStatus.OPEN),
                (f"full: holds {held} of {agent.capacity}", held >= agent.capacity),
                ("had it last, and another agent is preferred", agent.agent_id == left_by),
            )
            if applies
        ]
        found.append(
            Candidate(agent.agent_id, not obstacles, "; ".join(obstacles) or f"holds {held} of {agent.capacity}")
        )
    return tuple(sorted(found, key=lambda candidate: not candidate.can))
