"""A task of an older log is known to who submits it again: its definition lacks fields that later versions added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from domain.commands.submit import Submit
from domain.decisions.dispatch import decide
from domain.errors import RefusalCode
from domain.refusal import Refused
from domain.request import Request
from domain.rules import Rules
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState
from tests.golden.test_golden import read

V1 = Path(__file__).parent / "v1"
BODIES: dict[str, dict[str, Any]] = {
    "done": {"title": "Build", "payload": {"repo": "x", "n": [1, 2.5, None]}, "labels": ["simple"]},
    "late": {"deadline_s": 86_400.0, "lease": {"max_renewals": 1}},
    "stuck": {"lease": {"mode": "fixed", "lease_s": 3000.0, "grace_s": 30.0}},
    "aside": {"budgets": {"attempts": 1}, "priority": "critical", "estimated_hours": 1.5},
    "called-off": {"on_silence": "stuck", "required_capabilities": ["gpu"]},
    "overdue": {"deadline_s": 60.0},
}
"""What was submitted when the histories were made."""
DEFAULTS: dict[str, Any] = {
    "title": "",
    "payload": None,
    "priority": "medium",
    "labels": [],
    "on_silence": "requeue",
    "budgets": {},
}


@pytest.fixture
def old_state() -> PoolState:
    state, codec = PoolState("default", Rules()), CloudEventsCodec("default")
    assert state.fold_all([codec.decode(message) for message in read(V1 / "tasks.jsonl")]) == []
    assert {state.tasks[each].definition.retry for each in state.tasks} == {None}
    return state


def submit(state: PoolState, **body: Any) -> str:
    """Return what the submit found; raises Refused."""
    command = Submit.model_validate_json(json.dumps(body))
    decision = decide(state, Request(command, "ops", "again", verb="submit"), state.last_time, state.rules)
    if decision.refusal is not None:
        raise Refused(decision.refusal.code, decision.refusal.message, **decision.refusal.details)
    assert not decision.records
    return str((decision.result or {})["was"])


@pytest.mark.parametrize("task_id", BODIES)
def test_the_same_submit_again_is_known(old_state: PoolState, task_id: str) -> None:
    task = old_state.task(task_id)
    assert task is not None
    wanted = "ended" if task.terminal else "known"
    assert submit(old_state, task_id=task_id, **BODIES[task_id]) == wanted
    spelled_out = DEFAULTS | dict(reversed(BODIES[task_id].items()))
    assert submit(old_state, **spelled_out, task_id=task_id) == wanted, "with its defaults spelled out"


@pytest.mark.parametrize("task_id", BODIES)
@pytest.mark.parametrize(
    "change", [{"title": "Other"}, {"retry": {"delay_s": 9}}, {"stall_s": 77}, {"on_stall": "requeue"}], ids=str
)
def test_another_definition_is_refused(old_state: PoolState, task_id: str, change: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        submit(old_state, task_id=task_id, **(BODIES[task_id] | change))
    assert refused.value.refusal.code is RefusalCode.TASK_EXISTS
