"""Live views in a bucket of a real broker: they equal those of the fold, and a watch sees them change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.js.kv import KeyValue

from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.ports import NewMessage
from handlers.projector.projector import Projector
from handlers.projector.read_model import (
    OutdatedError,
    ReadModelError,
    ReadModelUnavailableError,
    Source,
    Watermark,
    WatermarkMovedError,
)
from infra.broker.embedded import EmbeddedBroker
from infra.codec import CloudEventsCodec
from infra.nats.api import JetStreamApi
from infra.nats.buckets import views_bucket
from infra.nats.connection import connect
from infra.nats.exchange import Answer, Exchange
from infra.nats.filtered_reader import read_matching
from infra.nats.kv_read_model import KvReadModel
from infra.nats.stream import ensure_stream
from projections.read_models.document_projection import DocumentChanges, DocumentProjection
from tests.golden.make import HISTORIES
from tests.support.broker import Connect
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, Scenario
from tests.support.virtual_clock import VirtualClock

pytestmark = [pytest.mark.system]
LOG = "default"
CODEC = CloudEventsCodec(LOG)
RULES = Rules(branch_template="task/{task_id}/{attempt}")


def messages(scenario: Scenario, after: int = 0) -> list[NewMessage]:
    return [NewMessage(each.subject, each.body, dict(each.headers)) for each in scenario.messages[after:]]


class Site:
    """A log in memory, and the bucket of a pool on the session's broker."""

    def __init__(self, api: JetStreamApi, pool: str, bucket: KeyValue) -> None:
        self.api = api
        self.pool = pool
        self.bucket = bucket
        self.clock = VirtualClock()
        self.log = MemoryEventLog(LOG)
        self.told: list[str] = []

    def model(self, *, rebuild: bool = False) -> KvReadModel:
        return KvReadModel(self.api, self.pool, rebuild=rebuild)

    def projector(self, model: KvReadModel | None = None) -> Projector[DocumentChanges]:
        source = Source(self.log, CODEC, self.fold_until)
        kept = model or self.model()
        return Projector(source, kept, DocumentProjection, self.clock, self.told.append, max_events=3, replace_all=True)

    async def fold_until(self, position: int) -> Memory:
        memory = Memory(LOG, RULES, CODEC, outcomes=0)
        await catch_up(memory, self.log, until=position)
        return memory

    async def catch_up(self, model: KvReadModel | None = None) -> Projector[DocumentChanges]:
        projector = self.projector(model)
        await self.clock.finish(asyncio.ensure_future(projector.run(follow=False)))
        return projector

    async def contents(self) -> dict[str, Any]:
        """Every document but the watermark."""
        prefix = views_bucket(self.pool).prefix
        found = {}
        # The library's own listing may be empty: its end marker can overtake the messages.
        async for chunk in read_matching(self.api, views_bucket(self.pool).stream, f"{prefix}>", after=0, until=2**62):
            found.update({each.subject.removeprefix(prefix): json.loads(each.body) for each in chunk if each.body})
        assert found.pop("position")["position"] == len(self.log.messages)
        return found

    async def expected(self) -> dict[str, Any]:
        memory = await self.fold_until(len(self.log.messages))
        taken = DocumentProjection(memory.state).take_changes()
        return {key: json.loads(document) for key, document in taken.documents.items() if document is not None}

    async def sequence(self) -> int:
        return int((await self.api.stream_state(views_bucket(self.pool).stream))["last_seq"])


@pytest.fixture
async def site(broker: EmbeddedBroker, connect_as: Connect, pool: str) -> AsyncIterator[Site]:
    connection = await connect(broker.url, name="test", auth=broker.auth("writer"))
    await ensure_stream(connection, pool)
    api = JetStreamApi(connection)
    await KvReadModel(api, pool).watermark()
    reader = await connect_as("operator")
    yield Site(api, pool, await reader.jetstream().key_value(f"CUSTODY_VIEWS_{pool}"))
    await connection.close()


