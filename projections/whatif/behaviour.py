"""Reading recorded behaviour from the log, as steps that are the same for every policy.

A step is something that the rules did not decide: a grant, an agent's command, an operator's intervention, a probe's
evidence, an outage of the pool. The rules' own verdicts (renewals, expiries and what follows them) are no steps: a
replay decides them anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.actors import acting_agent
from domain.commands.agent_commands import Progress
from domain.due import due_at
from domain.events import Entity
from domain.events import agent as agent_ev
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.timestamps import after
from projections.state.pool_state import PoolState
from projections.whatif.reconstructed_commands import reconstruct_commands
from projections.whatif.recorded_steps import (
    AgentHeard,
    Attempt,
    ExpiriesReset,
    HolderCommand,
    LeaseEnded,
    LeaseExpired,
    LeaseGranted,
    PoolChanged,
    ProbeEvidence,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.rules import Rules
    from domain.task import Task
    from projections.whatif.recorded_steps import Step


_Event = tuple["Recorded", "Task | None"]
"""An event, and its task before it."""
_TAKEN_BY_OTHERS = (ev.Revoked, ev.Cancelled, ev.Failed, ev.Requeued, ev.Quarantined, ev.Completed, ev.Blocked)
"""Events by which the service or an operator ends a lease."""
WATCH_S = 1.0
"""The interval of the writer's outage watch. A copy: projections cannot import from handlers; a test compares them."""


def _mark_heard(attempts: Iterable[Attempt], time: datetime) -> None:
    for attempt in attempts:
        attempt.last_heard_at = time


def _waited(group: Sequence[_Event]) -> bool:
    """Return whether a claim was granted that had waited: its agent was heard when it was sent, not now."""
    return any(isinstance(recorded.event, ev.Leased) and recorded.event.asked_at is not None for recorded, _ in group)


class _OverdueInRecord:
    """The leases that the record had overdue before a command. Evaluated only where a policy finds a lease due."""

    def __init__(self, record: PoolState, rules: Rules, group: Sequence[_Event]) -> None:
        self._record = record
        self._rules = rules
        self._group = group

    def __contains__(self, attempt: object) -> bool:
        if not isinstance(attempt, Attempt) or not self._group:
            return False
        changed = (before for recorded, before in self._group if recorded.entity_id == attempt.task_id)
        task = next(changed, self._record.task(attempt.task_id))
        if task is None or task.lease is None or task.lease.token != attempt.token:
            return False
        due = due_at(task, self._record.pool, self._rules)
        return due is not None and due <= self._group[0][0].time


