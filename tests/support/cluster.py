"""Three brokers that are one cluster; one of them can be cut off from the others, without a process that ends."""

import asyncio
import contextlib
import json
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nats.errors import Error as NatsError
from nats.js.api import StorageType

from infra.broker.binary import find_binary
from infra.broker.process import command
from tests.support.ports import reserved_port
from tests.support.tcp_proxy import TcpProxy

NOWHERE = "127.0.0.1:1"
"""No node listens there; a node without a route does not start."""
READY_S = 30.0
NODES = 3


class Cluster:
    """The addresses of its nodes, the lonely one first, and the proxy that stands between it and the others."""

    def __init__(self, urls: list[str], routes: TcpProxy) -> None:
        self.lonely, *self.others = urls
        self._routes = routes

    @property
    def url(self) -> str:
        return ",".join((self.lonely, *self.others))

    def isolate(self) -> None:
        """Cut the first node off: it answers its clients, and reaches no other node."""
        self._routes.drop_all()


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """Run one, with a leader of its own.

    Only the others open routes to the lonely node, and they do it through the proxy; no node is told an address under
    which it would find another one.
    """
    binary = await find_binary()
    processes: list[Process] = []
    async with contextlib.AsyncExitStack() as stack:
        clients, routes = ([stack.enter_context(reserved_port()) for _ in range(NODES)] for _ in range(2))
        proxy = await stack.enter_async_context(TcpProxy(f"nats://127.0.0.1:{routes[0]}"))
        opened: tuple[list[str], ...] = (
            [f"nats://{NOWHERE}"],
            [proxy.url],
            [proxy.url, f"nats://127.0.0.1:{routes[1]}"],
        )
        try:
            for number in range(NODES):
                config = directory / f"node{number}.conf"
                config.write_text(
                    json.dumps(
                        {
                            "server_name": f"node{number}",
                            "listen": f"127.0.0.1:{clients[number]}",
                            "jetstream": {"store_dir": str(directory / f"store{number}")},
                            "cluster": {
                                "name": "test",
                                "listen": f"127.0.0.1:{routes[number]}",
                                "advertise": NOWHERE,
                                "routes": opened[number],
                            },
                        }
                    )
                )
                arguments = command(binary, config)
                processes.append(await asyncio.create_subprocess_exec(*arguments, stdout=DEVNULL, stderr=DEVNULL))
            urls = [f"nats://127.0.0.1:{port}" for port in clients]
            await _formed(urls)
            yield Cluster(urls, proxy)
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def _formed(urls: list[str]) -> None:
    """Wait until each node takes requests to JetStream, and the leader knows that three nodes can have copies.

    Before there is a leader, requests get no answer at all.
    """
    async with asyncio.timeout(READY_S):
        for url in urls:
            while not await _has_peers(url):  # noqa: ASYNC110 - a broker has no event for it
                await asyncio.sleep(0.1)


async def _has_peers(url: str) -> bool:
    with contextlib.suppress(OSError, NatsError):
        nc = await nats.connect(url, allow_reconnect=False, connect_timeout=1, error_cb=_ignore)
        try:
            jetstream = nc.jetstream(timeout=2)
            await jetstream.add_stream(name="formed", num_replicas=NODES, storage=StorageType.MEMORY)
            await jetstream.delete_stream("formed")
        finally:
            await nc.close()
        return True
    return False


async def _ignore(_error: Exception) -> None:
    """Until they are up, connections to them are refused."""
