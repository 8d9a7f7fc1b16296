"""nats-server alone, with every message on disk before it is acknowledged."""

from __future__ import annotations

import asyncio
import json

from infra.broker.binary import find_binary
from tests.benchmarks.peers.servers.server import Address, Server, free_port


class NatsServer(Server):
    """JetStream, `sync_interval: always`, no users."""

    def start(self) -> Address:
        """Return its URL."""
        port = free_port()
        jetstream = {"store_dir": str(self.directory / "store"), "sync_interval": "always"}
        config = self.directory / "server.conf"
        config.write_text(json.dumps({"listen": f"127.0.0.1:{port}", "jetstream": jetstream}), encoding="utf-8")
        self.run(asyncio.run(find_binary()), "-c", config)
        self.wait_for(port)
        return {"url": f"nats://127.0.0.1:{port}"}
