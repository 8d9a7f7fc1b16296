"""The derived tables are the machines, and the machines are the wire contract's table."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Any

import pytest
from statemachine.exceptions import TransitionNotAllowed

from domain.events import EVENT_TYPES, Entity
from domain.lifecycles import (
    AGENT,
    HELD,
    INTAKE,
    LEASE,
    LEASE_ENDS,
    RANK,
    STEAL,
    TASK,
    TERMINAL,
    TICKING,
    AgentStatus,
    IllegalTransitionError,
    LeaseStatus,
    StealStatus,
    TaskStatus,
    TransitionTable,
)
from tests.support.cases import case

MACHINES: dict[str, TransitionTable[Any]] = {
    "task": TASK,
    "lease": LEASE,
    "agent": AGENT,
    "intake": INTAKE,
    "steal": STEAL,
}


def events_of(table: TransitionTable[Any]) -> list[str]:
    """Return the names of all events of a machine, asked of the machine itself."""
    return [event.id for event in table.machine().events]


NEW, QUEUED, ASSIGNED, IN_PROGRESS = TaskStatus.NEW, TaskStatus.QUEUED, TaskStatus.ASSIGNED, TaskStatus.IN_PROGRESS
STUCK, UNHELD, BLOCKED, QUARANTINED = TaskStatus.STUCK, TaskStatus.UNHELD, TaskStatus.BLOCKED, TaskStatus.QUARANTINED
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED
LIVING = set(TaskStatus) - TERMINAL - {NEW}

CONTRACT: dict[str, tuple[AbstractSet[TaskStatus], TaskStatus | None]] = {
    "submitted": ({NEW}, QUEUED),
    "leased": ({QUEUED}, ASSIGNED),
    "started": ({ASSIGNED}, IN_PROGRESS),
    "progressed": ({ASSIGNED, IN_PROGRESS}, IN_PROGRESS),
    "renewed": ({ASSIGNED, IN_PROGRESS}, None),
    "silenced": ({ASSIGNED, IN_PROGRESS}, None),
    "extended": (HELD, None),
    "escalated": ({ASSIGNED, IN_PROGRESS}, None),
    "stalled": (HELD, None),
    "stolen": ({ASSIGNED}, ASSIGNED),
    "released": ({ASSIGNED, IN_PROGRESS, STUCK}, UNHELD),
    "revoked": ({ASSIGNED, IN_PROGRESS, STUCK}, UNHELD),
    "expired": (HELD, UNHELD),
    "stuck": ({ASSIGNED, IN_PROGRESS}, STUCK),
    "recovered": ({STUCK}, IN_PROGRESS),
    # An operator may say what happened elsewhere to a task that no agent holds.
    "blocked": ({ASSIGNED, IN_PROGRESS, STUCK, QUEUED, BLOCKED, QUARANTINED}, BLOCKED),
    "unblocked": ({BLOCKED}, UNHELD),
    # A retryable failure is requeued, or quarantined by a spent budget, right from where the task is held.
    "requeued": ({UNHELD, QUARANTINED, QUEUED, BLOCKED, *HELD}, QUEUED),
    "quarantined": ({UNHELD, *HELD}, QUARANTINED),
    "completed": ({ASSIGNED, IN_PROGRESS, STUCK, QUEUED, QUARANTINED, BLOCKED}, COMPLETED),
    "failed": (LIVING, FAILED),
    "cancelled": (LIVING, CANCELLED),
    "updated": (LIVING - {UNHELD}, None),
}
"""The table of the wire contract: event -> from where, to what (None: no change)."""

RAISE_THE_ATTEMPT = {"requeued", "stolen"}


@pytest.mark.parametrize("name", MACHINES)
def test_table_and_machine_agree(name: str) -> None:
    table = MACHINES[name]
    for state in table.statuses:
        for event in events_of(table):
            with case(f"{state} + {event}"):
                check_agreement(table, state, event)


def check_agreement(table: TransitionTable[Any], state: StrEnum, event: str) -> None:
    machine = table.machine(start_value=state.value)

    if table.allows(state, event):
        machine.send(event)
        assert table.next[state, event].value == machine.current_state_value
        assert event in table.allowed(state)
    else:
        with pytest.raises(TransitionNotAllowed):
            machine.send(event)
        assert machine.current_state_value == state.value, "nothing happened"
        assert event not in table.allowed(state)
        with pytest.raises(IllegalTransitionError) as caught:
            table.next[state, event]
        assert (caught.value.state, caught.value.event) == (state.value, event)
        assert caught.value.allowed == table.allowed(state)


@pytest.mark.parametrize("name", MACHINES)
def test_no_state_has_two_targets_for_one_event(name: str) -> None:
    table = MACHINES[name]
    pairs = [
        (state.value, event.id)
        for state in table.machine.states_map.values()
        for transition in state.transitions
        for event in transition.events
    ]
    assert len(pairs) == len(set(pairs)) == len(table.items())


@pytest.mark.parametrize("event", CONTRACT)
def test_the_task_machine_is_the_contracts_table(event: str) -> None:
    sources, target = CONTRACT[event]

    assert {state for state in TaskStatus if TASK.allows(state, event)} == sources
    for state in sources:
        assert TASK.next[state, event] is (target or state), state


def test_every_event_of_the_contract_is_in_the_machine_and_the_catalogue() -> None:
    names = {cls.name for cls in EVENT_TYPES.values() if cls.entity is Entity.TASK}
    assert CONTRACT.keys() == set(events_of(TASK))
    # Evidence and notes beside the life: no transition.
    assert names == CONTRACT.keys() | {"late_progress", "noted"}


def test_no_transition_lowers_attempt_and_rank() -> None:
    lowered = {(state, event) for state, event, after in TASK.items() if RANK[after] < RANK[state]}
    assert {event for _, event in lowered} <= RAISE_THE_ATTEMPT, lowered


def test_ranks_are_the_contracts() -> None:
    by_rank = [{status for status, rank in RANK.items() if rank == each} for each in range(5)]
    assert by_rank == [{NEW, QUEUED}, {ASSIGNED}, {IN_PROGRESS, STUCK}, {BLOCKED, QUARANTINED, UNHELD}, set(TERMINAL)]
    assert RANK.keys() == set(TaskStatus)


ENDS = [*sorted(TERMINAL), *sorted(LEASE_ENDS), StealStatus.COMPLETED, StealStatus.FAILED]


@pytest.mark.parametrize("state", ENDS, ids=repr)
def test_the_end_is_for_ever(state: StrEnum) -> None:
    tables: dict[type, TransitionTable[Any]] = {TaskStatus: TASK, LeaseStatus: LEASE, StealStatus: STEAL}
    assert tables[type(state)].allowed(state) == ()


@pytest.mark.parametrize("state", sorted(LIVING))
def test_a_living_task_can_always_be_ended(state: TaskStatus) -> None:
    assert {"failed", "cancelled"} <= set(TASK.allowed(state))


def test_the_lease_follows_its_task() -> None:
    """Whatever may happen to a held task may happen to its lease, with the same meaning."""
    held = [each for each in TASK.items() if each[0] in HELD]
    assert {state for state, _, _ in held} == HELD
    for state, event, after in held:
        with case(f"{state} + {event}"):
            check_lease(state, event, after)


def check_lease(state: TaskStatus, event: str, after: TaskStatus) -> None:
    for lease in (LeaseStatus.ACTIVE,) if state in TICKING else (LeaseStatus.ACTIVE, LeaseStatus.STOPPED):
        after_it = LEASE.next[lease, event]
        if after in TICKING and event != "stolen":
            assert after_it is LeaseStatus.ACTIVE
        elif after in HELD and event != "stolen":
            assert after_it is lease, "whether the clock runs is the event's to say"
        else:
            assert after_it in LEASE_ENDS


def test_a_stuck_task_stops_the_clock_of_its_lease_or_not() -> None:
    assert LEASE.next[LeaseStatus.ACTIVE, "stuck"] is LeaseStatus.ACTIVE
    assert LEASE.next[LeaseStatus.ACTIVE, "stopped"] is LeaseStatus.STOPPED


def test_an_agent_must_register_before_anything_else_and_may_again() -> None:
    assert AGENT.allowed(AgentStatus.NEW) == AGENT.allowed(AgentStatus.DEREGISTERED) == ("registered",)


def test_an_illegal_transition_says_what_is_allowed() -> None:
    with pytest.raises(
        IllegalTransitionError, match="'leased' is not allowed from 'completed'; allowed: nothing"
    ) as caught:
        TASK.next[COMPLETED, "leased"]
    assert caught.value.allowed == ()
