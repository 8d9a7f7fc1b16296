"""No server: what runs in the process of its callers gets a directory alone."""

from __future__ import annotations

from tests.benchmarks.peers.servers.server import Address, Server


class NoServer(Server):
    """A directory."""

    def start(self) -> Address:
        """Return nothing: callers are told the directory anyway."""
        return {}
