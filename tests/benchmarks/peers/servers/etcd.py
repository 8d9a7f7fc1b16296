"""etcd, which flushes every commit by itself."""

from __future__ import annotations

from tests.benchmarks.peers.servers.server import Address, Server, free_port, program


class EtcdServer(Server):
    """A cluster of one."""

    def start(self) -> Address:
        """Return its host and port."""
        port, peers = free_port(), f"http://127.0.0.1:{free_port()}"
        clients = f"http://127.0.0.1:{port}"
        own = ("--name", "peers", "--data-dir", str(self.directory / "data"), "--initial-cluster", f"peers={peers}")
        listen = ("--listen-client-urls", clients, "--advertise-client-urls", clients)
        among = ("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers)
        self.run(program("etcd", "apt-get install etcd-server"), *own, *listen, *among)
        self.wait_for(port)
        return {"host": "127.0.0.1", "port": port}
