"""Claims that wait for work: when one is parked, what wakes or answers it, and when it ends empty.

A wake-up is never lost. A claim is woken for a kind of task: for what queued tasks require. Until it is decided it
counts as promised to that kind, and whatever becomes of it, the next claim is woken while there are more queued tasks
of the kind than promised claims. So no claim waits beside a queued task that its agent could take.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import pydantic_core

from domain.actors import agent_actor
from domain.events import EVENT_TYPES, Entity
from domain.events import agent as agent_ev
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lease_documents import lease_document
from domain.lifecycles import LEASE_ENDING_EVENTS, AgentStatus, TaskStatus
from domain.limits import MAX_CLAIM_REPLY_BYTES
from domain.task import Task
from handlers.ports import steadily_after
from handlers.writer.claim_line import ClaimLine
from handlers.writer.jobs import OVERLOADED, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from domain.decision import Decision
    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, Steady
    from handlers.writer.agent_liveness import AgentLiveness
    from handlers.writer.jobs import Job

_AGENT_CHANGES = frozenset({agent_ev.Registered, agent_ev.Deregistered, agent_ev.Lost, *get_args(agent_ev.IntakeEvent)})
_TASK_EVENTS = {kind.name: kind for kind in EVENT_TYPES.values() if kind.entity is Entity.TASK}
_LEASE_ENDS = {_TASK_EVENTS[name] for name in LEASE_ENDING_EVENTS}
_GRANTS = frozenset(get_args(ev.Grant))
# An update may end a queued task's wait for its time.
_RELEVANT = _AGENT_CHANGES | _LEASE_ENDS | _GRANTS | {ev.Submitted, ev.Updated, pool_ev.PoolResumed}


def affects_waiting(records: Sequence[Recorded]) -> bool:
    """Return whether a waiting claim may be woken or answered by these events."""
    # By exact type: on models isinstance is slow, and this runs for every event.
    return not _RELEVANT.isdisjoint([type(recorded.event) for recorded in records])


class WaitingClaims:
    """Parks claims, and lets them follow what was acknowledged: work came, was granted, or an agent changed."""

    def __init__(
        self,
        memory: Memory,
        liveness: AgentLiveness,
        clock: Clock,
        *,
        resubmit: Callable[[Job], None],
        on_parked: Callable[[], None],
    ) -> None:
        """`resubmit` puts a claim first into the queue; `on_parked` is called when one begins to wait."""
        self._memory = memory
        self._liveness = liveness
        self._clock = clock
        self._resubmit = resubmit
        self._on_parked = on_parked
        self._line = ClaimLine()
        self._woken_for: dict[int, deque[frozenset[str]]] = {}
        """By place: what the tasks require that a claim was woken for, for each wake-up that is not settled yet.

        One that took nothing is back in the line, and may be woken again, before the batch in which that was decided
        settles the first wake-up.
        """
        self._promised: Counter[frozenset[str]] = Counter()
        """How many claims were woken for each kind of task."""
        self._sessions: dict[str, int] = {}
        """By agent: the number of its current session. Claims of lower ones are of earlier sessions."""
        self._sessions_begun = 0
        self.parked = 0
        """How often a claim began to wait, or to wait again."""
        self.open = True
        """Whether claims may still be parked; no longer once the service stops."""

    def __len__(self) -> int:
        return len(self._line)

    def park(self, job: Job, decision: Decision) -> None:
        """Let an empty claim wait; answer it at once if it may not, or no longer."""
        agent_id = job.request.agent_id or ""
        agent = self._memory.state.agent(agent_id)
        wait_s: float = getattr(job.request.command, "wait_s", 0.0)
        until = job.wait_until or steadily_after(job.received_at, wait_s)
        over = agent is None or until <= self._clock.steady() or self.is_of_earlier_session(job)
        full = self._line.full(agent_id)
        job.park(until, decision.records)
        if not over and not full:
            self._line.add(job, until)
            self.parked += 1
            self._offer_to(agent_id)
            self._on_parked()
        elif over or job.prior:
            # A claim that renewed something on the side is no refusal, for that stands.
            self.end(job)
        else:
            self.settle(job)
            job.answer(Answer(self._memory.state.committed_position, refusal=OVERLOADED))

    def wishes(self, limit: int) -> dict[str, int]:
        """Return how many tasks the agents ask for whose claims wait; of `limit` claims at most, oldest first."""
        return self._line.wishes(limit)

    def withdraw(self, job: Job) -> bool:
        """Take a claim out of the line, if it still waits; return whether it did."""
        return self._line.withdraw(job)

    def settle(self, job: Job) -> None:
        """A woken claim was decided, or has ended: wake the next one if there is more work of the kind."""
        wake_ups = self._woken_for.get(job.place) if job.place is not None else None
        if wake_ups and job.place is not None:
            required = wake_ups.popleft()
            if not wake_ups:
                del self._woken_for[job.place]
            self._promised[required] -= 1
            if not self._promised[required]:
                del self._promised[required]
            self._offer(required)

    def end(self, job: Job) -> None:
        """Answer a claim that found no work."""
        self._end_at(job, self._memory.state.committed_position)

    def end_timed_out(self, now: Steady) -> None:
        """Answer the claims whose wait has ended."""
        for job in self._line.take_timed_out(now):
            self.end(job)

    def end_all(self) -> None:
        """Answer every waiting claim, and let none wait from now on."""
        self.open = False
        for job in self._line.take_all():
            self.end(job)

    def note_session(self, job: Job, decision: Decision) -> None:
        """A job was decided: note the session that a registration begins, and the one in which a new claim was sent.

        Claims of an earlier session end instead of taking a task, also those that are yet to be parked or were woken.
        """
        agent_id = job.request.agent_id or ""
        if decision.begins_session:
            self._sessions_begun += 1
            self._sessions[agent_id] = self._sessions_begun
        elif decision.waits and job.wait_until is None:
            job.belongs_to_session(self._sessions.get(agent_id, 0))

    def is_of_earlier_session(self, job: Job) -> bool:
        """Return whether a waiting claim was sent before its agent's current session began."""
        return job.session_number < self._sessions.get(job.request.agent_id or "", 0)

    def end_earlier_sessions(self, agent_id: str) -> None:
        """Answer the agent's waiting claims: its registration is acknowledged, and later claims are parked later."""
        for job in self._line.take_all_of(agent_id):
            self.end(job)

    def release_delayed(self, now: datetime) -> None:
        """Wake claims for the queued tasks whose time has come."""
        backlog = self._memory.state.indexes.backlog
        backlog.advance(now)
        for required in backlog.take_newly_ready_kinds():
            self._offer(required)

    def next_timeout_at(self) -> Steady | None:
        """Return when the next claim's wait ends."""
        return self._line.next_timeout_at()

    def take_all(self) -> list[Job]:
        """Take every claim out of the line, oldest first."""
        return self._line.take_all()

    def resubmit_all(self) -> None:
        """Let every waiting claim be decided again."""
        self._resubmit_in_order(self._line.take_all())

    def follow(self, decisions: Iterable[Decision], position: int) -> None:
        """Follow acknowledged decisions that end at `position`: answer claims by grants, wake others for work.

        Grants to waiting agents go first: a claim that is answered by one needs no other work.
        """
        found = _Found({}, {}, {})
        resumed = False
        for decision in decisions:
            for recorded in decision.records:
                kind = type(recorded.event)
                if kind not in _RELEVANT:
                    continue
                if kind in _AGENT_CHANGES:
                    self._follow_agent(recorded, position)
                    found.agents[recorded.entity_id] = None
                elif kind is pool_ev.PoolResumed:
                    resumed = True
                elif len(self._line):
                    found.follow_task(recorded, decision)
        for agent_id, grants in found.grants.items():
            self._answer_by_grants(agent_id, grants, position)
        for agent_id in found.agents:
            self._offer_to(agent_id)
        backlog = self._memory.state.indexes.backlog
        # The agent that a failed task should go to may be no longer available.
        left = backlog.kinds_avoided() if found.agents else ()
        for required in backlog.kinds() if resumed else (*found.kinds, *left):
            self._offer(required)

    def _follow_agent(self, recorded: Recorded, position: int) -> None:
        agent_id = recorded.entity_id
        event = type(recorded.event)
        if event is agent_ev.Registered:
            self._liveness.heard(agent_id, self._clock.steady(), recorded.time)
        elif event is agent_ev.Lost:
            if self._is_live(agent_id):
                return
            self._liveness.forget(agent_id)
            for job in self._line.take_all_of(agent_id):
                # Deciding it again would revive an agent that sent nothing.
                self._end_at(job, position)
        elif event is agent_ev.Deregistered:
            if not self._is_live(agent_id):
                self._liveness.forget(agent_id)
                self._sessions.pop(agent_id, None)
            self._resubmit_in_order(self._line.take_all_of(agent_id))

    def _is_live(self, agent_id: str) -> bool:
        """Return whether a command that was decided meanwhile has brought the agent back."""
        agent = self._memory.state.agent(agent_id)
        return agent is not None and agent.status is AgentStatus.LIVE

    def _answer_by_grants(self, agent_id: str, grants: list[tuple[Recorded, Task]], position: int) -> None:
        """Answer an agent's claims by what others gave it, each by as much as it asked for, the last by all the rest.

        What goes beyond the size of an answer the agent is told at its next heartbeat.
        """
        rest = deque(grants)
        while rest and (job := self._line.take_of_agent(agent_id)) is not None:
            wanted = len(rest) if not self._line.waits(agent_id) else getattr(job.request.command, "max", 1)
            leases: list[dict[str, Any]] = []
            size = 0
            while rest and len(leases) < wanted and size < MAX_CLAIM_REPLY_BYTES:
                recorded, task = rest.popleft()
                leases.append(lease_document(task, recorded.time))
                size += len(pydantic_core.to_json(leases[-1]))
            job.answer(Answer(position, job.prior, {"leases": leases}, None))

    def _offer_to(self, agent_id: str) -> None:
        """Follow an agent's availability; wake claims for all that it can do, if it can take a task."""
        if not self._line.waits(agent_id):
            return
        state = self._memory.state
        capabilities = state.available_capabilities(agent_id)
        self._line.set_available(agent_id, capabilities)
        if capabilities is not None:
            for required in state.indexes.backlog.kinds():
                if required <= capabilities:
                    self._offer(required)

    def _offer(self, required: frozenset[str]) -> None:
        """Wake claims for a kind of task while there is more of it than claims were woken for."""
        state = self._memory.state
        if not state.pool.accepts_grants:
            return
        woken: list[Job] = []
        except_agent = state.left_to_others(required)
        while state.indexes.backlog.count(required) > self._promised[required]:
            job = self._line.take_for_task(required, except_agent=except_agent)
            if job is None or job.place is None:
                break
            self._woken_for.setdefault(job.place, deque()).append(required)
            self._promised[required] += 1
            woken.append(job)
        self._resubmit_in_order(woken)

    def _resubmit_in_order(self, jobs: list[Job]) -> None:
        now = self._clock.steady()
        for job in reversed(jobs):
            job.resubmitted(now)
            self._resubmit(job)

    def _end_at(self, job: Job, position: int) -> None:
        self.settle(job)
        job.answer(Answer(position, job.prior, {"leases": []}, None))


