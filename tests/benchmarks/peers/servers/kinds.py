"""The servers by the name that the catalogue gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.benchmarks.peers.catalogue import LONG_LOGS
from tests.benchmarks.peers.servers.bare import BareServer
from tests.benchmarks.peers.servers.custody import CustodyServer
from tests.benchmarks.peers.servers.etcd import EtcdServer
from tests.benchmarks.peers.servers.long_log import LongLogServer
from tests.benchmarks.peers.servers.nats import NatsServer
from tests.benchmarks.peers.servers.none import NoServer
from tests.benchmarks.peers.servers.postgres import PostgresServer
from tests.benchmarks.peers.servers.rabbitmq import RabbitServer
from tests.benchmarks.peers.servers.redis import RedisServer
from tests.benchmarks.peers.servers.server import Server

KINDS: dict[str, Callable[[], Server]] = {
    **{f"custody_{events}": partial(LongLogServer, events) for events in LONG_LOGS},
    "bare": BareServer,
    "custody": CustodyServer,
    "custody_relaxed": partial(CustodyServer, {"CUSTODY_BROKER_SYNC_INTERVAL": "2m"}),
    "postgres_relaxed": partial(PostgresServer, "synchronous_commit=off"),
    "redis_relaxed": partial(RedisServer, "everysec"),
    "etcd": EtcdServer,
    "nats": NatsServer,
    "none": NoServer,
    "postgres": PostgresServer,
    "rabbitmq": RabbitServer,
    "redis": RedisServer,
}