@pytest.fixture
def connect_as(connect: Connect) -> Connect:
    """The fixture, under a name that does not clash with the function `connect`."""
    return connect


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"junk", ReadModelUnavailableError),
        (b"[]", ReadModelUnavailableError),
        (b'{"error": {"code": 503, "err_code": 10008, "description": "no leader"}}', ReadModelUnavailableError),
        (
            b'{"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence"}, "seq": 0}',
            WatermarkMovedError,
        ),
        (b'{"error": {"code": 400, "err_code": 10054, "description": "too large"}}', ReadModelError),
    ],
)
async def test_each_answer_to_a_write_means_one_error(
    site: Site, answer: bytes, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one(*_: Any) -> Answer:
        return Answer(b"", answer)

    model = site.model()
    before = await model.watermark()
    monkeypatch.setattr(Exchange, "one", one)
    with pytest.raises(error):
        await model.write(DocumentChanges({"lease.T": b"{}"}, replace_all=False), before, Watermark(1))


async def test_a_document_over_the_brokers_limit_is_not_tried_again(site: Site) -> None:
    model = site.model()
    large = DocumentChanges({"lease.T": bytes(site.api.connection.client.max_payload)}, replace_all=False)
    with pytest.raises(ReadModelError, match="is over the broker's"):
        await model.write(large, await model.watermark(), Watermark(1))


@pytest.mark.parametrize("name", HISTORIES)
async def test_the_bucket_is_the_fold_of_the_log(site: Site, name: str) -> None:
    scenario = Scenario(RULES)
    HISTORIES[name](scenario)
    log = messages(scenario)
    projector = site.projector()
    for start in range(0, len(log), 11):
        site.log.append_foreign(*log[start : start + 11])
        await site.clock.finish(asyncio.ensure_future(projector.run(follow=False)))
        assert await site.contents() == await site.expected()
    before = await site.sequence()
    await site.catch_up()
    assert await site.sequence() == before, "a restart writes only what differs"


async def test_a_watch_sees_a_lease_come_change_and_go(site: Site) -> None:
    s = Scenario(RULES)
    watch: Any = await site.bucket.watch("lease.*")
    assert await watch.updates(timeout=5) is None, "what was there when it began"
    projector = site.projector()
    following = asyncio.ensure_future(projector.run(follow=True))

    async def seen() -> tuple[str, str | None, Any]:
        update = await watch.updates(timeout=5)
        assert update is not None
        return update.key, update.operation, json.loads(update.value) if update.value else None

    def happened(count: int) -> None:
        site.log.append_foreign(*messages(s, count))

    token = s.holds("a1", "t1")
    happened(0)
    key, _, document = await seen()
    assert (key, document["agent_id"], document["token"], document["percent"]) == ("lease.t1", "a1", token, 0)
    before = len(s.messages)
    s.at(30).given("a1", "progress", task_id="t1", token=token, percent=40)
    happened(before)
    while document["percent"] != 40:
        _, _, document = await seen()
    before = len(s.messages)
    s.at(60).given("a1", "complete", task_id="t1", token=token)
    happened(before)
    operation = None
    while operation != "DEL":
        key, operation, document = await seen()
        assert key == "lease.t1"
    assert (await site.contents()).keys() == {"workload.a1"}
    projector.stop()
    await following


async def test_two_projectors_do_no_harm(site: Site) -> None:
    scenario = Scenario(RULES)
    HISTORIES["tasks"](scenario)
    log = messages(scenario)
    site.log.append_foreign(*log[:5])
    one, other = site.projector(), site.projector()
    works = [asyncio.ensure_future(each.run(follow=True)) for each in (one, other)]
    for start in range(5, len(log), 6):
        site.log.append_foreign(*log[start : start + 6])
        await asyncio.wait(works, timeout=0.01)
    while one.watermark.position < len(log) and other.watermark.position < len(log):
        await asyncio.wait(works, timeout=0.02)
        await site.clock.advance(1)
    assert await site.contents() == await site.expected()
    one.stop()
    other.stop()
    await asyncio.gather(*works)


class LosesAnswers(KvReadModel):
    """Its n-th write is carried out, but its answer is lost."""

    losing = 2

    async def write(self, *args: Any) -> None:
        await super().write(*args)
        self.losing -= 1
        if self.losing == 0:
            self._sequence = None
            raise ReadModelUnavailableError("no answer")


async def test_a_write_whose_answer_is_lost_is_found_out(site: Site) -> None:
    scenario = Scenario(RULES)
    HISTORIES["tasks"](scenario)
    log = messages(scenario)
    projector = site.projector(LosesAnswers(site.api, site.pool))
    for count in (10, 20, len(log)):
        site.log.append_foreign(*log[len(site.log.messages) : count])
        await site.clock.finish(asyncio.ensure_future(projector.run(follow=False)))
    assert await site.contents() == await site.expected()
    assert site.told[0] == "no answer; trying again"


async def test_who_writes_behind_another_writes_nothing(site: Site) -> None:
    stale = site.model()
    before = await stale.watermark()
    site.log.append_foreign(*messages(_one_lease()))
    await site.catch_up()
    with pytest.raises(WatermarkMovedError):
        await stale.write(DocumentChanges({"lease.t1": b"{}"}, replace_all=False), before, Watermark(1))
    assert await site.contents() == await site.expected()


def _one_lease() -> Scenario:
    s = Scenario(RULES)
    s.holds("a1", "t1")
    return s


async def test_a_restart_mends_foreign_writes(site: Site, connect_as: Connect) -> None:
    site.log.append_foreign(*messages(_one_lease()))
    await site.catch_up()
    writer = (await connect_as("writer")).jetstream()
    for key in ("lease.t1", "lease.t2", "workload.a1"):
        await writer.publish(f"$KV.CUSTODY_VIEWS_{site.pool}.{key}", b'{"wrong":1}')
    before = await site.sequence()
    await site.catch_up()
    assert await site.contents() == await site.expected()
    assert await site.sequence() == before + 4, "three documents and the watermark"


async def test_a_bucket_of_another_log_is_refused_until_a_rebuild(site: Site) -> None:
    site.log.append_foreign(*messages(_one_lease()))
    await site.catch_up()
    site.log.truncate_to(0)
    other = Scenario(RULES)
    other.given(OPS, "submit", task_id="t9")
    other.holds("a9", "t8")
    other.given(OPS, "submit", task_id="t7")
    site.log.append_foreign(*messages(other))
    with pytest.raises(OutdatedError, match="it was made from another log than the one that the pool has now"):
        await site.catch_up()
    await site.catch_up(site.model(rebuild=True))
    assert await site.contents() == await site.expected()
    assert "lease.t1" not in await site.contents()


async def test_a_bucket_that_was_made_otherwise_is_refused(site: Site, pool: str, connect_as: Connect) -> None:
    writer = (await connect_as("writer")).jetstream()
    await ensure_stream(site.api.connection, f"{pool}x")
    await writer.create_key_value(bucket=f"CUSTODY_VIEWS_{pool}x", history=5)
    with pytest.raises(ReadModelError, match="has another max_msgs_per_subject than it needs: delete it"):
        await KvReadModel(site.api, f"{pool}x").watermark()


async def test_a_mark_that_is_none_is_a_warning(
    site: Site, connect_as: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    writer = (await connect_as("writer")).jetstream()
    await writer.publish(f"$KV.CUSTODY_VIEWS_{site.pool}.position", b"junk")
    assert await site.model().watermark() == Watermark()
    assert "its key position is damaged or deleted, so it is filled anew" in caplog.text


@pytest.mark.parametrize("how", ["purged", "deleted"])
async def test_a_bucket_that_is_emptied_or_deleted_is_said_and_filled_by_the_next_start(
    site: Site, connect_as: Connect, how: str
) -> None:
    site.log.append_foreign(*messages(_one_lease()))
    model = site.model()
    projector = await site.catch_up(model)
    admin = (await connect_as("admin")).jetstream()
    stream = f"KV_CUSTODY_VIEWS_{site.pool}"
    await (admin.purge_stream(stream) if how == "purged" else admin.delete_stream(stream))
    with pytest.raises(OutdatedError, match=f"CUSTODY_VIEWS_{site.pool} was emptied or deleted"):
        await model.ensure_kept()
    work = asyncio.ensure_future(projector.run(follow=True))
    with pytest.raises(OutdatedError, match="was emptied or deleted"):
        await site.clock.finish(work)
    await site.catch_up()
    assert await site.contents() == await site.expected()
