"""Whatever fails and is killed meanwhile, each endpoint is told every event, and each with one id."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.notifier.endpoint_sender import Limits
from handlers.notifier.outbox import EndpointStatus
from tests.support.notified_pool import DELIVERED, DOWN, NotifiedPool, Receiver
from tests.support.scenario import OPS

STEPS = ("submit", "submit", "pass", "long", "fail one", "mend one", "hang other", "mend other", "kill", "stop")
RUNS = st.lists(st.sampled_from(STEPS), max_size=20)


async def run(directory: Path, steps: Sequence[str]) -> None:
    pool = NotifiedPool(directory / "state.db")
    pool.given("a1", "register")
    one = pool.endpoint("one", events=("task.submitted",), needs=("unworkable",))
    other = pool.endpoint("other", events=("task.*",), limits=Limits(parallel=3, rate_per_s=50))
    left = [*steps, "mend one", "mend other"]
    submitted: list[str] = []
    try:
        while left:
            killed = False
            async with pool.notifying(killed=True) as notifier:
                while left and not killed:
                    step = left.pop(0)
                    killed = step == "kill"
                    if step == "stop":
                        notifier.stop()
                        other.open.set()
                        await pool.clock.advance(10)
                        break
                    await take(pool, step, one, other, submitted)
        async with pool.notifying():
            await pool.clock.advance(700)
    finally:
        pool.file.close()
    for receiver in (one, other):
        ids: dict[str, set[str]] = {}
        for message in receiver.got:
            if message.data["kind"] == "task.submitted":
                ids.setdefault(message.data["task_id"], set()).add(message.message_id)
        assert ids.keys() == set(submitted)
        assert all(len(each) == 1 for each in ids.values())
    assert all(status.pending == status.dead == 0 for status in statuses(directory))


def statuses(directory: Path) -> list[EndpointStatus]:
    pool = NotifiedPool(directory / "state.db")
    try:
        return pool.desk.statuses()
    finally:
        pool.file.close()


async def take(pool: NotifiedPool, step: str, one: Receiver, other: Receiver, submitted: list[str]) -> None:
    match step:
        case "submit":
            submitted.append(f"T{len(submitted)}")
            pool.given(OPS, "submit", task_id=submitted[-1])
            await pool.clock.rest()
        case "pass":
            await pool.clock.advance(2)
        case "long":
            await pool.clock.advance(600)
        case "fail one":
            one.answer = lambda _: DOWN
        case "mend one":
            one.answer = lambda _: DELIVERED
        case "hang other":
            other.open.clear()
        case "mend other":
            other.open.set()


@settings(max_examples=15, deadline=None)
@given(RUNS)
def test_every_event_is_told_with_one_id(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory), steps))
