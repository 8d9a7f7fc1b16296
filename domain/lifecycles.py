"""The state machines, declared once: task, lease, agent, intake and steal operation.

The classes are the only definition of which transitions are allowed. `evolve` and `decide` look transitions up in a
table that is derived from the classes at import: a look-up is a thousand times quicker than a running machine. A test
proves table and machine equal for every (state, event). Source: the lifecycle table of the wire contract.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from statemachine import StateMachine
from statemachine.states import States

from domain.statuses import TERMINAL, AgentStatus, IntakeStatus, LeaseStatus, StealStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AGENT",
    "HELD",
    "INTAKE",
    "LEASE",
    "LEASE_ENDING_EVENTS",
    "LEASE_ENDS",
    "RANK",
    "STEAL",
    "STEAL_ENDING_EVENTS",
    "STEAL_ENDS",
    "TASK",
    "TERMINAL",
    "TICKING",
    "AgentLifecycle",
    "AgentStatus",
    "IllegalTransitionError",
    "IntakeLifecycle",
    "IntakeStatus",
    "LeaseLifecycle",
    "LeaseStatus",
    "StealLifecycle",
    "StealStatus",
    "TaskLifecycle",
    "TaskStatus",
    "TransitionTable",
]

S = TypeVar("S", bound=StrEnum)


HELD = frozenset({TaskStatus.ASSIGNED, TaskStatus.IN_PROGRESS, TaskStatus.STUCK})
"""Statuses in which exactly one agent holds a lease."""
TICKING = frozenset({TaskStatus.ASSIGNED, TaskStatus.IN_PROGRESS})
"""Statuses in which a lease is held and its clock is running; in `stuck` it runs with `on_silence: requeue`."""

RANK = {
    TaskStatus.NEW: 0,
    TaskStatus.QUEUED: 0,
    TaskStatus.ASSIGNED: 1,
    TaskStatus.IN_PROGRESS: 2,
    TaskStatus.STUCK: 2,
    TaskStatus.UNHELD: 3,
    TaskStatus.BLOCKED: 3,
    TaskStatus.QUARANTINED: 3,
    TaskStatus.COMPLETED: 4,
    TaskStatus.FAILED: 4,
    TaskStatus.CANCELLED: 4,
}
"""(attempt, rank) of a task never falls along the log."""


class TaskLifecycle(StateMachine):
    """A task, from its submission to its end. `late_progress` and `noted` change no status, so they are not here."""

    st = States.from_enum(TaskStatus, initial=TaskStatus.NEW, final=TERMINAL)

    submitted = st.NEW.to(st.QUEUED)
    leased = st.QUEUED.to(st.ASSIGNED)
    started = st.ASSIGNED.to(st.IN_PROGRESS)
    progressed = st.ASSIGNED.to(st.IN_PROGRESS) | st.IN_PROGRESS.to.itself()
    renewed = st.ASSIGNED.to.itself() | st.IN_PROGRESS.to.itself()
    silenced = st.ASSIGNED.to.itself() | st.IN_PROGRESS.to.itself()
    extended = st.ASSIGNED.to.itself() | st.IN_PROGRESS.to.itself() | st.STUCK.to.itself()
    escalated = st.ASSIGNED.to.itself() | st.IN_PROGRESS.to.itself()
    stalled = st.ASSIGNED.to.itself() | st.IN_PROGRESS.to.itself() | st.STUCK.to.itself()
    stolen = st.ASSIGNED.to.itself()
    released = st.UNHELD.from_(st.ASSIGNED, st.IN_PROGRESS, st.STUCK)
    revoked = st.UNHELD.from_(st.ASSIGNED, st.IN_PROGRESS, st.STUCK)
    expired = st.UNHELD.from_(st.ASSIGNED, st.IN_PROGRESS, st.STUCK)
    stuck = st.STUCK.from_(st.ASSIGNED, st.IN_PROGRESS)
    recovered = st.STUCK.to(st.IN_PROGRESS)
    blocked = st.BLOCKED.from_(st.ASSIGNED, st.IN_PROGRESS, st.STUCK, st.QUEUED, st.BLOCKED, st.QUARANTINED)
    unblocked = st.BLOCKED.to(st.UNHELD)
    requeued = st.QUEUED.from_(st.UNHELD, st.ASSIGNED, st.IN_PROGRESS, st.STUCK, st.QUARANTINED, st.QUEUED, st.BLOCKED)
    quarantined = st.QUARANTINED.from_(st.UNHELD, st.ASSIGNED, st.IN_PROGRESS, st.STUCK)
    completed = st.COMPLETED.from_(st.ASSIGNED, st.IN_PROGRESS, st.STUCK, st.QUEUED, st.QUARANTINED, st.BLOCKED)
    failed = st.FAILED.from_(st.QUEUED, st.ASSIGNED, st.IN_PROGRESS, st.STUCK, st.UNHELD, st.BLOCKED, st.QUARANTINED)
    updated = (
        st.QUEUED.to.itself()
        | st.ASSIGNED.to.itself()
        | st.IN_PROGRESS.to.itself()
        | st.STUCK.to.itself()
        | st.BLOCKED.to.itself()
        | st.QUARANTINED.to.itself()
    )
    cancelled = st.CANCELLED.from_(
        st.QUEUED, st.ASSIGNED, st.IN_PROGRESS, st.STUCK, st.UNHELD, st.BLOCKED, st.QUARANTINED
    )


LEASE_ENDS = frozenset(LeaseStatus) - {LeaseStatus.NEW, LeaseStatus.ACTIVE, LeaseStatus.STOPPED}
"""Statuses of a lease that has ended."""


class LeaseLifecycle(StateMachine):
    """A lease: granted, renewed any number of times, then exactly one end.

    A `stuck` task stops its lease's clock with `on_silence: stuck`, which is `stopped` here; else the clock runs on.
    Before decision 73 it was stopped in either case: such a lease expires, and may be extended, from `stopped`.
    """

    st = States.from_enum(LeaseStatus, initial=LeaseStatus.NEW, final=LEASE_ENDS)

    granted = st.NEW.to(st.ACTIVE)
    started = st.ACTIVE.to.itself()
    progressed = st.ACTIVE.to.itself()
    renewed = st.ACTIVE.to.itself()
    silenced = st.ACTIVE.to.itself()
    extended = st.ACTIVE.to.itself() | st.STOPPED.to.itself()
    escalated = st.ACTIVE.to.itself()
    stalled = st.ACTIVE.to.itself() | st.STOPPED.to.itself()
    updated = st.ACTIVE.to.itself() | st.STOPPED.to.itself()
    stuck = st.ACTIVE.to.itself()
    stopped = st.ACTIVE.to(st.STOPPED)
    recovered = st.ACTIVE.from_(st.ACTIVE, st.STOPPED)
    expired = st.EXPIRED.from_(st.ACTIVE, st.STOPPED)
    stolen = st.ACTIVE.to(st.STOLEN)
    released = st.RELEASED.from_(st.ACTIVE, st.STOPPED)
    revoked = st.REVOKED.from_(st.ACTIVE, st.STOPPED)
    blocked = st.BLOCKED.from_(st.ACTIVE, st.STOPPED)
    completed = st.COMPLETED.from_(st.ACTIVE, st.STOPPED)
    cancelled = st.CANCELLED.from_(st.ACTIVE, st.STOPPED)
    failed = st.FAILED.from_(st.ACTIVE, st.STOPPED)
    requeued = st.FAILED.from_(st.ACTIVE, st.STOPPED)
    quarantined = st.FAILED.from_(st.ACTIVE, st.STOPPED)


class AgentLifecycle(StateMachine):
    """An agent. It may register again after it left. For pausing and draining see `IntakeLifecycle`.

    `noted` changes no status, so it is not here.
    """

    st = States.from_enum(AgentStatus, initial=AgentStatus.NEW)

    registered = st.LIVE.from_(st.NEW, st.LIVE, st.LOST, st.DEREGISTERED)
    heartbeat = st.LIVE.from_(st.LIVE, st.LOST)
    load_reported = st.LIVE.to.itself() | st.LOST.to.itself()
    draining = st.LIVE.to.itself() | st.LOST.to.itself()
    paused = st.LIVE.to.itself() | st.LOST.to.itself()
    resumed = st.LIVE.to.itself() | st.LOST.to.itself()
    lost = st.LIVE.to(st.LOST)
    deregistered = st.DEREGISTERED.from_(st.LIVE, st.LOST)


class IntakeLifecycle(StateMachine):
    """The intake of a pool or of one agent: whether it takes new grants. Everything but grants goes on when closed."""

    st = States.from_enum(IntakeStatus, initial=IntakeStatus.OPEN)

    paused = st.PAUSED.from_(st.OPEN, st.DRAINING)
    draining = st.DRAINING.from_(st.OPEN, st.PAUSED, st.DRAINING)
    resumed = st.OPEN.from_(st.PAUSED, st.DRAINING)


STEAL_ENDS = frozenset({StealStatus.COMPLETED, StealStatus.FAILED})


class StealLifecycle(StateMachine):
    """A steal operation: planned in an append of its own, then executed or failed."""

    st = States.from_enum(StealStatus, initial=StealStatus.NEW, final=STEAL_ENDS)

    planned = st.NEW.to(st.PLANNED)
    executing = st.PLANNED.to(st.EXECUTING)
    completed = st.EXECUTING.to(st.COMPLETED)
    failed = st.PLANNED.to(st.FAILED)


class IllegalTransitionError(Exception):
    """A lifecycle does not allow an event in a state; the state is unchanged."""

    def __init__(self, state: str, event: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{event!r} is not allowed from {state!r}; allowed: {', '.join(allowed) or 'nothing'}")
        self.state = state
        self.event = event
        self.allowed = allowed


class TransitionTable(Generic[S]):
    """(state, event) -> state, derived from a machine's class."""

    def __init__(self, machine: type[StateMachine], statuses: type[S]) -> None:
        self.machine = machine
        self.statuses = statuses
        self.next: Mapping[tuple[S, str], S] = _Transitions(
            {
                (statuses(state.value), event.id): statuses(transition.target.value)
                for state in machine.states_map.values()
                for transition in state.transitions
                for event in transition.events
                if transition.target is not None
            }
        )
        """The next state by (state, event); raises IllegalTransitionError where the machine has no such transition.

        A mapping and not a method, because a look-up is cheaper than a call and the fold of an event needs two.
        """

    def allows(self, state: S, event: str) -> bool:
        """Return whether the event may happen in the state."""
        return (state, event) in self.next

    def allowed(self, state: S) -> tuple[str, ...]:
        """Return the names of the events that may happen in the state, sorted."""
        return _allowed(state, self.next)

    def leads_to(self, event: str) -> S | None:
        """Return the state that an event leads to wherever it may happen; None if there are several, or none."""
        targets = {target for (_, name), target in self.next.items() if name == event}
        return next(iter(targets)) if len(targets) == 1 else None

    def items(self) -> list[tuple[S, str, S]]:
        """Return every (state, event, next state)."""
        return [(state, event, target) for (state, event), target in self.next.items()]


class _Transitions(dict[tuple[S, str], S]):
    def __missing__(self, key: tuple[S, str]) -> NoReturn:
        state, event = key
        raise IllegalTransitionError(state.value, event, _allowed(state, self))


def _allowed(state: S, transitions: Mapping[tuple[S, str], S]) -> tuple[str, ...]:
    return tuple(sorted(event for (source, event) in transitions if source == state))


TASK = TransitionTable(TaskLifecycle, TaskStatus)
LEASE = TransitionTable(LeaseLifecycle, LeaseStatus)
AGENT = TransitionTable(AgentLifecycle, AgentStatus)
INTAKE = TransitionTable(IntakeLifecycle, IntakeStatus)
STEAL = TransitionTable(StealLifecycle, StealStatus)

LEASE_ENDING_EVENTS = frozenset(event for _, event, status in LEASE.items() if status in LEASE_ENDS)
"""Names of task events; `stolen` ends one lease and grants the next."""
STEAL_ENDING_EVENTS = frozenset(event for _, event, status in STEAL.items() if status in STEAL_ENDS)
