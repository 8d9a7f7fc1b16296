"""The end of a log is remembered outside it, and a log is held against that."""

from __future__ import annotations

import asyncio
import json

import pytest

from domain.commands.service_commands import FillTail
from domain.events.pool import TailLost
from domain.events.task import Submitted
from domain.policies.lease import LeasePolicy
from handlers.background.log_end_keeper import LEAST_AHEAD, LOOK_EVERY_S, LogEndKeeper
from handlers.log_end import LogEnd, LogEndStoreError, Standing, compare, decode, encode, remembered
from handlers.ports import LogLostError, NewMessage
from infra.codec import CloudEventsCodec
from tests.handlers.conftest import MakePool
from tests.support.memory_log import MemoryEventLog
from tests.support.pool_harness import POOL, PoolHarness

END = LogEnd("first", 7, "seventh", 1_007)
CODEC = CloudEventsCodec(POOL)
THEIRS = Submitted(request_digest="theirs", lease=LeasePolicy())


class Store:
    """Keeps it in memory."""

    def __init__(self, document: bytes | None = None) -> None:
        self.name = "store"
        self.document = document
        self.broken = False

    async def read(self) -> bytes | None:
        return self.document

    async def write(self, document: bytes) -> None:
        if self.broken:
            raise LogEndStoreError("no room")
        self.document = document

    @property
    def end(self) -> LogEnd:
        assert self.document is not None
        return decode(self.document, POOL)


def test_what_is_written_is_what_is_read() -> None:
    assert decode(encode(END, POOL), POOL) == END


