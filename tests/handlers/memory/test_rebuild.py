"""A rebuild makes its indexes last; a follower keeps them event by event. Both end with the same memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from itertools import pairwise

import pytest

from domain.errors import FoldError
from handlers.memory import catch_up as catching_up
from handlers.memory.catch_up import catch_up, rebuilding
from handlers.memory.memory import Memory
from handlers.ports import LogUnavailableError, NewMessage
from projections.state import ended_entities
from projections.state.pool_state import PoolState
from tests.support.invariants import check_indexes
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, Scenario

BEHIND_A_GRANT = 6


@pytest.fixture
def s() -> Scenario:
    """A pool with tasks and agents in every condition, late reports, a steal and an outage."""
    s = Scenario()
    s.given("A", "register", capacity=9, capabilities=["gpu"])
    for task_id in ("kept", "stolen", "silent", "done", "failed"):
        s.given(OPS, "submit", task_id=task_id)
    s.given("A", "claim", max=9)
    s.given(OPS, "submit", task_id="queued", required_capabilities=["gpu"], deadline_s=5_000)
    s.given(OPS, "submit", task_id="urgent", priority="critical")
    s.given("B", "register", capacity=2)
    s.given("C", "register")
    s.given("D", "register", capacity=2)
    for percent in (10, 50, 90):
        s.wait(30).given(
            "A", "progress", task_id="kept", token=s.token("kept"), percent=percent, command_id=f"p{percent}"
        )
    s.given(OPS, "steal", from_="A", to="B", task_ids=["stolen"])
    s.given("A", "complete", task_id="done", token=s.token("done"), result={"n": 1})
    s.given("A", "fail", task_id="failed", token=s.token("failed"), error="e", retryable=False)
    token = s.token("silent")
    s.wait(200).sweep()
    s.when("A", "progress", task_id="silent", token=token, percent=70)
    s.given("C", "deregister")
    s.given(OPS, "drain", agent_id="D")
    s.given(OPS, "pause")
    return s


def log_of(s: Scenario, damaged: tuple[int, ...] = ()) -> MemoryEventLog:
    messages = [NewMessage(each.subject, each.body, each.headers) for each in s.messages]
    for place in damaged:
        subject, body, headers = messages[place]
        messages[place] = NewMessage(subject, body[:-1], headers)
    return MemoryEventLog("default", messages)


async def rebuilt(s: Scenario, log: MemoryEventLog) -> Memory:
    memory = Memory("default", s.rules, s.codec, outcomes=100)
    await catch_up(memory, log)
    return memory


async def followed(s: Scenario, log: MemoryEventLog) -> Memory:
    memory = Memory("default", s.rules, s.codec, outcomes=100)
    for message in log.messages:
        memory.fold([message])
    return memory


@pytest.mark.parametrize(
    "damaged",
    [(), (BEHIND_A_GRANT,), (-1,), (BEHIND_A_GRANT, BEHIND_A_GRANT + 14, -1)],
    ids=["whole", "behind a grant", "at the end", "in several places"],
)
@pytest.mark.parametrize("kept", [1_000, 1])
async def test_a_rebuild_and_a_follower_remember_the_same(
    s: Scenario, monkeypatch: pytest.MonkeyPatch, damaged: tuple[int, ...], kept: int
) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_ENTITIES", kept)
    log = log_of(s, damaged)
    one, other = await rebuilt(s, log), await followed(s, log)

    assert one.state.position == other.state.position == len(s.messages)
    assert one.state.last_time == other.state.last_time
    assert one.state.committed_position == other.state.committed_position
    assert list(one.state.entities().items()) == list(other.state.entities().items())
    assert one.state.ended.evicted_through == other.state.ended.evicted_through
    assert one.state.ended.ended_through == other.state.ended.ended_through
    for memory in (one, other):
        check_indexes(memory.state, s.now)
        assert list(memory.state.held_by("A")) == list(other.state.held_by("A"))
    for seconds in (0, 60, 600, 10_000):
        s.wait(seconds)
        assert set(one.state.due(s.now, 100)) == set(other.state.due(s.now, 100))
    assert one.tail_hash == other.tail_hash == s.messages[-1].headers["Custody-Hash"]
    assert one.unreadable == other.unreadable
    assert (one.unreadable_count > 0) == bool(damaged)
    assert [each.position for each in one.unreadable] == sorted({each.position for each in one.unreadable})
    assert one.statistics.totals() == other.statistics.totals()
    assert [one.directives.stops(agent) for agent in "ABCD"] == [other.directives.stops(agent) for agent in "ABCD"]
    keys = [("agent/A", "progress", f"p{percent}") for percent in (10, 50, 90)]
    assert [one.outcomes.get(key) for key in keys] == [other.outcomes.get(key) for key in keys]


@pytest.mark.parametrize("large", [False, True])
async def test_a_rebuild_holds_the_event_loop_for_a_slice_at_most(
    s: Scenario, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    monkeypatch.setattr(catching_up, "SLICE", 4)
    monkeypatch.setattr(catching_up, "LARGE_POOL", 0 if large else 5_000)
    reached: list[int] = []
    makers: list[int] = []
    make = PoolState.end_rebuild

    def made(self: PoolState) -> None:
        makers.append(threading.get_ident())
        make(self)

    monkeypatch.setattr(PoolState, "end_rebuild", made)
    memory = Memory("default", s.rules, s.codec, outcomes=0)
    folding = asyncio.create_task(catch_up(memory, log_of(s)))
    while not folding.done():
        reached.append(memory.state.position)
        await asyncio.sleep(0)
    await folding
    assert max(later - earlier for earlier, later in pairwise([*reached, memory.state.position])) <= 4
    assert [each == threading.get_ident() for each in makers] == [not large]
    check_indexes(memory.state, s.now)


async def test_after_a_rebuild_the_indexes_follow_event_by_event(s: Scenario) -> None:
    log = log_of(s)
    memory = Memory("default", s.rules, s.codec, outcomes=100)
    for until in range(1, len(s.messages) + 1):
        await catch_up(memory, log, until=until)
        assert memory.state.position == until
        check_indexes(memory.state, s.now)


async def test_a_rebuild_that_breaks_off_leaves_indexes_that_fit_what_it_reached(s: Scenario) -> None:
    log = log_of(s)
    memory = Memory("default", s.rules, s.codec, outcomes=100)
    seen = 0

    def breaking(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == len(s.messages) // 2:
            raise LogUnavailableError("gone")

    with pytest.raises(LogUnavailableError):
        await catch_up(memory, log, seen=breaking)

    assert memory.state.position == seen
    assert memory.tail_hash == s.messages[seen - 1].headers["Custody-Hash"]
    check_indexes(memory.state, s.now)
    await catch_up(memory, log)
    check_indexes(memory.state, s.now)
    assert gc.isenabled()


@pytest.mark.parametrize("behind", [1, 5, 12, 40])
async def test_a_long_stretch_behind_a_state_is_folded_in_the_same_way(s: Scenario, behind: int) -> None:
    log = log_of(s)
    memory, other = await rebuilt(s, log), await followed(s, log)
    one = Memory("default", s.rules, s.codec, outcomes=100)
    await catch_up(one, log, until=max(1, len(s.messages) - behind), indexed=True)
    await catch_up(one, log)

    for each in (memory, other):
        assert list(one.state.entities().items()) == list(each.state.entities().items())
        assert one.state.held_by("A") == each.state.held_by("A")
        assert set(one.state.due(s.now, 100)) == set(each.state.due(s.now, 100))
    check_indexes(one.state, s.now)
    assert gc.isenabled()


@pytest.mark.parametrize("frozen", [False, True], ids=["nothing frozen before", "something frozen before"])
def test_what_a_rebuild_made_is_not_looked_through_for_garbage(s: Scenario, *, frozen: bool) -> None:
    gc.unfreeze()
    if frozen:
        gc.freeze()
    before = gc.get_freeze_count()
    try:
        with rebuilding(s.state):
            made: list[list[int]] = [[] for _ in range(10_000)]

        # Who keeps nothing from the collector for good is left with nothing of the kind.
        assert (gc.get_freeze_count() > before) == frozen
        oldest = {id(each) for each in gc.get_objects(generation=2)}
        assert all((id(each) in oldest) != frozen for each in made)
        assert gc.isenabled()
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("aged_from", [1, 1_000_000], ids=["a long stretch", "a short stretch"])
async def test_what_is_frozen_is_counted_for_long_stretches_only(
    s: Scenario, monkeypatch: pytest.MonkeyPatch, aged_from: int
) -> None:
    counted: list[bool] = []
    monkeypatch.setattr(catching_up, "AGED_FROM_EVENTS", aged_from)
    monkeypatch.setattr(catching_up, "age_objects", lambda: counted.append(True))
    memory = await rebuilt(s, log_of(s))
    assert counted == [True] * (aged_from == 1)
    check_indexes(memory.state, s.now)


@pytest.mark.parametrize("damaged", [(0, 3), (BEHIND_A_GRANT, BEHIND_A_GRANT + 14)], ids=["unreadable", "unlinked"])
@pytest.mark.parametrize("at_once", [1, 100])
def test_what_is_skipped_leaves_no_garbage(s: Scenario, damaged: tuple[int, ...], at_once: int) -> None:
    messages = log_of(s, damaged).messages
    memory = Memory("default", s.rules, s.codec, outcomes=100)
    memory.fold(messages)
    gc.collect()
    gc.disable()
    try:
        for start in range(0, len(messages), at_once):
            memory.fold(messages[start : start + at_once])
        assert memory.unreadable_count > len(messages)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_event_that_is_refused_leaves_no_garbage(s: Scenario) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            with contextlib.suppress(FoldError):
                s.state.fold(s.log[-2])
        assert gc.collect() == 0
    finally:
        gc.enable()
