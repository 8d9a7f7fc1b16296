"""What is counted of live tasks is what counting them gives, for any leases, at any moment, under any floor."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.lifecycles import LeaseStatus, TaskStatus
from domain.policies.lease import LeasePolicy
from domain.pool import Pool
from domain.rules import Rules
from domain.statuses import TERMINAL
from domain.task import Definition, Lease, Task
from projections.queries.pool_copy import copy_of
from projections.queries.statistics_view import kept_statistics, statistics_document
from projections.state.pool_state import PoolState
from projections.state.statistics import Statistics
from tests.projections.queries.test_views import RULES, START, changes, moments, pools

TOTALS = Statistics().totals() | {status.value: 0 for status in TERMINAL}


def check(state: PoolState, now: datetime) -> None:
    assert kept_statistics(state, TOTALS, now) == statistics_document(copy_of(state, now, TOTALS, lambda _: None))


def state_of(history: list[tuple[str, Task]], pool: Pool, rules: Rules = RULES) -> PoolState:
    """Return a state in which each task was replaced by its later ones, one by one."""
    state = PoolState("p", rules)
    state.pool = pool
    for task_id, task in history:
        old = state.tasks.get(task_id)
        # Any states in any order, which no log would give.
        state.indexes.replace_task(task_id, old, task)
        state.tasks[task_id] = task
        if task.terminal:
            del state.tasks[task_id]
    return state


@settings(deadline=None, max_examples=150)
@given(
    history=changes,
    pool=pools,
    now=moments,
    stopped=st.booleans(),
    warning_s=st.sampled_from([0.0, 0.1, 60.0, 61.5]),
    micros=st.sampled_from([0, 1, 999_999]),
)
def test_they_follow_every_change(
    history: list[tuple[str, Task]], pool: Pool, now: datetime, *, stopped: bool, warning_s: float, micros: int
) -> None:
    if stopped:
        history = [
            (task_id, replace(task, lease=replace(task.lease, status=LeaseStatus.STOPPED)))
            if task.lease is not None and task.status is TaskStatus.STUCK
            else (task_id, task)
            for task_id, task in history
        ]
    state = state_of(history, pool, Rules(warning_s=warning_s))
    check(state, now + timedelta(microseconds=micros))
    for task_id, task in list(state.tasks.items()):
        state.indexes.replace_task(task_id, task, None)
        del state.tasks[task_id]
    check(state, now)
    assert not state.indexes.counts._by_second  # noqa: SLF001 - what is not released shows nowhere else


@settings(deadline=None, max_examples=60)
@given(left_s=st.sampled_from([-31.0, -1e-6, 0.0, 1e-6, 59.999999, 60.0, 60.000001]), floor_s=st.integers(-40, 40))
@example(left_s=60.0, floor_s=1)
def test_a_lease_at_the_edge_of_a_phase_is_in_the_phase_that_its_row_shows(left_s: float, floor_s: int) -> None:
    now = START + timedelta(seconds=100)
    pool = Pool("p", not_before=now + timedelta(seconds=floor_s), jitter_s=30.0)
    history = []
    for number in range(1, 9):
        task = _held(f"T{number}", number, now + timedelta(seconds=left_s))
        history.append((task.task_id, task))
    check(state_of(history, pool), now)


def _held(task_id: str, token: int, expires_at: datetime) -> Task:

    definition = Definition(request_digest="", lease=LeasePolicy())
    lease = Lease(token, "A", 1, START, 180.0, 60.0, expires_at)
    return Task(task_id, 2, token, definition, START, TaskStatus.ASSIGNED, 1, token, START, lease)
