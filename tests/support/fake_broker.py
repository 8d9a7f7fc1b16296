"""A server that speaks a little of the NATS protocol, with one fault."""

import asyncio
import json
from typing import Any

from tests.support.local_server import LocalServer


def info(version: str = "2.15.1", **more: Any) -> bytes:
    """The first line that a broker of this version sends."""
    said = {"server_id": "fake", "version": version, "headers": True, "max_payload": 1_048_576, "proto": 1, **more}
    return b"INFO " + json.dumps(said).encode() + b"\r\n"


class FakeBroker(LocalServer):
    """Greets with `greeting`, or as a broker of `version`; answers pings, and requests as `responders` says.

    Attributes:
        silent: accept connections and never write.
        responders: whether requests are swallowed (True) or answered with "no responders".
        refuse: the error sent instead of the first pong.
        cutting: end each connection as soon as its client has said who it is.
    """

    def __init__(
        self,
        *,
        version: str = "2.15.1",
        greeting: bytes | None = None,
        silent: bool = False,
        responders: bool = True,
        refuse: str | None = None,
        cutting: bool = False,
    ) -> None:
        super().__init__()
        self._greeting = info(version) if greeting is None else greeting
        self._silent = silent
        self._responders = responders
        self._refuse = refuse
        self._cutting = cutting
        self._writers: list[asyncio.StreamWriter] = []

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self._silent:
            return
        writer.write(self._greeting)
        if self._cutting:
            await reader.readline()
            writer.close()
            return
        sids: dict[str, str] = {}
        while line := await reader.readline():
            match line.decode().split():
                case ["PING"]:
                    writer.write(b"PONG\r\n" if self._refuse is None else f"-ERR '{self._refuse}'\r\n".encode())
                case ["SUB", subject, sid]:
                    sids[subject] = sid
                case ["PUB", _, reply, size]:
                    await reader.readexactly(int(size) + 2)
                    if not self._responders:
                        sid = next(sid for subject, sid in sids.items() if reply.startswith(subject.removesuffix("*")))
                        writer.write(f"HMSG {reply} {sid} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n".encode())
