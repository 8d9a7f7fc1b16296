"""A snapshot is a cache: with it the memory is what the whole log makes of it, and a bad one is no snapshot at all."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from handlers.background.snapshotter import Snapshotter
from handlers.memory import snapshots
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.memory.snapshots import MemoryImage, Snapshots, adopt, decode, encode, image_of, restore_nearest
from handlers.pool_service import PoolOptions
from handlers.ports import NewMessage, StoredMessage
from infra.codec import CloudEventsCodec
from projections.state import ended_entities
from projections.state.state_image import ImageReader, SnapshotError, lines
from tests.docs.events_of_every_type import messages
from tests.handlers.conftest import MakePool
from tests.simulation.intents import Internally, Wish, cast, wishes
from tests.simulation.test_pool_model import RULES
from tests.support import pool_harness
from tests.support.invariants import check_equal, check_indexes
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import Scenario
from tests.support.snapshots import MemorySnapshots

BUILD = "b1"
POOL = "default"
CODEC = CloudEventsCodec(POOL)


def folded(stored: list[StoredMessage], *, outcomes: int = 100) -> Memory:
    memory = Memory(POOL, RULES, CODEC, outcomes=outcomes)
    for message in stored:
        memory.fold([message])
    return memory


def again(memory: Memory, *, outcomes: int = 100) -> Memory:
    """The memory that a snapshot of this one gives."""
    document = encode(image_of(memory), BUILD)
    found = Memory(POOL, RULES, CODEC, outcomes=outcomes)
    adopt(found, decode(document, build=BUILD, pool_id=POOL))
    return found


def check_same(one: Memory, other: Memory) -> None:
    check_equal(one.state, other.state)
    assert list(one.state.ended.recent.items()) == list(other.state.ended.recent.items())
    assert list(one.state.ended.steals.items()) == list(other.state.ended.steals.items())
    assert one.state.ended.evicted_through == other.state.ended.evicted_through
    assert one.state.ended.ended_through == other.state.ended.ended_through
    assert one.state.committed_position == other.state.committed_position
    assert list(one.outcomes.dump().items()) == list(other.outcomes.dump().items())
    assert one.directives.dump() == other.directives.dump()
    assert one.last_heard.dump() == other.last_heard.dump()
    assert one.statistics.dump() == other.statistics.dump()
    assert (one.tail_hash, one.unreadable_count, one.unreadable) == (
        other.tail_hash, other.unreadable_count, other.unreadable,
    )  # fmt: skip
    check_indexes(other.state, other.state.last_time + timedelta(hours=1))


def every_event() -> list[StoredMessage]:
    """A day with every event, for the pool of these tests."""
    found = messages()
    name = found[0].subject.split(".")[1]
    assert name == POOL
    return found


def test_a_snapshot_anywhere_in_a_day_with_every_event_gives_the_same_memory() -> None:
    stored = every_event()
    whole = folded(stored)
    for at in range(len(stored) + 1):
        memory = again(folded(stored[:at]))
        for message in stored[at:]:
            memory.fold([message])
        check_same(whole, memory)


def test_every_field_of_every_entity_survives() -> None:
    """What the day leaves behind has each field set somewhere, so none can be forgotten."""
    seen: set[str] = set()
    stored = every_event()
    for at in range(1, len(stored) + 1):
        memory = folded(stored[:at])
        check_same(memory, again(memory))
        for entity in memory.state.entities().values():
            seen |= {
                f"{type(entity).__name__}.{field.name}"
                for field in fields(entity)
                if getattr(entity, field.name) != field.default
            }
    assert {"Task.lease", "Task.handoff", "Task.late_token", "Task.last_lease", "Steal.outcome", "Pool.leader"} <= seen


@settings(max_examples=60)
@given(wanted=st.lists(wishes, max_size=30), cut=st.floats(0, 1), remembered=st.sampled_from([2, 1_000]))
def test_a_snapshot_and_what_follows_is_the_whole_fold(
    wanted: list[Wish | Internally], cut: float, remembered: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ended_entities, "RECENT_ENTITIES", remembered)
        s = Scenario(RULES)
        s.given("A", "register", capacity=3, capabilities=["gpu"])
        for number, wish in enumerate(wanted):
            s.at(number * 40.0)
            s.send(cast(wish, s))
            s.sweep()
        at = round(cut * len(s.messages))
        memory = again(folded(s.messages[:at]))
        for message in s.messages[at:]:
            memory.fold([message])
        check_same(folded(s.messages), memory)


def test_what_cannot_be_read_is_remembered() -> None:
    memory = folded([*every_event()[:5], StoredMessage(6, "custody.default.evt.task.T.odd", b"junk", {})])
    assert memory.unreadable_count == 1
    check_same(memory, again(memory))


def test_outcomes_are_kept_as_far_as_they_are_wanted() -> None:
    s = Scenario(RULES)
    for number in range(6):
        s.given("ops", "submit", task_id=f"T{number}", command_id=f"c{number}")
    full = folded(s.messages, outcomes=4)
    assert [key[2] for key in again(full, outcomes=2).outcomes.dump()] == ["c4", "c5"]
    assert again(full, outcomes=0).outcomes.dump() == {}
    with pytest.raises(SnapshotError, match="it remembers 4 outcomes, and 5 are wanted"):
        again(full, outcomes=5)
    check_same(folded(s.messages, outcomes=10), again(folded(s.messages, outcomes=10), outcomes=10))
    assert len(again(folded(s.messages, outcomes=10), outcomes=99).outcomes) == 6


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(POOL, [NewMessage(each.subject, each.body, each.headers) for each in every_event()])


def stored_at(position: int, *, build: str = BUILD) -> MemorySnapshots:
    store = MemorySnapshots()
    store.documents[position] = encode(image_of(folded(every_event()[:position])), build)
    return store


async def restored(store: MemorySnapshots, log: MemoryEventLog, until: int) -> Memory:
    memory = Memory(POOL, RULES, CODEC, outcomes=0)
    await restore_nearest(memory, store, log, build=BUILD, until=until)
    return memory


async def test_the_nearest_at_or_before_is_used(log: MemoryEventLog) -> None:
    store = stored_at(10)
    store.documents |= stored_at(20).documents | stored_at(30).documents
    for until, found in ((9, 0), (10, 10), (29, 20), (30, 30), (31, 30)):
        assert (await restored(store, log, until)).state.position == found
        memory = await restored(store, log, until)
        await catch_up(memory, log, until=until)
        check_same(folded(every_event()[:until], outcomes=0), memory)


async def test_a_large_one_is_read_in_a_thread(log: MemoryEventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[int] = []

    def read(*given: Any, **more: Any) -> Any:
        readers.append(threading.get_ident())
        return decode(*given, **more)

    monkeypatch.setattr(snapshots, "decode", read)
    store = stored_at(5)
    wanted = folded(every_event()[:5], outcomes=0)
    check_same(await restored(store, log, 9), wanted)
    monkeypatch.setattr(snapshots, "LARGE_BYTES", 0)
    check_same(await restored(store, log, 9), wanted)
    assert [each == threading.get_ident() for each in readers] == [True, False]


def damaged(document: bytes) -> bytes:
    return document[:-20] + bytes([document[-20] ^ 1]) + document[-19:]


def with_header(document: bytes, **changes: object) -> bytes:
    head, _, packed = document.partition(b"\n")
    return json.dumps({**json.loads(head), **changes}).encode() + b"\n" + packed


BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "it has no header"),
    "no document": (lambda _: b"\x00\xff junk", "it has no header"),
    "cut short": (lambda document: document[:-1], "its checksum does not match its content"),
    "one bit": (damaged, "its checksum does not match its content"),
    "newer": (lambda document: with_header(document, version=3), "its version is 3, not 2"),
    "older": (lambda document: with_header(document, version=1), "its version is 1, not 2"),
    "another build": (lambda document: with_header(document, build="b2"), "its build is 'b2', not 'b1'"),
    "another pool": (lambda document: with_header(document, pool="p"), "its pool is 'p', not 'default'"),
    "another log": (lambda document: with_header(document, tail_hash="f" * 64), "it belongs to another log"),
    "another position": (lambda document: with_header(document, position=9), "its header names another position"),
    "a bomb": (lambda document: with_header(document, raw_bytes=10**15), "it would unpack to 10"),
    "larger than it says": (lambda document: with_header(document, raw_bytes=10), "it unpacks to another size"),
}


@pytest.mark.parametrize("how", BAD)
async def test_a_bad_one_is_ignored_with_a_warning(
    how: str, log: MemoryEventLog, caplog: pytest.LogCaptureFixture
) -> None:
    change, said = BAD[how]
    store = stored_at(20)
    store.documents[20] = change(store.documents[20])
    store.documents |= stored_at(10).documents
    with caplog.at_level(logging.WARNING):
        memory = await restored(store, log, 25)
    assert memory.state.position == 10
    assert f"the snapshot at position 20 is ignored: {said}" in caplog.text


async def test_without_a_usable_one_the_log_is_folded(log: MemoryEventLog, caplog: pytest.LogCaptureFixture) -> None:
    store = MemorySnapshots()
    store.failing = True
    memory = await restored(store, log, 25)
    assert "snapshots cannot be looked at, so the log is folded: no broker" in caplog.text
    await catch_up(memory, log, until=25)
    check_same(folded(every_event()[:25], outcomes=0), memory)


async def test_a_start_without_one_of_its_own_version_says_so_in_one_line(
    log: MemoryEventLog, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="handlers.memory.snapshots"):
        await restored(MemorySnapshots(), log, 0)
        assert not caplog.records
        await restored(MemorySnapshots(), log, 25)
    assert [each.message for each in caplog.records] == [
        "there is no snapshot that this version made, so the log is folded"
    ]


async def test_it_gives_up_after_a_few(log: MemoryEventLog) -> None:
    store = MemorySnapshots()
    store.documents = dict.fromkeys(range(1, 20), b"junk")
    await restored(store, log, 25)
    assert store.asked == [19, 18, 17]


async def test_a_tampered_entity_is_no_snapshot() -> None:
    image = image_of(folded(every_event()))
    odd = image._replace(state=image.state._replace(pool=replace(image.state.pool, version="x")))
    document = encode(odd, BUILD)
    with pytest.raises(SnapshotError, match="pool: "):
        decode(document, build=BUILD, pool_id=POOL)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [("task", "definition", {"lease": {"lease_s": "long"}}), ("recent-steal", "outcome", {})],
)
def test_a_tampered_event_inside_an_entity_is_no_snapshot_and_one_line_says_why(
    kind: str, field: str, value: object
) -> None:
    head, _, body = next(
        line.partition(b" ")
        for line in lines(image_of(folded(every_event())).state)
        if line.startswith(kind.encode() + b" ")
    )
    entities = json.loads(body)
    entities[0][field] = value
    with pytest.raises(SnapshotError, match=f"{kind}: .*{field}") as error:
        ImageReader().take(head.decode(), json.dumps(entities).encode())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('shared [["lease",{"mode":"odd"}]]', "shared: "),
        ('shared [["odd",{}]]', "shared: "),
        ('shared [["lease"]]', "shared: "),
        ("shared 7", "shared: "),
        ('task [{"definition":{"request_digest":"","lease":0}}]', "task: "),
        ('task [{"definition":{"request_digest":"","lease":-1}}]', "task: "),
        ('task [{"definition":{"request_digest":"","lease":7}}]', "task: "),
    ],
)
def test_what_tasks_share_is_what_it_is_named_as_or_it_is_no_snapshot(line: str, said: str) -> None:
    reader = ImageReader()
    assert reader.take("shared", b'[["budgets",{"failures":2}],["retry",{}]]')
    kind, _, value = line.partition(" ")
    with pytest.raises(SnapshotError, match=said):
        reader.take(kind, value.encode())


def test_the_document_is_a_header_and_compressed() -> None:
    image: MemoryImage = image_of(folded(every_event()))
    head = json.loads(encode(image, BUILD).partition(b"\n")[0])
    assert (head["format"], head["version"], head["pool"]) == ("custody-snapshot", 2, POOL)
    assert len(encode(image, BUILD)) < head["raw_bytes"] / 2


async def test_a_service_stores_snapshots_and_starts_from_them(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemorySnapshots()
    kept = functools.partial(PoolOptions, snapshots=Snapshots(store, BUILD, every=10))
    monkeypatch.setattr(pool_harness, "PoolOptions", kept)
    pool = await make_pool()
    await pool.submit(*(f"T{number}" for number in range(12)))
    await pool.advance(6)
    await asyncio.wait_for(store.stored.wait(), 10)
    (position,) = store.documents
    assert position == pool.state.position
    await pool.submit("later")
    await pool.restart()
    assert store.asked == [position]
    await pool.submit("last")


async def test_a_store_that_fails_is_a_warning(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemorySnapshots()
    store.failing = True
    kept = functools.partial(PoolOptions, snapshots=Snapshots(store, BUILD, every=1))
    monkeypatch.setattr(pool_harness, "PoolOptions", kept)
    pool = await make_pool()
    await pool.advance(6)
    await asyncio.wait_for(store.stored.wait(), 10)
    await pool.submit("T")
    await pool.rest()
    assert "so the log is folded: no broker" in caplog.text


async def test_nothing_is_stored_before_so_many_events(make_pool: MakePool) -> None:
    store = MemorySnapshots()
    pool = await make_pool()
    snapshotter = Snapshotter(pool.service.access, Snapshots(store, BUILD, every=1_000), pool.clock, last_position=0)
    running = asyncio.create_task(snapshotter.run())
    await pool.advance(100)
    running.cancel()
    assert store.documents == {}
    assert await snapshotter.take() == pool.state.position == snapshotter.last_position
