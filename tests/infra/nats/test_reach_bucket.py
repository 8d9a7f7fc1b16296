"""Asking the cluster to confirm a write. What a cluster answers is in tests/system/test_partition.py."""

import pytest

from infra.broker.embedded import EmbeddedBroker
from infra.nats.api import JetStreamApi
from infra.nats.auth import Auth
from infra.nats.connection import connect
from infra.nats.reach_bucket import ReachBucket
from infra.nats.stream import StreamSettings, ensure_stream


async def test_a_log_with_one_copy_is_not_asked_about(broker: EmbeddedBroker, pool: str) -> None:
    access = broker.credentials("writer")
    connection = await connect(broker.url, name="test", auth=Auth(user=access["user"], password=access["password"]))
    await ensure_stream(connection, pool, StreamSettings())
    bucket = ReachBucket(JetStreamApi(connection), pool)
    assert await bucket.confirms() is None
    unknown = ReachBucket(JetStreamApi(connection), f"{pool}_unknown")
    assert await unknown.confirms() is None, "the cluster may have elected a leader that does not know the log yet"
    connection.drop()
    assert await bucket.confirms() is False
    await connection.close()


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("$kv.custody_reach_p1.reach", True),
        ("$js.api.stream.create.kv_custody_reach_p1", True),
        ("$js.api.stream.create.kv_custody_reach_p12", False),
        ("custody.p1.echo", False),
    ],
)
def test_its_subjects_are_known_from_a_refusal(subject: str, *, expected: bool) -> None:
    assert ReachBucket(None, "P1").is_at(subject) == expected  # type: ignore[arg-type] # the names alone
