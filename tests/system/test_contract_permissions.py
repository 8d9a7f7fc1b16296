"""Who may do what, held off by the broker: an agent speaks as itself, one user appends, none rewrites a log."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import ADMIN, COMMANDS, ECHO, OPERATOR, WRITER, BrokerUser, agent_user
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import settled
from tests.system.caller import Caller
from tests.system.streams import happened, last_position

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

            prefix = f"_INBOX.{user}".encode()
            self._clients[user] = await nats.connect(
                self._broker.url, **self._broker.credentials(user), error_cb=note, inbox_prefix=prefix
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
    async with served(tmp_path, BrokerOptions(sync_interval="2m", extra_users=extra)) as broker:
        users = Users(broker)
        yield users
        await users.close()


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
    assert not await users.may_publish("agent-a1", "_INBOX.agent-a2.x"), "only the responder answers"


ROLES = ("writer", "responder", "operator", "agent-a1", "agent-a2", "agent-a3")


@pytest.mark.parametrize("user", [role for role in ROLES if role != "operator"])
async def test_each_user_hears_only_its_own_answers(users: Users, user: str) -> None:
    assert await users.may_subscribe(user, f"_INBOX.{user}.>")
    others = [f"_INBOX.{other}.>" for other in ROLES if other != user]
    for subject in (*others, "_INBOX.>", "_INBOX.*", "_INBOX.*.x", "_INBOX.*.>", f"custody.{POOL}.>", ">"):
        assert not await users.may_subscribe(user, subject), subject


async def test_an_operator_does_not_hear_the_service(users: Users) -> None:
    assert await users.may_subscribe("operator", "_INBOX.operator.>")
    for subject in ("_INBOX.writer.>", "_INBOX.responder.>", "_INBOX.writer.x", f"custody.{POOL}.>", ">"):
        assert not await users.may_subscribe("operator", subject), subject


async def test_an_agent_does_not_hear_the_feed(users: Users) -> None:
    assert not await users.may_subscribe("agent-a1", f"custody.{POOL}.feed.>")


@pytest.mark.parametrize("inbox", ["_INBOX.writer.x", "_INBOX.responder.x"])
async def test_no_user_has_the_service_answer_the_service(users: Users, inbox: str) -> None:
    for user in ROLES:
        assert not await users.may_publish(user, inbox), user
    operator = Caller(await users.client("operator"), POOL)
    await operator.nc.publish(f"custody.{POOL}.ops.submit", b'{"task_id":"T1"}', reply=inbox)
    reply = await operator.ask("query.task", task_id="T1")
    assert reply.body["error"]["code"] == "unknown_task", "dropped, not carried out"


@pytest.mark.parametrize("user", ["responder", "operator", "agent-a1"])
async def test_only_the_writer_publishes_events(users: Users, user: str) -> None:
    at = await last_position(await users.client("operator"), POOL)
    for subject in (EVENT, f"custody.{POOL}.evt.pool.{POOL}.led", "custody.other.evt.task.T1.completed"):
        assert not await users.may_publish(user, subject)
    assert await happened(await users.client("operator"), POOL, after=at) == []


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
    assert not await users.may_subscribe("operator", "custody.*.ops.>"), "no user takes the service's place"


@pytest.mark.parametrize("user", ["writer", "responder", "operator", "agent-a1"])
async def test_no_user_deletes_changes_or_purges_a_stream(users: Users, user: str) -> None:
    operator = Caller(await users.client("operator"), POOL)
    await operator.done("ops.submit", task_id="T1")
    at = await last_position(operator.nc, POOL)
    for verb in ("DELETE", "UPDATE", "PURGE", "MSG.DELETE", "RESTORE", "SNAPSHOT"):
        assert not await users.may_publish(user, f"$JS.API.STREAM.{verb}.{STREAM}"), verb
    assert not await users.may_publish(user, f"$JS.API.STREAM.LEADER.STEPDOWN.{STREAM}")
    assert not await users.may_publish(user, "$SYS.REQ.SERVER.PING")
    assert await happened(operator.nc, POOL, after=at) == []


async def test_creating_the_stream_anew_changes_nothing(users: Users) -> None:
    writer = await users.client("writer")
    config = {"name": STREAM, "subjects": ["custody.default.evt.>"], "max_msgs": 1, "storage": "file"}
    create = await writer.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(config).encode(), timeout=10)
    answer = json.loads(create.data)
    assert answer["error"]["err_code"] == NAME_IN_USE
    info = await (await users.client("operator")).jetstream().stream_info(STREAM)
    assert info.config.max_msgs == -1


async def test_the_stream_itself_holds_off_deletes_too(users: Users) -> None:
    config = (await (await users.client("operator")).jetstream().stream_info(STREAM)).config
    assert (config.deny_delete, config.deny_purge, config.allow_direct) == (True, True, True)
    assert (config.retention, config.discard) == ("limits", "new")
    assert (config.max_msgs, config.max_bytes, config.max_age) == (-1, -1, 0)
    raw = await (await users.client("operator")).request(f"$JS.API.STREAM.INFO.{STREAM}", timeout=10)
    assert json.loads(raw.data)["config"]["allow_atomic"] is True
    assert json.loads(raw.data)["config"]["compression"] == "none"


BEFORE = (
    # As version 0.1.0 had them, and brokers still have them whose configuration was not changed.
    BrokerUser("writer", WRITER.publish, ("_INBOX.>",)),
    BrokerUser("responder", ("_INBOX.>",), (*COMMANDS, ECHO, "_INBOX.>")),
    BrokerUser("operator", OPERATOR.publish, ("custody.*.feed.>", "_INBOX.>")),
)


@asynccontextmanager
async def served(directory: Path, options: BrokerOptions) -> AsyncIterator[EmbeddedBroker]:
    async with EmbeddedBroker(directory, options) as broker:
        server = await PoolServer(Settings(data_dir=directory), broker.url).start(broker.auth)
        yield broker
        await server.stop()


@asynccontextmanager
async def old_client(broker: EmbeddedBroker, user: str = "operator") -> AsyncIterator[tuple[Client, list[str]]]:
    """A client that sets no inbox prefix, and what the broker refused it."""
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    nc = await nats.connect(broker.url, **broker.credentials(user), error_cb=note)
    yield nc, refused
    await nc.close()


async def test_an_operator_without_a_prefix_is_answered_and_hears_nothing_of_the_service(tmp_path: Path) -> None:
    options = BrokerOptions(sync_interval="2m", extra_users=(ADMIN,))
    async with served(tmp_path, options) as broker, old_client(broker) as (nc, refused):
        assert (await Caller(nc, POOL).ask("query.health")).ok
        heard: list[str] = []

        async def hear(message: Msg) -> None:
            heard.append(message.subject)

        await nc.subscribe("_INBOX.>", cb=hear)
        await settled(nc)
        async with old_client(broker, "admin") as (admin, _):
            for inbox in ("_INBOX.writer.x", "_INBOX.responder.x", "_INBOX.projector.x", "_INBOX.nuid.1"):
                await admin.publish(inbox, b"")
            await settled(admin)
        await settled(nc)
        assert heard == ["_INBOX.nuid.1"]
        assert refused == []


async def test_where_inboxes_are_strict_it_is_told_which_inbox_it_may_not_hear(tmp_path: Path) -> None:
    options = BrokerOptions(sync_interval="2m", strict_inboxes=True)
    async with served(tmp_path, options) as broker, old_client(broker) as (nc, refused):
        with pytest.raises(nats.errors.TimeoutError):
            await nc.request("custody.default.query.health", b"{}", timeout=0.5)
        await settled(nc)
        assert any('permissions violation for subscription to "_inbox.' in each for each in refused)


async def test_a_broker_with_the_users_of_the_version_before_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.broker.embedded.EmbeddedBroker._users", lambda _: BEFORE)
    async with served(tmp_path, BrokerOptions(sync_interval="2m")) as broker:
        async with old_client(broker) as (nc, refused):
            await Caller(nc, POOL).done("ops.submit", task_id="T1")
            assert refused == []
        nc = await nats.connect(broker.url, **broker.credentials("operator"), inbox_prefix=b"_INBOX.operator")
        assert (await Caller(nc, POOL).ask("query.task", task_id="T1")).ok
        await nc.close()
