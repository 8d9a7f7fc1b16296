"""Connecting, losing the broker, reconnecting, being refused."""

import asyncio
import socket

import pytest
from nats.errors import Error as NatsError

from infra.broker.embedded import EmbeddedBroker
from infra.nats.auth import Auth
from infra.nats.broker_errors import BrokerUnavailableError
from infra.nats.connection import PermissionViolation, connect, without_password
from tests.support.broker import frozen
from tests.support.fake_broker import FakeBroker


async def test_a_closed_port_is_one_clear_line() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{bound.getsockname()[1]}"

        with pytest.raises(BrokerUnavailableError) as caught:
            await connect(url, name="test", deadline_s=1)

    assert str(caught.value) == f"cannot use the broker at {url}: connection refused"


async def test_the_password_in_an_address_is_never_told() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]

        with pytest.raises(BrokerUnavailableError) as caught:
            await connect(f"nats://ann:hush@127.0.0.1:{port}", name="test", deadline_s=0.1)

    assert f"nats://127.0.0.1:{port}" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(Auth(user="ann", password="hush", token="hush"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://ann:hush@a:4222", "nats://a:4222"),
        ("nats://token@a:4222, nats://ann:hu@sh@b:4222", "nats://a:4222,nats://b:4222"),
        ("ann:hush@a:4222", "a:4222"),
        ("a:4222", "a:4222"),
        ("tls://a", "tls://a"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_password(url) == shown


async def test_wrong_credentials_fail_at_once_and_not_at_the_deadline(broker: EmbeddedBroker) -> None:
    with pytest.raises(BrokerUnavailableError, match="it refuses the credentials") as caught:
        await connect(broker.url, name="test", auth=Auth(user="writer", password="hush"), deadline_s=60)

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("fake", "deadline_s", "reason"),
    [
        (FakeBroker(silent=True), 0.2, "no answer within 0.2 s"),
        (FakeBroker(greeting=b"HTTP/1.1 400 Bad Request\r\n"), 1, "empty response from server"),
        (FakeBroker(refuse="Maximum Connections Exceeded"), 1, "Maximum Connections Exceeded"),
    ],
    ids=["says nothing", "no broker", "refuses"],
)
async def test_what_is_no_usable_broker_is_given_up_at_the_deadline(
    fake: FakeBroker, deadline_s: float, reason: str
) -> None:
    """Where something answers, there is time for several tries: before the first, the reason is another one."""
    async with fake:
        with pytest.raises(BrokerUnavailableError, match=reason):
            await connect(fake.url, name="test", deadline_s=deadline_s)


async def test_connecting_can_be_called_off() -> None:
    async with FakeBroker(silent=True) as fake:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connect(fake.url, name="test", deadline_s=60)


async def test_a_lost_broker_is_reported_and_comes_back(own_broker: EmbeddedBroker) -> None:
    connection = await connect(own_broker.url, name="test")
    lost, back, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    connection.disconnected.add(lost.set)
    connection.reconnected.add(back.set)
    connection.closed.add(closed.set)

    await own_broker.kill()
    await lost.wait()
    assert not connection.is_connected
    assert not await connection.wait_connected(0.01)
    with pytest.raises(BrokerUnavailableError):
        await connection.send(b"PUB x 0\r\n\r\n")

    await own_broker.start()
    assert await connection.wait_connected()
    await back.wait()

    await connection.close()
    await closed.wait()
    await connection.close()
    assert not await connection.wait_connected()


async def test_a_frozen_broker_is_left_within_seconds_whatever_it_was_still_to_be_sent(
    own_broker: EmbeddedBroker,
) -> None:
    connection = await connect(own_broker.url, name="test")
    lost = asyncio.Event()
    connection.disconnected.add(lost.set)
    with frozen(own_broker):
        frame = b"PUB x 1000000\r\n" + bytes(1_000_000) + b"\r\n"
        await connection.send(frame * 20)
        # By the library's own defaults it would take minutes.
        async with asyncio.timeout(30):
            await lost.wait()
    assert await connection.wait_connected(30)
    await connection.close()


async def test_a_connection_that_was_lost_with_something_to_be_sent_can_be_closed() -> None:
    async with FakeBroker(cutting=True) as fake:
        connection = await connect(fake.url, name="test", deadline_s=5)
        closed = asyncio.Event()
        connection.closed.add(closed.set)
        with pytest.raises(NatsError):
            await connection.client.request("x", timeout=0.1)
        await connection.close()
        assert closed.is_set()


async def test_a_connection_to_a_frozen_broker_can_be_closed(
    own_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.nats.connection._CLOSE_TIMEOUT_S", 0.1)
    # Nothing else ends it: no ping goes unanswered.
    monkeypatch.setattr("infra.nats.connection._PING_INTERVAL_S", 3_600)
    connection = await connect(own_broker.url, name="test")
    with frozen(own_broker):
        frame = b"PUB x 1000000\r\n" + bytes(1_000_000) + b"\r\n"
        await connection.send(frame * 20)
        async with asyncio.timeout(30):
            await connection.close()
        assert connection.client.is_closed


async def test_a_violated_permission_is_reported(broker: EmbeddedBroker, pool: str) -> None:
    auth = broker.auth("operator")
    connection = await connect(broker.url, name="test", auth=auth)
    violations: asyncio.Queue[PermissionViolation] = asyncio.Queue()
    forget = connection.violated.add(violations.put_nowait)

    await connection.client.publish(f"custody.{pool}.evt.task.T1.queued")
    assert await violations.get() == PermissionViolation("publish", f"custody.{pool}.evt.task.t1.queued")
    await connection.client.subscribe(f"custody.{pool}.agent.>")
    assert await violations.get() == PermissionViolation("subscription", f"custody.{pool}.agent.>")

    forget()
    await connection.close()


async def test_an_address_that_is_none_is_a_clear_line() -> None:
    with pytest.raises(BrokerUnavailableError, match="cannot use the broker at nats://:x: invalid connect url option"):
        await connect("nats://:x", name="test")
