"""Chains on a real broker: whatever comes between, no message is stored behind another than its own predecessor."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from handlers.ports import AppendConflictError, NewMessage, OutcomeUnknownError
from infra.broker.embedded import EmbeddedBroker
from infra.nats.chains import ChainLinks
from infra.nats.connection import NatsConnection, connect
from infra.nats.event_log import NatsEventLog
from tests.infra.nats.conftest import POOL
from tests.support.tcp_proxy import TcpProxy

LENGTH = 5


def events(count: int, name: str = "mine", at: int = 0) -> list[NewMessage]:
    return [NewMessage(f"custody.{POOL}.evt.task.{name}.noted", b"%d" % (at + number)) for number in range(count)]


async def stored(log: NatsEventLog) -> list[str]:
    """What the log holds: the name of each event's task, and its number."""
    chunks = [message async for chunk in log.read(after=0, until=await log.last_position()) for message in chunk]
    return [f"{message.subject.split('.')[4]}{message.body.decode()}" for message in chunks]


@pytest.fixture
async def mine(broker_with_log: EmbeddedBroker) -> AsyncIterator[NatsConnection]:
    connection = await connect(broker_with_log.url, name="mine")
    yield connection
    await connection.close()


@pytest.fixture
async def theirs(broker_with_log: EmbeddedBroker) -> AsyncIterator[NatsConnection]:
    connection = await connect(broker_with_log.url, name="theirs")
    yield connection
    await connection.close()


