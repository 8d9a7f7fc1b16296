"""The servers by the name that the catalogue gives them."""

from __future__ import annotations

from tests.benchmarks.peers.servers.bare import BareServer
from tests.benchmarks.peers.servers.custody import CustodyServer
from tests.benchmarks.peers.servers.nats import NatsServer
from tests.benchmarks.peers.servers.none import NoServer
from tests.benchmarks.peers.servers.postgres import PostgresServer
from tests.benchmarks.peers.servers.redis import RedisServer
from tests.benchmarks.peers.servers.server import Server

KINDS: dict[str, type[Server]] = {
    "bare": BareServer,
    "custody": CustodyServer,
    "nats": NatsServer,
    "none": NoServer,
    "postgres": PostgresServer,
    "redis": RedisServer,
}
