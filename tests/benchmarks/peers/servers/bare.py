"""The bare loop: a broker as `custody up` starts it, and in this process a loop that appends requests and replies.

Run as `python -m tests.benchmarks.peers.servers.bare DIRECTORY`; prints `ready` when requests may come.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from infra.broker.data_dir import DataDir
from infra.broker.embedded import EmbeddedBroker
from tests.benchmarks.bench_service import bare, run_on_uvloop
from tests.benchmarks.peers.servers.custody import CustodyServer


class BareServer(CustodyServer):
    """The loop in place of the service."""

    command = ("-m", "tests.benchmarks.peers.servers.bare")


async def serve(data_dir: Path) -> None:
    """Serve until SIGTERM."""
    async with EmbeddedBroker(data_dir) as broker:
        loop = asyncio.ensure_future(bare(broker.url, DataDir.at(data_dir).read_passwords()))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.cancel)
        await asyncio.wait([loop])
        if not loop.cancelled():
            loop.result()


if __name__ == "__main__":
    run_on_uvloop(serve(Path(sys.argv[1])))
