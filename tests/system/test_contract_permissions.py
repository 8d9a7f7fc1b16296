"""Who may do what, held off by the broker: an agent speaks as itself, one user appends, nobody rewrites a log."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import agent_user
from infra.nats.auth import Auth
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import settled
from tests.system.caller import Caller
from tests.system.streams import last_position

pytestmark = pytest.mark.system

POOL = "default"
EVENT = "custody.default.evt.task.T1.completed"
STREAM = "CUSTODY_default"
NAME_IN_USE = 10058


class Users:
    """Connections by user, with what the broker refused them."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker
        self._clients: dict[str, Client] = {}
        self._refused: dict[str, list[str]] = {}

    async def client(self, user: str) -> Client:
        if user not in self._clients:
            refused = self._refused[user] = []

            async def note(error: Exception) -> None:
                refused.append(str(error).lower())

            inbox = f"_INBOX.{user.removeprefix('agent-')}" if user.startswith("agent-") else "_INBOX"
            self._clients[user] = await nats.connect(
                self._broker.url, **self._broker.credentials(user), error_cb=note, inbox_prefix=inbox.encode()
            )
        return self._clients[user]

    async def may_publish(self, user: str, subject: str) -> bool:
        """Whether the broker takes a publish from the user. Its refusals come in order, before the next pong."""
        nc = await self.client(user)
        self._refused[user].clear()
        await nc.publish(subject, b"{}")
        await settled(nc)
        return not any(f'publish to "{subject.lower()}"' in each for each in self._refused[user])

    async def may_subscribe(self, user: str, subject: str) -> bool:
        nc = await self.client(user)
        self._refused[user].clear()
        subscription = await nc.subscribe(subject)
        await settled(nc)
        allowed = not any(f'subscription to "{subject.lower()}"' in each for each in self._refused[user])
        if allowed:
            await subscription.unsubscribe()
        return allowed

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[Users]:
    """A broker with two agents' users besides the service's own, and the pool `default` served on it."""
    extra = (agent_user(POOL, "a1"), agent_user(POOL, "a2"), agent_user("other", "a3"))
    async with EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="2m", extra_users=extra)) as broker:

        def auth(user: str) -> Auth:
            access = broker.credentials(user)
            return Auth(user=access["user"], password=access["password"])

        server = await PoolServer(Settings(data_dir=tmp_path), broker.url).start(auth)
        users = Users(broker)
        yield users
        await users.close()
        await server.stop()


async def test_an_agent_speaks_only_as_itself(users: Users) -> None:
    a1 = Caller(await users.client("agent-a1"), POOL)
    operator = Caller(await users.client("operator"), POOL)
    await a1.done("agent.a1.register")
    await operator.done("agent.a2.register")
    await operator.done("ops.submit", task_id="T1")
    token = (await a1.done("agent.a1.claim"))["leases"][0]["token"]
    await a1.done("agent.a1.complete", task_id="T1", token=token)
    elsewhere = ("agent.a2.heartbeat", "ops.submit", "query.health", "evt.task.T1.completed", "feed.task.T1.completed")
    for tail in elsewhere:
        assert not await users.may_publish("agent-a1", f"custody.{POOL}.{tail}"), tail
    assert not await users.may_publish("agent-a1", "custody.other.agent.a1.heartbeat")
    assert not await users.may_publish("agent-a3", "custody.default.agent.a3.register")
    assert not await users.may_publish("agent-a1", "_INBOX.a2.x"), "nobody but the responder answers"


async def test_an_agent_hears_only_its_own_answers(users: Users) -> None:
    assert await users.may_subscribe("agent-a1", "_INBOX.a1.>")
    for subject in ("_INBOX.>", "_INBOX.a2.>", "_INBOX.*.x", f"custody.{POOL}.feed.>", f"custody.{POOL}.>", ">"):
        assert not await users.may_subscribe("agent-a1", subject), subject


@pytest.mark.parametrize("user", ["responder", "operator", "agent-a1"])
async def test_nobody_but_the_writer_publishes_events(users: Users, user: str) -> None:
    at = await last_position(await users.client("operator"), POOL)
    for subject in (EVENT, f"custody.{POOL}.evt.pool.{POOL}.led", "custody.other.evt.task.T1.completed"):
        assert not await users.may_publish(user, subject)
    assert await last_position(await users.client("operator"), POOL) == at


async def test_the_responder_publishes_to_inboxes_only(users: Users) -> None:
    assert await users.may_publish("responder", "_INBOX.anything.at.all")
    for subject in ("custody.default.ops.submit", "custody.default.feed.x", "$JS.API.INFO", "$JS.ACK.x", "x", "_INBOX"):
        assert not await users.may_publish("responder", subject), subject
    for subject in ("custody.default.evt.>", "custody.default.feed.>", ">", "$JS.API.>"):
        assert not await users.may_subscribe("responder", subject), subject


async def test_the_writer_cannot_answer_or_command(users: Users) -> None:
    for subject in ("_INBOX.x", "custody.default.ops.submit", "custody.default.agent.a1.claim"):
        assert not await users.may_publish("writer", subject), subject


async def test_the_operator_reads_the_feed_and_not_the_raw_events(users: Users) -> None:
    assert await users.may_subscribe("operator", "custody.default.feed.>")
    assert not await users.may_subscribe("operator", "custody.default.evt.>"), "these would show what was refused"
    assert not await users.may_subscribe("operator", "custody.*.ops.>"), "nobody takes the service's place"


@pytest.mark.parametrize("user", ["writer", "responder", "operator", "agent-a1"])
async def test_nobody_deletes_changes_or_purges_a_stream(users: Users, user: str) -> None:
    operator = Caller(await users.client("operator"), POOL)
    await operator.done("ops.submit", task_id="T1")
    at = await last_position(operator.nc, POOL)
    for verb in ("DELETE", "UPDATE", "PURGE", "MSG.DELETE", "RESTORE", "SNAPSHOT"):
        assert not await users.may_publish(user, f"$JS.API.STREAM.{verb}.{STREAM}"), verb
    assert not await users.may_publish(user, f"$JS.API.STREAM.LEADER.STEPDOWN.{STREAM}")
    assert not await users.may_publish(user, "$SYS.REQ.SERVER.PING")
    assert await last_position(operator.nc, POOL) == at


async def test_creating_the_stream_anew_changes_nothing(users: Users) -> None:
    writer = await users.client("writer")
    config = {"name": STREAM, "subjects": ["custody.default.evt.>"], "max_msgs": 1, "storage": "file"}
    answer = json.loads((await writer.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(config).encode())).data)
    assert answer["error"]["err_code"] == NAME_IN_USE
    info = await (await users.client("operator")).jetstream().stream_info(STREAM)
    assert info.config.max_msgs == -1


async def test_the_stream_itself_holds_off_deletes_too(users: Users) -> None:
    config = (await (await users.client("operator")).jetstream().stream_info(STREAM)).config
    assert (config.deny_delete, config.deny_purge, config.allow_direct) == (True, True, True)
    assert (config.retention, config.discard) == ("limits", "new")
    assert (config.max_msgs, config.max_bytes, config.max_age) == (-1, -1, 0)
    raw = await (await users.client("operator")).request(f"$JS.API.STREAM.INFO.{STREAM}")
    assert json.loads(raw.data)["config"]["allow_atomic"] is True
    assert json.loads(raw.data)["config"]["compression"] == "none"
