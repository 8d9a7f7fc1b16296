"""What may be done with a task, an agent and a pool: what the service would not refuse."""

import pytest

from domain.commands.operator_commands import OPS_COMMANDS
from domain.statuses import TaskStatus
from projections.live.actions import POOL_ACTIONS, agent_actions, task_actions


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (TaskStatus.QUEUED, ("cancel",)),
        (TaskStatus.ASSIGNED, ("revoke", "steal", "cancel")),
        (TaskStatus.IN_PROGRESS, ("revoke", "cancel")),
        (TaskStatus.STUCK, ("requeue", "revoke", "cancel")),
        (TaskStatus.BLOCKED, ("unblock", "cancel")),
        (TaskStatus.QUARANTINED, ("requeue", "cancel")),
        (TaskStatus.COMPLETED, ()),
        (TaskStatus.FAILED, ("retry",)),
        (TaskStatus.CANCELLED, ("retry",)),
    ],
)
def test_a_task(status: TaskStatus, actions: tuple[str, ...]) -> None:
    assert task_actions(status) == actions
    assert set(actions) <= set(OPS_COMMANDS)


@pytest.mark.parametrize(
    ("intake", "held", "actions"),
    [
        ("open", 0, ("pause", "drain")),
        ("open", 2, ("pause", "drain", "steal")),
        ("paused", 0, ("resume", "drain")),
        ("draining", 1, ("resume", "steal")),
    ],
)
def test_an_agent(intake: str, held: int, actions: tuple[str, ...]) -> None:
    assert agent_actions({"intake": intake, "held": held}) == actions
    assert set(actions) | set(POOL_ACTIONS) <= set(OPS_COMMANDS)