def test_what_earlier_versions_wrote_says_nothing_of_how_far_the_log_may_have_come() -> None:
    document = json.loads(encode(END, POOL))
    del document["may_reach"]
    assert decode(json.dumps(document).encode(), POOL) == END._replace(may_reach=END.position)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": 2}, id="another version"),
        pytest.param({"pool": "another"}, id="another pool"),
        pytest.param({"position": 0}, id="no position"),
        pytest.param({"position": True}, id="a truth value for a position"),
        pytest.param({"may_reach": 6}, id="a reach before the position"),
        pytest.param({"may_reach": 2**63}, id="a reach beyond all positions"),
        pytest.param({"hash": None}, id="no hash"),
    ],
)
async def test_what_is_damaged_is_not_used(change: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    document = json.dumps({**json.loads(encode(END, POOL)), **change}).encode()
    with pytest.raises(ValueError, match="it "):
        decode(document, POOL)
    assert await remembered([Store(document), Store(encode(END, POOL)), Store()], POOL) == [END]
    assert "is damaged, and not used" in caplog.text


async def end_of(log: MemoryEventLog, position: int | None = None, *, ahead: int = 0) -> LogEnd:
    messages = log.messages
    last = messages[-1 if position is None else position - 1]
    return LogEnd(CODEC.hash_of(messages[0]), last.position, CODEC.hash_of(last), last.position + ahead)


async def test_a_log_is_held_against_what_is_remembered_of_it(pool: PoolHarness) -> None:
    await pool.submit(*"ABC")
    end, older = await end_of(pool.log), await end_of(pool.log, 3)
    other = end._replace(log_id="another", position=900)

    assert (await compare([], pool.log, CODEC)).standing is Standing.SAME
    assert await compare([older, end], pool.log, CODEC) == (Standing.SAME, end)
    assert await compare([older, other], pool.log, CODEC) == (Standing.SAME, older), "its own counts before others"
    assert await compare([other], pool.log, CODEC) == (Standing.OTHER, other)
    assert await compare([other, end], MemoryEventLog(POOL), CODEC) == (Standing.EMPTY, other)
    pool.log.truncate_to(4)
    pool.foreign = True
    assert await compare([older, end], pool.log, CODEC) == (Standing.SHORTER, end)
    pool.log.append_foreign(*pool.by_another(("task/X", THEIRS)))
    assert await compare([older, end], pool.log, CODEC) == (Standing.SHORTER, end), "something else is there"
    await pool.kill()


async def test_of_ends_at_one_position_the_one_that_reaches_further_counts(pool: PoolHarness) -> None:
    end = await end_of(pool.log)
    further = end._replace(may_reach=end.position + 9)
    assert await compare([end, further, end], pool.log, CODEC) == (Standing.SAME, further)


async def test_a_log_that_is_filled_up_from_its_beginning_is_no_other_one(pool: PoolHarness) -> None:
    await pool.submit("T")
    end = await end_of(pool.log, ahead=2_000)
    other = end._replace(log_id="another", position=end.position + 1)
    await pool.kill()
    pool.log.truncate_to(0)
    pool.foreign = True
    pool.accepted_loss = FillTail(end.position, end.may_reach)
    await pool.start()
    await pool.kill()
    pool.log.truncate_to(700)
    assert await compare([end], pool.log, CODEC) == (Standing.EMPTY, end), "it was killed before that was remembered"
    assert (await compare([other], pool.log, CODEC)).standing is Standing.OTHER
    await pool.start()
    assert len(pool.events(TailLost)) == end.may_reach


class Kept:
    """A keeper of a served pool's log, and its store."""

    def __init__(self, pool: PoolHarness) -> None:
        self.store, self.doubts = Store(), 0
        self.keeper = LogEndKeeper(
            POOL,
            pool.log,
            CODEC,
            pool.clock,
            [self.store],
            lambda: (pool.state.committed_position, pool.service.memory.tail_hash),
            self.doubt,
        )

    def doubt(self) -> None:
        self.doubts += 1


async def test_the_end_is_remembered_with_twice_the_way_that_the_log_went_between_two_looks(pool: PoolHarness) -> None:
    kept = Kept(pool)
    await kept.keeper.look()
    assert kept.store.end == await end_of(pool.log, ahead=LEAST_AHEAD)
    for count in (2 * LEAST_AHEAD, 1):
        await pool.given("ops.submit_many", tasks=[{"task_id": f"{count}-{n}"} for n in range(min(count, 1_000))])
        await pool.submit(*(f"{count}+{n}" for n in range(max(0, count - 1_000))))
        await kept.keeper.look()
        assert kept.store.end == await end_of(pool.log, ahead=4 * LEAST_AHEAD)
    await kept.keeper.remember()
    assert kept.store.end == await end_of(pool.log), "after a stop nothing follows"


async def test_a_store_that_fails_is_said_once_and_written_again(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(pool)
    kept.store.broken = True
    for _ in range(3):
        await kept.keeper.look()
    assert caplog.text.count("is not remembered in store: no room") == 1
    kept.store.broken = False
    await kept.keeper.look()
    assert kept.store.end.position == pool.position


async def test_a_log_that_lost_what_was_seen_there_is_doubted(pool: PoolHarness) -> None:
    await pool.submit("T")
    kept = Kept(pool)
    await kept.keeper.look()
    await kept.keeper.look()
    assert kept.doubts == 0
    pool.log.truncate_to(2)
    pool.foreign = True
    await kept.keeper.look()
    assert kept.doubts == 1
    assert kept.store.end.position == 3, "what was acknowledged stays remembered"
    await pool.kill()


async def test_another_log_in_the_place_ends_the_keeper(make_pool: MakePool) -> None:
    pool = await make_pool()
    kept = Kept(pool)
    await kept.keeper.look()
    own = [NewMessage(each.subject, each.body, each.headers) for each in pool.log.messages]
    pool.log.replace([NewMessage(own[0].subject, b"{}", {"Custody-Hash": "0" * 64})])
    with pytest.raises(LogLostError, match="another log took the place"):
        await kept.keeper.run()
    pool.log.replace(own)


async def test_it_looks_every_second(pool: PoolHarness) -> None:
    kept = Kept(pool)
    running = asyncio.create_task(kept.keeper.run())
    await pool.rest()
    await pool.submit("T")
    await pool.advance(LOOK_EVERY_S)
    assert kept.store.end.position == pool.position
    running.cancel()
