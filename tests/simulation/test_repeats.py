"""Whatever happened to a pool, a repeat is answered byte for byte as the first time, at once and after a restart."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from random import Random
from typing import Any, cast

import pytest
from msgspec.structs import replace

from domain.entities import EntityKey
from domain.events import Entity
from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.recorded import Recorded
from domain.rules import Rules
from domain.task import Lease, Task
from domain.task.outline import QUIET_EVENTS, fold_outline, with_first_report
from handlers.memory.lookup import Lookup, fold_task
from handlers.memory.task_outlines import TaskOutlines
from projections.state import ended_entities
from tests.simulation.lives import live_in
from tests.support.pool_harness import POOL, Asked, PoolHarness

SEEDS = range(8)
STEPS = 160
VIEWS = {"register", "heartbeat"}
KEPT_WITH = {None, "stale_token", "task_finished"}
"""Answers of commands whose events are their outcome: no error, or that of a late report."""
LEASE_NUMBERS = (
    *("lease_s", "grace_s", "expires_at", "reports", "percent", "note", "checkpoint", "report_times_s"),
    *("last_beat_at", "renewals", "extensions", "escalated", "advanced_at", "stalled_at", "started_at"),
)
"""What reports and renewals change."""
NO_LEASE = Lease(0, "", 0, cast("Any", None), 0, 0, cast("Any", None))


class KeyedHarness(PoolHarness):
    """A pool whose callers give every command an id of its own, and can send all of them again."""

    def post(
        self,
        subject: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        reply: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Asked:
        """Send a request as `PoolHarness` does, with a `command_id` unless it has one."""
        if not isinstance(body, bytes) and not subject.startswith("query."):
            body = {"command_id": f"c{len(self.asked)}", **(body or {})}
        return super().post(subject, body, reply=reply, headers=headers)

    def with_outcome(self) -> list[Asked]:
        """Return what was asked, was answered, and has its outcome on record; but for views."""
        found = []
        for asked in self.asked:
            head, _, verb = asked.subject.rpartition(".")
            command_id = json.loads(asked.body).get("command_id", "")
            key = ("ops" if head == "ops" else head.replace("agent.", "agent/"), verb, command_id)
            positions = self.service.memory.outcomes.get(key)
            if positions and verb not in VIEWS and asked.replies and asked.answer.code in KEPT_WITH:
                found.append(asked)
        return found

    async def repeat_all(self) -> Counter[str]:
        """Send all of it again, and check the answers; return how often each verb was repeated."""
        firsts, position = self.with_outcome(), self.position
        again = [self.post(first.subject, first.body) for first in firsts]
        await self.rest()
        for first, second in zip(firsts, again, strict=True):
            assert second.answer.raw == first.answer.raw, (first.subject, first.body)
        assert self.position == position
        return Counter(first.subject.rpartition(".")[2] for first in firsts)


async def lived(seed: int, steps: int = STEPS) -> KeyedHarness:
    """Return a pool in which so many things happened."""
    pool = KeyedHarness(Rules())
    await live_in(pool, Random(seed), steps=steps)
    await pool.rest()
    return pool


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_answer_comes_again(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:
        monkeypatch.setattr(ended_entities, "RECENT_ENTITIES", 2)
    pool = await lived(seed)

    verbs = await pool.repeat_all()
    await pool.restart(after_s=1)
    await pool.repeat_all()

    assert verbs.keys() >= {"progress", "claim", "submit"}
    await pool.finish()


@pytest.mark.parametrize("seed", SEEDS[:4])
async def test_an_outline_tells_all_but_the_numbers_of_the_lease(seed: int) -> None:
    pool = await lived(seed)
    lookup = Lookup(POOL, pool.log, pool.codec)
    for task_id, history in histories(pool).items():
        for count in range(1, len(history) + 1):
            whole = fold_task(history[:count])
            outline = fold_outline([each for each in history[:count] if type(each.event) not in QUIET_EVENTS])
            assert whole is not None
            assert outline is not None
            if outline.status is TaskStatus.ASSIGNED and whole.status is TaskStatus.IN_PROGRESS:
                token = whole.held_lease.token
                reports = (each for each in history if isinstance(each.event, ev.Progressed))
                outline = with_first_report(outline, next(each for each in reports if each.position > token))
            assert outlined(outline) == outlined(whole)
            position = history[count - 1].position
            held = await TaskOutlines(lookup).held_at(task_id, position)
            assert held is not None
            assert outlined(held) == outlined(whole)
            assert terms(held) == terms(whole)
            assert await lookup.task_at(task_id, position) == whole
    await pool.finish()


async def test_a_look_up_tells_what_the_whole_history_comes_to() -> None:
    pool = await lived(1)
    lookup = Lookup(POOL, pool.log, pool.codec)
    for _ in range(2):
        for task_id, history in histories(pool).items():
            key: EntityKey = (Entity.TASK, task_id)
            assert await lookup.entity(key) == fold_task(history)
            assert await lookup.records(key) == history
    await pool.finish()


def histories(pool: PoolHarness) -> dict[str, list[Recorded]]:
    """Return the events of each task."""
    found: defaultdict[str, list[Recorded]] = defaultdict(list)
    for recorded in pool.records():
        if recorded.entity is Entity.TASK:
            found[recorded.entity_id].append(recorded)
    return found


def terms(task: Task) -> tuple[object, ...] | None:
    """Return the terms of the task's lease."""
    return (task.lease.lease_s, task.lease.grace_s, task.lease.expires_at) if task.lease else None


def outlined(task: Task) -> Task:
    """Return a task without what its outline does not tell."""
    numbers = {name: getattr(NO_LEASE, name) for name in LEASE_NUMBERS}
    lease = replace(task.lease, **numbers) if task.lease is not None else None
    last = replace(task.last_lease, **numbers) if task.last_lease is not None else None
    return replace(task, lease=lease, last_lease=last, expiries=0, version=0, position=0)
