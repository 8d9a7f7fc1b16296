"""The two services that `bench_commands` compares, each run as `python -m tests.benchmarks.bench_service KIND DIR`."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlers.ports import NewMessage
from infra.broker.data_dir import DataDir
from infra.nats.auth import Auth
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from infra.service.serving import PoolServer
from infra.service.transport import NatsTransport
from infra.settings.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from handlers.service.command_service import Incoming

MAX_BATCH = 1000


def ready() -> None:
    """Tell the parent that requests may come."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def bare(url: str, passwords: dict[str, str]) -> None:
    """Take requests, append what waits, reply: nothing is checked, decided or remembered."""
    writer = await connect(url, name="bare-writer", auth=Auth(user="writer", password=passwords["writer"]))
    responder = await connect(url, name="bare", auth=Auth(user="responder", password=passwords["responder"]))
    await ensure_stream(writer, "default")
    log = await NatsEventLog.open(writer, "default")
    transport = NatsTransport(responder, "default")
    waiting: list[Incoming] = []
    wake = asyncio.Event()

    def handle(incoming: Incoming) -> None:
        waiting.append(incoming)
        wake.set()

    await transport.listen(handle)
    ready()
    position = 0
    try:
        while True:
            await wake.wait()
            wake.clear()
            while waiting:
                batch, waiting[:] = waiting[:MAX_BATCH], waiting[MAX_BATCH:]
                messages = []
                for incoming in batch:
                    task_id = json.loads(incoming.body)["task_id"]
                    messages.append(NewMessage(f"custody.default.evt.task.{task_id}.progressed", incoming.body))
                position = await log.append(messages, expected_position=position)
                for number, incoming in enumerate(batch):
                    reply = f'{{"ok":true,"position":{position - len(batch) + number + 1}}}'
                    transport.respond(incoming.reply, reply.encode(), {})
    finally:
        # A connection that loses its broker would try to come back, and keep the process from ending.
        await responder.close()
        await writer.close()


async def custody(url: str, passwords: dict[str, str]) -> None:
    """The real service, without its command line."""
    server = await PoolServer(Settings(), url).start(
        lambda purpose: Auth(user=purpose, password=passwords[purpose]), sync_interval="always"
    )
    ready()
    await server.served()


async def run(kind: str, data_dir: Path) -> None:
    """Serve until SIGTERM."""
    directory = DataDir.at(data_dir)
    record = directory.read_record()
    if record is None:
        msg = f"no broker runs on {data_dir}"
        raise RuntimeError(msg)
    work = asyncio.ensure_future({"bare": bare, "custody": custody}[kind](record.url, directory.read_passwords()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    await asyncio.wait([work])
    if not work.cancelled():
        work.result()


def run_on_uvloop(work: Coroutine[Any, Any, None]) -> None:
    """Run the work on uvloop where it exists, as the service does."""
    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:  # not on Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("bare", "custody"))
    parser.add_argument("directory", type=Path, help="of a broker that runs")
    given = parser.parse_args()
    run_on_uvloop(run(given.kind, given.directory))


if __name__ == "__main__":
    main()