def interrupt(connection: NatsConnection, after: int, meanwhile: NatsEventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another writer append one event when so many messages of what the connection sends next are stored."""

    async def send(frames: bytes) -> None:
        monkeypatch.undo()
        parts = re.split(rb"(?=HPUB )", frames)[1:]
        await connection.send(b"".join(parts[:after]))
        async with aclosing(meanwhile.follow(after=0)) as following:
            for _ in range(after):
                await anext(following)
        await meanwhile.append(events(1, "theirs"), expected_position=after)
        await connection.send(b"".join(parts[after:]))

    monkeypatch.setattr(connection, "send", send)


@pytest.mark.parametrize("after", range(LENGTH + 1))
async def test_what_comes_behind_a_foreign_event_is_refused_although_its_position_comes_true(
    mine: NatsConnection, theirs: NatsConnection, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    log, other = await NatsEventLog.open(mine, POOL), await NatsEventLog.open(theirs, POOL)
    acknowledged: list[int] = []
    interrupt(mine, after, other, monkeypatch)

    appending = log.append_chain(events(LENGTH), expected_position=0, behind=False, on_stored=acknowledged.append)
    if after < LENGTH:
        with pytest.raises(AppendConflictError):
            await appending
    else:
        assert await appending == LENGTH

    assert acknowledged == list(range(1, after + 1))
    await mine.client.flush()
    assert await stored(log) == [f"mine{number}" for number in range(after)] + ["theirs0"]


async def test_the_expected_position_alone_would_let_it_through(
    mine: NatsConnection, theirs: NatsConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason for the ids: without them a chain's second half lands behind what took its first half's place."""

    def no_ids(_: ChainLinks, count: int, expected_position: int, *, behind: bool) -> list[str]:
        assert not behind
        return [f"Nats-Expected-Last-Sequence: {expected_position + number}\r\n" for number in range(count)]

    monkeypatch.setattr(ChainLinks, "conditions", no_ids)
    log, other = await NatsEventLog.open(mine, POOL), await NatsEventLog.open(theirs, POOL)
    with monkeypatch.context() as within:
        interrupt(mine, 1, other, within)
        with pytest.raises(AppendConflictError):
            await log.append_chain(events(3), expected_position=0, behind=False, on_stored=lambda _: None)

    await mine.client.flush()
    assert await stored(log) == ["mine0", "theirs0", "mine2"]


@pytest.mark.parametrize("seed", range(4))
async def test_two_writers_that_race_never_mix_their_chains(
    mine: NatsConnection, theirs: NatsConnection, seed: int
) -> None:
    """Both send chains behind chains all the time; each event names the event that it was decided behind."""
    chance = random.Random(seed)
    logs = [await NatsEventLog.open(mine, POOL), await NatsEventLog.open(theirs, POOL)]

    async def write(number: int) -> int:
        log, won = logs[number], 0
        for _ in range(25):
            # A random number of round trips: else the one who is ahead once could win every time.
            for _ in range(chance.randint(0, 3)):
                await log.last_position()
            position = await log.last_position()
            last = await log.get(position)
            before = last.body.split()[-1] if last is not None else b"none"
            chains: list[list[NewMessage]] = []
            for _ in range(chance.randint(1, 3)):
                chain = []
                for _ in range(chance.randint(1, 4)):
                    own = b"%d.%d" % (number, chance.getrandbits(60))
                    chain.append(NewMessage(f"custody.{POOL}.evt.task.{number}.noted", before + b" " + own))
                    before = own
                chains.append(chain)
            appends: list[asyncio.Future[int]] = []
            for chain in chains:
                sent = log.append_chain(
                    chain, expected_position=position, behind=bool(appends), on_stored=lambda _: None
                )
                appends.append(asyncio.ensure_future(sent))
                position += len(chain)
            outcomes = await asyncio.gather(*appends, return_exceptions=True)
            assert all(isinstance(outcome, int | AppendConflictError) for outcome in outcomes)
            won += sum(isinstance(outcome, int) for outcome in outcomes)
        return won

    won = await asyncio.gather(write(0), write(1))

    assert all(won)
    before = b"none"
    async for chunk in logs[0].read(after=0, until=await logs[0].last_position()):
        for message in chunk:
            named, own = message.body.split()
            assert named == before, f"position {message.position} was decided behind another event"
            before = own


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_a_chain_follows_what_was_stored_before_a_restart_by_its_position_alone(
    own_broker: EmbeddedBroker,
    broker_with_log: EmbeddedBroker,
    mine: NatsConnection,
    kill: bool,  # noqa: FBT001
) -> None:
    """The broker forgets the last id when it restarts: what was sent behind it is refused, and may be sent anew."""
    log = await NatsEventLog.open(mine, POOL)
    await log.append_chain(events(2), expected_position=0, behind=False, on_stored=lambda _: None)
    lost = asyncio.Event()
    mine.disconnected.add(lost.set)
    await (broker_with_log.kill() if kill else broker_with_log.stop())
    await lost.wait()
    await broker_with_log.start()
    assert await mine.wait_connected()

    later = events(2, at=2)
    with pytest.raises(AppendConflictError):
        await log.append_chain(later, expected_position=1, behind=False, on_stored=lambda _: None)
    end = await log.append_chain(later, expected_position=2, behind=False, on_stored=lambda _: None)

    assert end == 4
    assert await stored(log) == ["mine0", "mine1", "mine2", "mine3"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_of_a_chain_that_was_cut_off_a_prefix_is_stored(broker_with_log: EmbeddedBroker, share: float) -> None:
    async with TcpProxy(broker_with_log.url) as proxy:
        connection = await connect(proxy.url, name="test")
        log = await NatsEventLog.open(connection, POOL)
        messages = [
            NewMessage(f"custody.{POOL}.evt.task.T.noted", b"%03d" % number + bytes(997)) for number in range(40)
        ]
        proxy.cut_after(int(share * 40 * 1_100))
        with pytest.raises(OutcomeUnknownError):
            await log.append_chain(messages, expected_position=0, behind=False, on_stored=lambda _: None)

        assert await connection.wait_connected()
        # The broker may come to the new connection before it has read what came on the old one.
        async with aclosing(log.follow(after=0)) as following:
            await anext(following)
        last = await log.last_position()
        found = [message async for chunk in log.read(after=0, until=last) for message in chunk]
        assert 0 < last < len(messages)
        assert [message.body for message in found] == [message.body for message in messages[:last]]
        await connection.close()
