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
    ("status", "intake", "holds", "actions"),
    [
        ("live", "open", (), ("pause", "drain")),
        ("live", "open", ("in_progress", "assigned"), ("pause", "drain", "steal")),
        ("live", "open", ("in_progress", "stuck"), ("pause", "drain")),
        ("live", "paused", (), ("resume", "drain")),
        ("live", "draining", ("assigned",), ("resume", "steal")),
        ("lost", "open", ("assigned",), ("pause", "drain")),
    ],
)
def test_an_agent(status: str, intake: str, holds: tuple[str, ...], actions: tuple[str, ...]) -> None:
    named = [{"status": each} for each in holds]
    assert agent_actions({"status": status, "intake": intake, "held": len(holds), "holds": named}) == actions
    assert set(actions) | set(POOL_ACTIONS) <= set(OPS_COMMANDS)


def test_an_agent_that_holds_more_than_its_row_names() -> None:
    row = {"status": "live", "intake": "open", "held": 2, "holds": [{"status": "in_progress"}]}
    assert "steal" in agent_actions(row), "the other one may not have begun"
