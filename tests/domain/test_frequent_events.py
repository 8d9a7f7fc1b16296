"""The most frequent events change the fields that they should, and no other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import fields, replace

from domain.events import Entity
from domain.events import task as ev
from domain.lifecycles import LeaseStatus, TaskStatus
from domain.policies.lease import LeasePolicy
from domain.recorded import Recorded
from domain.task import Definition, FormerLease, Lease, Outcome, Task, evolve_task

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)
NOW = AT + timedelta(minutes=9)
LATER = AT + timedelta(minutes=20)

LEASE = Lease(
    token=40, agent_id="A", attempt=3, granted_at=AT, lease_s=240.0, grace_s=60.0, expires_at=AT + timedelta(minutes=4),
    status=LeaseStatus.ACTIVE, started_at=AT, reports=4, percent=30, note="a note", checkpoint={"at": 1},
    report_times_s=(1.0, 2.0), last_beat_at=AT, renewals=5, extensions=1, escalated=True, stopped_s=7.0,
    advanced_at=AT, stalled_at=AT,
)  # fmt: skip
HANDOFF = ev.Handoff(
    recovered_at=AT, from_agent="B", progress=20, minutes_spent=3.0, reason="r", instructions="i", valid_until=LATER
)
TASK = Task(
    task_id="T", version=8, position=47, definition=Definition(request_digest="d", lease=LeasePolicy()),
    submitted_at=AT, status=TaskStatus.IN_PROGRESS, attempt=3, queued_position=30, submitted_position=3,
    not_before=NOW, avoids="B", avoids_until=LATER,
    status_since=AT, lease=LEASE,
    last_lease=replace(LEASE, token=20), former=(FormerLease(20, "B", LeaseStatus.EXPIRED, AT),), handoff=HANDOFF,
    failures=1, expiries=2, steals=1, releases=1, free_attempts=1, last_stolen_at=AT, late_token=20,
    outcome=Outcome("expired", AT, "sweeper", 20, "B", "x"), question="which?", answer="the first",
    retries=("T-r1",), traceparent="00-a-b-01",
)  # fmt: skip
ASSIGNED = replace(TASK, status=TaskStatus.ASSIGNED)
QUEUED = replace(TASK, status=TaskStatus.QUEUED, lease=None)
MOVED = replace(TASK, version=9, position=50)
TERMS: dict[str, Any] = {"lease_s": 300.0, "grace_s": 90.0, "expires_at": LATER}


def folded(task: Task, event: ev.TaskEvent) -> Task:
    return evolve_task(task, Recorded(50, Entity.TASK, "T", 9, NOW, "agent/A", "c", event))


def test_the_example_has_nothing_left_at_its_default() -> None:
    for entity in (TASK, LEASE):
        for field in fields(entity):
            assert field.name == "status" or getattr(entity, field.name) != field.default


def test_a_report() -> None:
    lease = replace(LEASE,
        **TERMS, reports=5, percent=55, note="news", checkpoint=[2], last_beat_at=NOW, advanced_at=NOW, stalled_at=None,
        report_times_s=(1.0, 2.0, NOW.timestamp()),
    )  # fmt: skip
    event = ev.Progressed(token=40, percent=55, message="news", checkpoint=[2], reports=5, **TERMS)
    assert folded(TASK, event) == replace(MOVED, lease=lease, expiries=0)


def test_a_report_without_words_keeps_the_last_ones() -> None:
    after = folded(TASK, ev.Progressed(token=40, percent=55, reports=5, **TERMS)).lease
    assert after is not None
    assert (after.note, after.checkpoint) == ("a note", {"at": 1})


@pytest.mark.parametrize("known", [31, 32, 40])
def test_only_the_last_reports_are_remembered(known: int) -> None:
    before = replace(TASK, lease=replace(LEASE, report_times_s=tuple(map(float, range(known)))))
    after = folded(before, ev.Progressed(token=40, percent=55, reports=5, **TERMS)).lease
    assert after is not None
    assert after.report_times_s == (*map(float, range(known - 31, known)), NOW.timestamp())


def test_a_renewal() -> None:
    lease = replace(LEASE, **TERMS, last_beat_at=NOW, renewals=6)
    assert folded(TASK, ev.Renewed(token=40, **TERMS)) == replace(MOVED, lease=lease)


def test_a_start() -> None:
    expected = replace(MOVED, status_since=NOW, lease=replace(LEASE, started_at=NOW, advanced_at=NOW, stalled_at=None))
    assert folded(ASSIGNED, ev.Started(token=40)) == expected


def test_a_grant() -> None:
    lease = Lease(token=50, agent_id="C", attempt=3, granted_at=NOW, status=LeaseStatus.ACTIVE, **TERMS)
    free = {"late_token": None, "not_before": None, "avoids": None, "avoids_until": None}
    expected = replace(MOVED, status=TaskStatus.ASSIGNED, status_since=NOW, lease=lease, **free)
    assert folded(QUEUED, ev.Leased(token=50, agent_id="C", attempt=3, **TERMS)) == expected
