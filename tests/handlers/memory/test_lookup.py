"""Look-ups of single entities: what they fall back to, when they forget, and how much of a turn they take."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from domain.events import Entity
from domain.events import task as ev
from domain.hash_chain import GENESIS_HASH
from domain.recorded import Recorded
from domain.rules import Rules
from domain.task import Task
from handlers.memory import lookup as lookup_module
from handlers.memory.lookup import Lookup, fold_task
from handlers.ports import NewMessage, StoredMessage
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, Scenario

POOL = "default"
T: tuple[Entity, str] = (Entity.TASK, "T")


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


def foreign(recorded: Recorded) -> NewMessage:
    """Return a message of another writer that every fold skips, at the end of the log."""
    messages, _ = CloudEventsCodec(POOL).encode([recorded], GENESIS_HASH)
    return messages[0]


@pytest.mark.parametrize("version", [3, 99])
async def test_an_outline_with_an_event_that_every_fold_skips_is_not_believed(version: int) -> None:
    s = worked_on(20)
    log = log_of(s)
    false = replace(s.log[-1], position=len(s.log) + 1, version=version, event=ev.Cancelled(reason="not so"))
    log.append_foreign(foreign(false))
    false = replace(
        false, position=len(s.log) + 2, version=s.task("T").version + 1, event=ev.Started(token=s.token("T"))
    )
    log.append_foreign(foreign(false))
    records = [s.codec.decode(message) for message in log.messages]
    expected = fold_task(each for each in records if each.entity_id == "T")
    assert expected is not None
    assert expected.status == "in_progress"

    assert await Lookup(POOL, log, s.codec).outline_at("T", len(records)) == expected


async def test_an_outline_with_an_unreadable_message_is_not_believed() -> None:
    s = worked_on(20)
    log = log_of(s)
    log.append_foreign(NewMessage(f"custody.{POOL}.evt.task.T.started", b"{}"))

    assert await Lookup(POOL, log, s.codec).outline_at("T", len(log.messages)) == s.task("T")


async def test_who_never_was_is_not_found() -> None:
    s = worked_on(1)
    lookup = Lookup(POOL, log_of(s), s.codec)
    assert await lookup.entity((Entity.TASK, "never")) is None
    assert await lookup.outline_at("never", 3) is None
    assert await lookup.held_at("never", 3) is None
    assert await lookup.records((Entity.AGENT, "never")) == []
    assert await lookup.grant("T", 1) is None
    assert await lookup.outline_at("T", 1) is None, "not yet"


async def test_what_was_found_is_forgotten_when_the_state_is_made_anew() -> None:
    s = worked_on(3)
    states = [PoolState(POOL, Rules())]
    log = log_of(s)
    lookup = Lookup(POOL, log, s.codec, lambda: states[-1])
    position = s.task("T").position
    assert await lookup.task_at("T", position) == s.task("T")

    reads = log.reads
    assert await lookup.task_at("T", position) == s.task("T")
    assert log.reads == reads, "kept"
    log.truncate_to(position - 1)
    states.append(PoolState(POOL, Rules()))
    assert await lookup.task_at("T", position) != s.task("T")


async def test_however_many_look_ups_there_are_a_turn_decodes_one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    s = worked_on(500)
    decoded, most = 0, 0
    original = s.codec.decode

    def counting(message: StoredMessage) -> Recorded:
        nonlocal decoded
        decoded += 1
        return original(message)

    async def watch() -> None:
        nonlocal most
        while True:
            before = decoded
            await asyncio.sleep(0)
            most = max(most, decoded - before)

    monkeypatch.setattr(s.codec, "decode", counting)
    lookup = Lookup(POOL, log_of(s), s.codec)
    watching = asyncio.ensure_future(watch())
    positions = itertools.islice((each.position for each in reversed(s.log) if each.entity_id == "T"), 20)
    found: list[Any] = await asyncio.gather(*(lookup.task_at("T", position) for position in positions))
    watching.cancel()

    assert all(isinstance(each, Task) for each in found)
    assert decoded > 20 * 480
    assert most <= lookup_module.SLICE_EVENTS


@pytest.mark.parametrize("size", [1, 100, 200_000, 300_000])
async def test_large_events_make_small_slices(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    s = Scenario()
    slices: list[int] = []

    def take(messages: Sequence[StoredMessage]) -> list[StoredMessage]:
        slices.append(len(messages))
        return list(messages)

    log = MemoryEventLog(POOL, [NewMessage(f"custody.{POOL}.evt.task.T.noted", b"x" * size)] * 200)
    lookup = Lookup(POOL, log, s.codec)
    monkeypatch.setattr(lookup, "_decoded", take)

    records = await lookup.records(T)

    assert len(records) == sum(slices) == 200
    assert max(slices) <= lookup_module.SLICE_EVENTS
    assert all(count * size <= lookup_module.SLICE_BYTES or count == 1 for count in slices)
    assert len(slices) <= 200 * size // lookup_module.SLICE_BYTES * 2 + 5


async def test_agents_intake_is_told_as_it_was() -> None:
    s = Scenario()
    s.given("a", "register")
    told = [("open", s.log[-1].position)]
    for verb, intake in (("drain", "draining"), ("pause", "paused"), ("resume", "open"), ("drain", "draining")):
        s.given(OPS, verb, agent_id="a")
        told.append((intake, s.log[-1].position))
        s.wait(100).given("a", "heartbeat")
        told.append((intake, s.log[-1].position))
    s.given("a", "deregister")
    told.append(("open", s.log[-1].position))
    log = log_of(s)

    lookup = Lookup(POOL, log, s.codec)
    for order in (told, told[::-1]):
        lookup = Lookup(POOL, log, s.codec, lambda: s.state)
        for intake, position in order * 2:
            assert await lookup.intake_at("a", position) == intake, position
    reads = log.reads
    await lookup.intake_at("a", told[-1][1])
    assert log.reads == reads
