"""The broker as `docker compose` runs it: its configuration file, in a container, over a mapped port."""

import json
from collections.abc import Iterator

import nats
import pytest
from nats.js.api import StreamConfig

from tests.support.checkout import ROOT
from tests.support.docker import broker_container

pytestmark = [pytest.mark.docker, pytest.mark.system, pytest.mark.timeout(240)]

CONFIG = ROOT / "infra" / "broker" / "custody.conf"
PASSWORDS = {user: f"{user}-in-a-container" for user in ("writer", "responder", "operator")}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    environment = {f"CUSTODY_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
    with broker_container(CONFIG, {**environment, "CUSTODY_BROKER_STORE": "/data"}) as address:
        yield address


async def test_the_writer_appends_a_batch_that_the_operator_reads(url: str, pool: str) -> None:
    writer = await nats.connect(url, user="writer", password=PASSWORDS["writer"], inbox_prefix=b"_INBOX.writer")
    stream = f"CUSTODY_{pool}"
    await writer.jetstream().add_stream(
        StreamConfig(name=stream, subjects=[f"custody.{pool}.evt.>"], allow_atomic=True, allow_direct=True)
    )
    batch = {"Nats-Batch-Id": "b1"}
    first = {**batch, "Nats-Batch-Sequence": "1", "Nats-Expected-Last-Sequence": "0"}
    last = {**batch, "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
    await writer.publish(f"custody.{pool}.evt.task.T1.submitted", b"{}", headers=first)
    answer = await writer.request(f"custody.{pool}.evt.task.T1.leased", b"{}", headers=last, timeout=10)
    acknowledged = json.loads(answer.data)
    assert (acknowledged["stream"], acknowledged["seq"], acknowledged["count"]) == (stream, 2, 2)
    await writer.close()

    operator = await nats.connect(url, user="operator", password=PASSWORDS["operator"], inbox_prefix=b"_INBOX.operator")
    stored = [await operator.jetstream().get_msg(stream, seq=position) for position in (1, 2)]
    assert [message.subject for message in stored] == [
        f"custody.{pool}.evt.task.T1.submitted",
        f"custody.{pool}.evt.task.T1.leased",
    ]
    await operator.close()
