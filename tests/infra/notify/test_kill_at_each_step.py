"""A kill before and after every write of the notifier's state, and before and after every post: nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.memory.memory import Memory
from handlers.notifier.message import Message
from handlers.notifier.retry_rules import Outcome
from infra.notify.state_file import StateFile
from tests.support.cases import case
from tests.support.notified_pool import DELIVERED, REFUSED, NotifiedPool, Receiver
from tests.support.scenario import OPS

TASKS = ("T1", "bad", "T2")


class KilledError(BaseException):
    """The process is gone: nothing that it does after this has an effect."""


class Killer:
    """Ends the process at one of its steps, counted over all runs."""

    def __init__(self) -> None:
        self.kill_at = 0
        """0: never."""
        self.steps = 0
        self.killed = False

    def step(self) -> None:
        """Say that a step comes; raises KilledError if that is the end, and from then on."""
        self.steps += 1
        self.killed = self.killed or self.steps == self.kill_at
        if self.killed:
            raise KilledError

    def revive(self) -> None:
        """Let the next run live."""
        self.killed, self.kill_at = False, 0


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    killer, write = Killer(), StateFile.transaction

    @contextlib.contextmanager
    def transaction(self: StateFile) -> Iterator[sqlite3.Connection]:
        killer.step()
        with write(self) as db:
            yield db
        killer.step()

    monkeypatch.setattr(StateFile, "transaction", transaction)
    return killer


class Mortal(Receiver):
    """An endpoint whose caller may be gone before the post, and before it takes the answer."""

    killer: Killer

    async def __call__(self, message: Message) -> Outcome:
        self.killer.step()
        outcome = await super().__call__(message)
        self.killer.step()
        return outcome


@contextlib.asynccontextmanager
async def mortal(pool: NotifiedPool, killer: Killer) -> AsyncIterator[None]:
    """Run the notifier until it is killed or the block ends."""
    async with pool.notifying(killed=True):
        yield
    killer.revive()


async def told_when_killed_at(directory: Path, killer: Killer, step: int) -> int:
    """Let the pool tell, killed at a step; check what was told; return how many steps there were."""
    killer.kill_at, killer.steps = step, 0
    pool = NotifiedPool(directory / f"{step}.db")
    pool.given("a1", "register")
    receiver = pool.endpoint("e", events=("task.submitted",), needs=("unworkable",), resolved=True)
    receiver.__class__, vars(receiver)["killer"] = Mortal, killer
    receiver.answer = lambda message: REFUSED if message.data["task_id"] == "bad" else DELIVERED
    try:
        # Begins at the log's end, whenever it is killed.
        async with mortal(pool, killer):
            await pool.clock.advance(1)
        async with mortal(pool, killer):
            for task_id in TASKS:
                pool.given(OPS, "submit", task_id=task_id, required_capabilities=["gpu"])
                await pool.clock.advance(2)
            await pool.clock.advance(20)
        pool.given("a2", "register", capabilities=["gpu"])
        async with mortal(pool, killer):
            await pool.clock.advance(20)
        async with pool.notifying():
            await pool.clock.advance(20)
        check(receiver, pool)
        return killer.steps
    finally:
        pool.file.close()


def check(receiver: Receiver, pool: NotifiedPool) -> None:
    """Everything was told, each with one id; what was refused is a dead letter; only needs that ended are left."""
    ids: dict[Any, set[str]] = {}
    for message in receiver.got:
        if message.data["kind"] == "task.submitted":
            ids.setdefault(message.data["task_id"], set()).add(message.message_id)
    assert ids.keys() == {"T1", "T2"}
    assert all(len(each) == 1 for each in ids.values())
    assert [each.message.data["task_id"] for each in pool.desk.dead_letters()] == ["bad"]
    opened = {each.data["key"] for each in receiver.got if each.type == "custody.need.opened"}
    resolved = {each.data["key"] for each in receiver.got if each.type == "custody.need.resolved"}
    assert opened == resolved
    (status,) = pool.desk.statuses()
    assert (status.pending, status.position) == (0, len(pool.log.messages))


async def test_a_kill_at_any_step_loses_nothing(tmp_path: Path, killer: Killer) -> None:
    steps = await told_when_killed_at(tmp_path, killer, 0)
    assert steps > 20
    for step in range(1, steps + 1):
        with case(f"killed at step {step} of {steps}"):
            await told_when_killed_at(tmp_path, killer, step)


async def test_a_first_start_that_is_killed_while_it_folds_begins_where_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = NotifiedPool(tmp_path / "state.db")
    pool.given("a1", "register")
    told = pool.endpoint("e", events=("task.submitted",))
    hanging = itertools.count()
    fold = pool._memory_at  # noqa: SLF001 # what a long log takes long for

    async def memory_at(position: int) -> Memory:
        if not next(hanging):
            await pool.clock.sleep(3_600)
        return await fold(position)

    monkeypatch.setattr(pool, "_memory_at", memory_at)
    pool.given(OPS, "submit", task_id="before")
    async with pool.notifying(killed=True):
        pool.given(OPS, "submit", task_id="T1")
        await pool.clock.advance(60)
    pool.given(OPS, "submit", task_id="T2")
    async with pool.notifying():
        await pool.clock.advance(1)
    assert [each.data["task_id"] for each in told.got] == ["T1", "T2"]
    pool.file.close()
