"""A TCP proxy that loses what a test tells it to lose."""

import asyncio
from urllib.parse import urlsplit

from tests.support.local_server import LocalServer


class TcpProxy(LocalServer):
    """Stands between clients and the broker at `target_url`; `url` is where clients connect."""

    def __init__(self, target_url: str) -> None:
        super().__init__()
        self._target = urlsplit(target_url)
        self._connections: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._upstream_left: int | None = None
        self._dropping_answers = False
        self._dropping_messages = False
        self._dropping_all = False
        self.dropped = asyncio.Event()
        """Set once an answer was lost."""

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop_answers(self) -> None:
        """From now on nothing that the broker says gets through."""
        self._dropping_answers = True

    def drop_messages(self) -> None:
        """From now on no message gets through to the clients, but answers to their pings do."""
        self._dropping_messages = True

    def drop_all(self) -> None:
        """From now on nothing gets through either way, and no connection ends, as behind a cut cable."""
        self._dropping_all = True

    def cut_after(self, upstream_bytes: int) -> None:
        """Let so many more bytes through to the broker, then cut every connection."""
        self._upstream_left = upstream_bytes

    def cut(self) -> None:
        """Cut every connection, and let everything through on the next ones."""
        self._upstream_left = None
        self._dropping_answers = self._dropping_messages = self._dropping_all = False
        for client, broker in self._connections.items():
            client.transport.abort()
            broker.close()
        self._connections.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            broker_reader, broker_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        self._connections[writer] = broker_writer
        for pump in (self._pump_up(reader, broker_writer), self._pump_down(broker_reader, writer)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)

    async def _pump_up(self, reader: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self._dropping_all:
                continue
            if self._upstream_left is not None:
                data = data[: self._upstream_left]
                self._upstream_left -= len(data)
            broker.write(data)
            if self._upstream_left == 0:
                await broker.drain()
                self.cut()
        broker.close()

    async def _pump_down(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self._dropping_all:
                continue
            if self._dropping_answers:
                if b"MSG " in data:
                    self.dropped.set()
                continue
            if self._dropping_messages and b"MSG " in data:
                self.dropped.set()
                continue
            client.write(data)
        client.close()
