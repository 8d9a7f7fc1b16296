"""Redis, or Valkey."""

from __future__ import annotations

import shutil

from tests.benchmarks.peers.servers.server import Address, Server, free_port, program


class RedisServer(Server):
    """Append-only, flushed as `appendfsync` says."""

    def __init__(self, appendfsync: str = "always") -> None:
        super().__init__()
        self._appendfsync = appendfsync

    def start(self) -> Address:
        """Return its URL."""
        binary = shutil.which("valkey-server") or program("redis-server", "apt-get install redis-server")
        port = free_port()
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
        }
        self.run(binary, *(part for name, value in options.items() for part in (f"--{name}", value)))
        self.wait_for(port)
        return {"url": f"redis://127.0.0.1:{port}/0", "host": "127.0.0.1", "port": port}
