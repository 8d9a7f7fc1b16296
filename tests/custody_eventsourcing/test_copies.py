"""Copies of a stream on the servers of a cluster."""

import asyncio
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import OperationalError

from custody_eventsourcing import NatsFactory
from infra.nats.api import JetStreamApi
from infra.nats.connection import connect
from tests.support.cluster import cluster

pytestmark = [pytest.mark.system, pytest.mark.slow]


async def test_a_cluster_keeps_as_many_copies_as_it_has_servers(tmp_path: Path) -> None:
    async with cluster(tmp_path) as nodes:
        env = {"PERSISTENCE_MODULE": "custody_eventsourcing", "NATS_URL": nodes.url}
        await asyncio.to_thread(use, {**env, "NATS_REPLICAS": "3"})
        connection = await connect(nodes.url, name="test")
        (stream,) = (await JetStreamApi(connection).call("STREAM.NAMES"))["streams"]
        assert (await JetStreamApi(connection).call(f"STREAM.INFO.{stream}"))["config"]["num_replicas"] == 3
        await connection.close()
        says = r"cannot have 5 copies .* now: .*; start 5 servers .* NATS_REPLICAS"
        with pytest.raises(OperationalError, match=says):
            await asyncio.to_thread(make, {**env, "NATS_REPLICAS": "5", "NATS_TIMEOUT": "0.5"})


def use(env: dict[str, str]) -> None:
    with Application[UUID](env) as app:
        aggregate = Aggregate()
        app.save(aggregate)
        assert app.repository.get(aggregate.id) == aggregate


def make(env: dict[str, str]) -> None:
    with closing(NatsFactory(env)) as factory:
        factory.application_recorder()