class _Found(NamedTuple):
    """What acknowledged decisions have changed for waiting claims."""

    agents: dict[str, None]
    """Agents whose room changed, or that changed themselves."""
    kinds: dict[frozenset[str], None]
    """Kinds of which there is work."""
    grants: dict[str, list[tuple[Recorded, Task]]]
    """By agent: what others gave it."""

    def follow_task(self, recorded: Recorded, decision: Decision) -> None:
        """Note what an event means that is about a task."""
        task = decision.after.get((Entity.TASK, recorded.entity_id))
        if not isinstance(task, Task):
            return
        if task.lease is not None:
            self.agents[task.lease.agent_id] = None
        if task.former:
            self.agents[task.former[-1].agent_id] = None
        if task.status is TaskStatus.QUEUED:
            self.kinds[frozenset(task.definition.required_capabilities)] = None
        if _given_by_others(recorded, task):
            self.grants.setdefault(task.held_lease.agent_id, []).append((recorded, task))


def _given_by_others(recorded: Recorded, task: Task) -> bool:
    """Return whether an event is the grant of the task's lease, and not by a claim of its holder."""
    lease = task.lease
    return (
        type(recorded.event) in _GRANTS
        and lease is not None
        and lease.token == recorded.position
        and recorded.actor != agent_actor(lease.agent_id)
    )
