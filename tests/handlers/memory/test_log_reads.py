"""How much of a turn of the event loop look-ups take."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from domain.recorded import Recorded
from domain.task import Task
from handlers.memory import log_reads
from handlers.memory.log_reads import LogReads
from handlers.memory.lookup import Lookup
from handlers.ports import NewMessage, StoredMessage
from tests.handlers.memory.worked_log import POOL, log_of, worked_on
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import Scenario


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
    assert most <= log_reads.SLICE_EVENTS


@pytest.mark.parametrize("size", [1, 100, 200_000, 300_000])
async def test_large_events_make_small_slices(size: int) -> None:
    s = Scenario()
    slices: list[int] = []

    def take(messages: Sequence[StoredMessage], _: list[Recorded]) -> None:
        slices.append(len(messages))

    log = MemoryEventLog(POOL, [NewMessage(f"custody.{POOL}.evt.task.T.noted", b"x" * size)] * 200)
    reads = LogReads(POOL, log, s.codec)

    await reads.take_slices(["custody.default.evt.task.T.noted"], 0, 200, take)

    assert sum(slices) == 200
    assert max(slices) <= log_reads.SLICE_EVENTS
    assert all(count * size <= log_reads.SLICE_BYTES or count == 1 for count in slices)
    assert len(slices) <= 200 * size // log_reads.SLICE_BYTES * 2 + 5
