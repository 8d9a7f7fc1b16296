"""`custody notify` is killed between a post and its record: a repeat has the same id, and nothing is left out."""

from __future__ import annotations

import base64
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.ports import NewMessage
from infra.broker.embedded import EmbeddedBroker
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.support.scenario import OPS, Scenario
from tests.support.webhook_receiver import WebhookReceiver
from tests.system.projectors import MAIN, POOL, commanding

pytestmark = [pytest.mark.system]

DYING = """
import os, signal
from infra.cli.main import main
from infra.notify.webhook_post import WebhookPost

left = {posts}

async def post(self, message):
    global left
    outcome = await posted(self, message)
    left -= 1
    if left == 0:
        # The receiver has it, and the queue does not know.
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome

posted, WebhookPost.__call__ = WebhookPost.__call__, post
main()
"""
BEFORE, EVENTS = 5, 40


def submissions(count: int) -> list[NewMessage]:
    """Return the messages of a log of today: what is old is given up."""
    scenario = Scenario(pool_id=POOL)
    scenario.now = datetime.now(UTC)
    for number in range(count):
        scenario.given(OPS, "submit", task_id=f"T{number}")
    return [NewMessage(each.subject, each.body, dict(each.headers)) for each in scenario.messages]


@pytest.fixture
async def log(users_broker: EmbeddedBroker) -> AsyncIterator[NatsEventLog]:
    connection = await connect(users_broker.url, name="test", auth=users_broker.auth("writer"))
    await ensure_stream(connection, POOL)
    log = await NatsEventLog.open(connection, POOL)
    yield log
    await log.close()
    await connection.close()


async def test_killed_between_a_post_and_its_record_it_tells_that_again_with_the_same_id_and_everything_once(
    users_broker: EmbeddedBroker, log: NatsEventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", f"whsec_{base64.b64encode(b's' * 24).decode()}")
    messages = submissions(BEFORE + EVENTS)
    await log.append(messages[:BEFORE], expected_position=0)
    async with WebhookReceiver() as receiver:
        (tmp_path / "notify.toml").write_text(
            f'[[endpoint]]\nname = "hook"\nurl = "{receiver.url}"\nsecret_env = "HOOK_SECRET"\n'
            'events = ["*"]\nrate_per_s = 1000\n'
        )
        command = ("notify", "--config", "notify.toml")
        async with commanding(MAIN, tmp_path, users_broker, *command) as first:
            await first.line(f"following pool {POOL} from position {BEFORE} on: hook")
            assert await first.end(signal.SIGTERM) == 0, first.said
        await log.append(messages[BEFORE:], expected_position=BEFORE)
        for posts in (1, 4):
            async with commanding(DYING.format(posts=posts), tmp_path, users_broker, *command) as dying:
                assert await dying.end() == -signal.SIGKILL, dying.said
        async with commanding(MAIN, tmp_path, users_broker, *command) as last:
            # Two were told twice.
            await receiver.until(EVENTS + 2)
            assert await last.end(signal.SIGTERM) == 0, last.said
        told = [(each.headers["webhook-id"], each.json["data"]["position"]) for each in receiver.got]
    assert len(told) == EVENTS + 2
    assert len({message_id for message_id, _ in told}) == EVENTS
    assert list(dict.fromkeys(told)) == sorted(set(told), key=lambda each: each[1])
    assert [position for _, position in dict.fromkeys(told)] == list(range(BEFORE + 1, BEFORE + EVENTS + 1))
