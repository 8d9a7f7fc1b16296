"""A pool's log in memory, with a task that was worked on, for look-ups in it."""

from __future__ import annotations

from handlers.ports import NewMessage
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, Scenario

POOL = "default"


def worked_on(reports: int) -> Scenario:
    """Return a pool with a task of two attempts, reported on in the first, and held in the second."""
    s = Scenario()
    token = s.holds("a", "T")
    for _ in range(reports):
        s.given("a", "progress", task_id="T", token=token, percent=10)
    s.given(OPS, "revoke", task_id="T")
    s.given(OPS, "assign", task_id="T", agent_id="a")
    return s


def log_of(s: Scenario) -> MemoryEventLog:
    return MemoryEventLog(POOL, [NewMessage(each.subject, each.body, each.headers) for each in s.messages])