class RecordedBehaviour:
    """Turns the log, event by event, into steps. Memory is bounded by what is live."""

    def __init__(self, pool_id: str, rules: Rules, *, since: int = 1) -> None:
        self.record = PoolState(pool_id, rules)
        """The fold of the log itself."""
        self._rules = rules
        self._since = since
        self._attempts: dict[int, Attempt] = {}
        self._holding: dict[str, dict[int, Attempt]] = {}
        self._group: list[_Event] = []

    def take(self, recorded: Recorded) -> Iterator[Step]:
        """Fold one event; if it belongs to a new command, yield the steps of the previous command.

        Raises:
            FoldError, IllegalTransitionError: the event does not apply; the fold is unchanged.
        """
        group = self._group
        if group and (group[0][0].causation_id, group[0][0].actor) != (recorded.causation_id, recorded.actor):
            yield from self.flush()
        before = self.record.task(recorded.entity_id) if recorded.entity is Entity.TASK else None
        self.record.fold(recorded)
        self._group.append((recorded, before))

    def flush(self) -> Iterator[Step]:
        """Yield the steps of the last command."""
        group, self._group = self._group, []
        if not group:
            return
        agent_id = acting_agent(group[0][0].actor)
        if agent_id is not None:
            yield from self._by_agent(agent_id, group)
        else:
            for recorded, before in group:
                yield from self._by_others(recorded, before)

    def attempt(self, token: int) -> Attempt | None:
        """Return the lease with this token; None if its holder ended it, or if it was granted before `since`."""
        return self._attempts.get(token)

    def open_tokens(self) -> frozenset[int]:
        """Return the tokens of the leases that are held at the log's end."""
        return frozenset(token for held in self._holding.values() for token in held)

    def _by_agent(self, agent_id: str, group: list[_Event]) -> Iterator[Step]:
        if all(isinstance(recorded.event, agent_ev.LoadReported) for recorded, _ in group):
            return
        time = group[0][0].time
        held = self._renewed_by(agent_id, group)
        overdue = _OverdueInRecord(self.record, self._rules, group)
        commands = reconstruct_commands(group)
        if not commands and not _waited(group):
            yield AgentHeard(time, agent_id, held, overdue)
            _mark_heard(held, time)
        leaves = any(isinstance(recorded.event, agent_ev.Deregistered) for recorded, _ in group)
        for recorded, _ in group:
            if isinstance(recorded.event, ev.Leased):
                yield from self._granted(recorded, recorded.event)
            reconstructed = commands.get(recorded.position)
            attempt = self._attempts.get(reconstructed.command.token) if reconstructed is not None else None
            if reconstructed is None or attempt is None:
                continue
            late = attempt.token not in self._holding.get(agent_id, {})
            # A report is a sign of life for its own lease only; a refused command or a deregistration is one for none.
            only_own = (
                (late and not reconstructed.accepted_late) or leaves or isinstance(reconstructed.command, Progress)
            )
            also = () if only_own else tuple(each for each in held if each is not attempt)
            yield HolderCommand(time, attempt, reconstructed.command, also, overdue, late, reconstructed.accepted_late)
            _mark_heard((attempt, *also), time)
            if reconstructed.saves_work:
                attempt.saved_at = time
            if reconstructed.ends_work and not late:
                self._remove(attempt)
                del self._attempts[attempt.token]
            if isinstance(recorded.event, ev.Completed | ev.Failed):
                yield ExpiriesReset(time, recorded.entity_id)

    def _renewed_by(self, agent_id: str, group: list[_Event]) -> tuple[Attempt, ...]:
        """Return the leases for which a command is a sign of life: all that the agent holds.

        Of an agent that vouches for its tasks, those that were renewed: which ones it vouched for besides, the log does
        not say.
        """
        held = tuple(self._holding.get(agent_id, {}).values())
        agent = self.record.agent(agent_id)
        if agent is None or not agent.vouches:
            return held
        named = {recorded.entity_id for recorded, _ in group if recorded.entity is Entity.TASK}
        return tuple(attempt for attempt in held if attempt.task_id in named)

    def _by_others(self, recorded: Recorded, before: Task | None) -> Iterator[Step]:
        event, time = recorded.event, recorded.time
        if isinstance(event, pool_ev.Rearmed):
            # The writer notices an outage by looking at the clock every second, so it began up to a second earlier.
            blind_s = event.blind_s + (WATCH_S if event.reason == "outage" else 0.0)
            yield PoolChanged(time, after(time, -blind_s), self.record.pool, event.reason, event.blind_s)
        elif isinstance(event, pool_ev.ExpiryHeld | pool_ev.ExpiryResumed):
            yield PoolChanged(time, time, self.record.pool, event.name, 0.0)
        elif isinstance(event, ev.Extended):
            if (attempt := self._attempts.get(event.token)) is not None:
                yield ProbeEvidence(time, attempt, event.probe, event.evidence)
        elif isinstance(event, ev.Leased):
            yield from self._granted(recorded, event)
        elif isinstance(event, ev.Stolen):
            yield from self._ended(recorded, event.previous_token, before)
            yield from self._granted(recorded, event)
        elif isinstance(event, ev.Expired):
            if (attempt := self._attempts.get(event.token)) is not None:
                attempt.expired = True
                self._remove(attempt)
                yield LeaseExpired(time, attempt)
        elif isinstance(event, _TAKEN_BY_OTHERS):
            yield from self._taken(recorded, event, before)

    def _taken(self, recorded: Recorded, event: ev.TaskEvent, before: Task | None) -> Iterator[Step]:
        token = None if before is None else before.token
        if token is not None:
            yield from self._ended(recorded, token, before)
        if (
            isinstance(event, ev.Cancelled | ev.Failed | ev.Completed)
            or getattr(event, "cause", None) is ev.Cause.OPERATOR
        ):
            yield ExpiriesReset(recorded.time, recorded.entity_id)

    def _granted(self, recorded: Recorded, event: ev.Grant) -> Iterator[Step]:
        if recorded.position < self._since:
            return
        task = self.record.task(recorded.entity_id)
        if task is None:
            return
        attempt = Attempt(event.token, recorded.entity_id, event.agent_id, recorded.time)
        self._attempts[event.token] = attempt
        self._holding.setdefault(event.agent_id, {})[event.token] = attempt
        yield LeaseGranted(recorded.time, attempt, task, self._rules.renewal_worth * event.lease_s)

    def _ended(self, recorded: Recorded, token: int, before: Task | None) -> Iterator[Step]:
        attempt = self._attempts.get(token)
        if attempt is None:
            return
        of_stuck = isinstance(recorded.event, ev.Revoked) and before is not None and before.status is TaskStatus.STUCK
        # A deadline that passed is no sign that the pool was late in judging leases.
        group = [] if isinstance(recorded.event, ev.Failed) else [(recorded, before)]
        attempt.expired = of_stuck
        self._remove(attempt)
        yield LeaseEnded(recorded.time, attempt, of_stuck, _OverdueInRecord(self.record, self._rules, group))

    def _remove(self, attempt: Attempt) -> None:
        held = self._holding.get(attempt.agent_id)
        if held is not None:
            held.pop(attempt.token, None)
            if not held:
                del self._holding[attempt.agent_id]
