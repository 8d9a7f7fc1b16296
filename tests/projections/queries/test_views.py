"""Backlog, workloads and due times against a look at everything, for any tasks and agents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.agent import Agent
from domain.due import due_at, not_due_before
from domain.lifecycles import AgentStatus, IntakeStatus, TaskStatus
from domain.policies.lease import LeasePolicy
from domain.policies.load_balancing import LoadStatus, StealConfig
from domain.pool import Pool
from domain.rules import Rules
from domain.task import Definition, Lease, Task
from domain.timestamps import after
from domain.values import Priority
from projections.state.backlog import Backlog
from projections.state.due_times import DueTimes
from projections.state.workloads import Workloads
from tests.support.invariants import naive_best_agent

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
RULES = Rules()

capabilities = st.frozensets(st.sampled_from(["gpu", "web", "db"]))
moments = st.integers(0, 3000).map(lambda seconds: START + timedelta(seconds=seconds))
definitions = st.builds(
    lambda priority, required, deadline: Definition(
        request_digest="",
        lease=LeasePolicy(),
        priority=priority,
        required_capabilities=tuple(sorted(required)),
        deadline=deadline,
    ),
    st.sampled_from(Priority),
    capabilities,
    st.none() | moments,
)
leases = st.builds(
    lambda token, agent_id, granted_at, term_s, reports, beat: Lease(
        token=token,
        agent_id=agent_id,
        attempt=1,
        granted_at=granted_at,
        lease_s=float(term_s),
        grace_s=60.0,
        expires_at=granted_at + timedelta(seconds=term_s),
        reports=len(reports),
        report_times_s=tuple(sorted(reports)),
        last_beat_at=beat,
    ),
    st.integers(1, 10_000),
    st.sampled_from("ABCD"),
    moments,
    st.integers(1, 2000),
    st.lists(st.floats(START.timestamp(), START.timestamp() + 3000), max_size=4),
    st.none() | moments,
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    status = draw(st.sampled_from(sorted(set(TaskStatus) - {TaskStatus.NEW, TaskStatus.UNHELD})))
    held = status in {TaskStatus.ASSIGNED, TaskStatus.IN_PROGRESS, TaskStatus.STUCK}
    position = draw(st.integers(1, 10_000))
    return Task(
        task_id="",
        version=1,
        position=position,
        definition=draw(definitions),
        submitted_at=START,
        status=status,
        attempt=1,
        queued_position=position,
        submitted_position=position,
        status_since=START,
        lease=draw(leases) if held else None,
    )


def named(states: list[tuple[str, Task]]) -> list[tuple[str, Task]]:
    """Give each state its name, and a place in the log of its own."""
    return [
        (
            task_id,
            replace(
                task,
                task_id=task_id,
                definition=next(first.definition for name, first in states if name == task_id),
                submitted_position=number,
                lease=replace(task.lease, token=number) if task.lease is not None else None,
            ),
        )
        for number, (task_id, task) in enumerate(states, start=1)
    ]


changes = st.lists(st.tuples(st.sampled_from(["T1", "T2", "T3", "T4", "T5"]), tasks()), max_size=25).map(named)
"""A history of task states, one replacing another."""

agents = st.lists(
    st.builds(
        lambda name, status, intake, has, capacity, cpu, age_s: Agent(
            name, 1, 1, ord(name), status, intake, has, capacity=capacity, cpu=cpu, load_at=after(START, -age_s)
        ),
        st.sampled_from("ABCD"),
        st.sampled_from([AgentStatus.LIVE, AgentStatus.LIVE, AgentStatus.LOST]),
        st.sampled_from([IntakeStatus.OPEN, IntakeStatus.OPEN, IntakeStatus.DRAINING]),
        capabilities,
        st.integers(1, 4),
        st.sampled_from([0.0, 50.0, 90.0]),
        st.sampled_from([0.0, 5.0, 5.5, 20.0]),
    ),
    max_size=8,
)
pools = st.builds(
    lambda not_before, jitter_s, held: Pool("p", not_before=not_before, jitter_s=jitter_s, expiry_held=held),
    st.none() | moments,
    st.floats(0, 60),
    st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(history=changes, able=capabilities, limit=st.integers(0, 8))
def test_the_backlog_is_the_queued_tasks_by_urgency_then_age(
    history: list[tuple[str, Task]], able: frozenset[str], limit: int
) -> None:
    backlog, now = Backlog(), dict[str, Task]()
    for task_id, task in history:
        backlog.replace(now.get(task_id), task)
        now[task_id] = task

    queued = [task for task in now.values() if task.status is TaskStatus.QUEUED]
    fits = [task for task in queued if able.issuperset(task.definition.required_capabilities)]
    fits.sort(key=lambda task: (-task.definition.priority.rank, task.submitted_position))
    assert len(backlog) == len(queued)
    agent = Agent("A", 1, 1, 1, AgentStatus.LIVE, capabilities=able)
    assert backlog.first(agent, limit, Workloads(StealConfig())) == [task.task_id for task in fits][:limit]

    for task in now.values():
        backlog.replace(task, None)
    assert len(backlog) == 0


@settings(deadline=None, max_examples=60)
@given(
    history=changes,
    joining=agents,
    required=capabilities,
    looks=st.lists(st.sampled_from([-30.0, -10.0, 0.0, 1.0]), max_size=3),
)
def test_workloads_are_the_leases_held_and_name_the_policys_best_agent(
    history: list[tuple[str, Task]], joining: list[Agent], required: frozenset[str], looks: list[float]
) -> None:
    workloads, now, known = Workloads(StealConfig()), dict[str, Task](), dict[str, Agent]()
    for number in range(max(len(history), len(joining))):
        if number < len(history):
            task_id, task = history[number]
            workloads.replace_task(task_id, now.get(task_id), task)
            now[task_id] = task
        if number < len(looks):
            workloads.with_load(LoadStatus.NORMAL, after(START, looks[number]))
        if number < len(joining):
            agent = joining[number]
            workloads.replace_agent(agent.agent_id, known.get(agent.agent_id), agent)
            known[agent.agent_id] = agent

    held = {
        agent_id: sorted(
            (task.lease.token, task.task_id) for task in now.values() if task.lease and task.lease.agent_id == agent_id
        )
        for agent_id in "ABCD"
    }
    counts = {agent_id: len(of_agent) for agent_id, of_agent in held.items()}
    in_order = sorted(known.values(), key=lambda agent: agent.registered_position)
    assert set(workloads.holders()) == {agent_id for agent_id, count in counts.items() if count}
    for agent_id in "ABCD":
        assert list(workloads.held_by(agent_id)) == [task_id for _, task_id in held[agent_id]]
        assert workloads.count(agent_id) == counts[agent_id]
    assert workloads.best_agent(required) == naive_best_agent(required, in_order, counts)
    for since in (after(START, -10), after(START, -5), START, after(START, 1), after(START, -20)):
        for status in LoadStatus:
            assert list(workloads.with_load(status, since)) == [
                agent.agent_id
                for agent in in_order
                if StealConfig().load_status(counts[agent.agent_id], agent.cpu_since(since)) is status
                and (agent.may_be_stolen_from if status is LoadStatus.OVERLOADED else agent.accepts_grants)
            ]


@settings(deadline=None, max_examples=80)
@given(history=changes, pool=pools, looks=st.lists(moments, max_size=3), now_at=moments, limit=st.integers(1, 6))
def test_due_times_are_what_a_look_at_every_task_finds(
    history: list[tuple[str, Task]], pool: Pool, looks: list[datetime], now_at: datetime, limit: int
) -> None:
    now: dict[str, Task] = {}
    due_times = DueTimes(RULES, now.get)
    for number, (task_id, task) in enumerate(history):
        now[task_id] = task
        due_times.replace(task_id, task)
        if number < len(looks):
            due_times.due(looks[number], 10, pool)

    exact = {task_id: due_at(task, pool, RULES) for task_id, task in now.items()}
    expected = {task_id for task_id, moment in exact.items() if moment is not None and moment <= now_at}
    assert set(due_times.due(now_at, 100, pool)) == expected
    some = due_times.due(now_at, limit, pool)
    assert set(some) <= expected
    assert len(some) == min(limit, len(expected))
    assert due_times.next_at(pool) == min((moment for moment in exact.values() if moment is not None), default=None)


@settings(deadline=None, max_examples=100)
@given(task=tasks(), pool=pools)
def test_the_cheap_bound_is_never_later_than_the_due_time(task: Task, pool: Pool) -> None:
    exact, bound = due_at(task, pool, RULES), not_due_before(task, RULES)
    assert exact is None or (bound is not None and bound <= exact)
