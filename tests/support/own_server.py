"""A nats-server with a configuration of the test's own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.broker.binary import find_binary

_LISTENING = re.compile(rb"Listening for client connections on 127\.0\.0\.1:(\d+)")
_START_LIMIT_S = 20.0


@asynccontextmanager
async def own_server(directory: Path, config: str) -> AsyncIterator[str]:
    """Run a server with JetStream and these lines of configuration; yield its address."""
    file = directory / "server.conf"
    store = directory / "store"
    file.write_text(f"listen: 127.0.0.1:-1\njetstream: {{ store_dir: {str(store)!r} }}\n{config}\n")
    binary = str(await find_binary())
    process = await asyncio.create_subprocess_exec(binary, "-c", str(file), stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    said, port = b"", None
    try:
        async with asyncio.timeout(_START_LIMIT_S):
            while b"Server is ready" not in said:
                line = await process.stderr.readline()
                assert line, said.decode()
                said += line
                port = match[1].decode() if (match := _LISTENING.search(line)) else port
        drained = asyncio.create_task(process.stderr.read())
        yield f"nats://127.0.0.1:{port}"
        process.terminate()
        await drained
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
