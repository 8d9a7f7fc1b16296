"""The examples of docs/eventsourcing.md run unchanged."""

import asyncio
import re

import pytest

from handlers.ports import NewMessage
from infra.broker.embedded import EmbeddedBroker
from infra.nats.auth import Auth
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.support.checkout import ROOT
from tests.support.scenario import Scenario

DOCUMENT = ROOT / "docs" / "eventsourcing.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


async def fill(url: str, auth: Auth, pool: str) -> None:
    scenario = Scenario(pool_id=pool)
    scenario.holds("a1", "T1")
    connection = await connect(url, name="test", auth=auth)
    await ensure_stream(connection, pool)
    log = await NatsEventLog.open(connection, pool)
    messages = [NewMessage(message.subject, message.body, message.headers) for message in scenario.messages]
    await log.append(messages, expected_position=0)
    await log.close()
    await connection.close()


def test_the_examples_run(
    broker: EmbeddedBroker,
    pool: str,
    nats_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own_application, view, reader = EXAMPLES
    names: dict[str, object] = {"__name__": "examples"}
    exec(own_application, names)  # noqa: S102 # that is what examples are for
    exec(view, names)  # noqa: S102 # same

    asyncio.run(fill(broker.url, Auth(user=nats_env["NATS_USER"], password=nats_env["NATS_PASSWORD"]), pool))
    monkeypatch.setenv("PERSISTENCE_MODULE", "custody_eventsourcing.pools")
    monkeypatch.setenv("CUSTODY_POOL", pool)
    exec(reader, names)  # noqa: S102 # same

    assert capsys.readouterr().out == (
        "a1 ['custody.agent.registered.v1', 'custody.task.submitted.v1', 'custody.task.leased.v1']\n1\n"
    )
