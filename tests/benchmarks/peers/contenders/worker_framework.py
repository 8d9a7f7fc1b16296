"""A library of task queues that runs its workers in processes of its own, which tell here that a task has ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

RECEIVE_BYTES = 4 * 1024 * 1024
START_LIMIT_S = 60.0
SILENCE_LIMIT_S = 30.0
STOP_S = 10.0
SERVER = "PEERS_SERVER"
REPORT_PORT = "PEERS_REPORT_PORT"


def server_url() -> str:
    """Where a worker process finds the server."""
    return os.environ.get(SERVER, "")


_reports = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def report(task_id: str) -> None:
    """Tell, from a worker process, that a task's work is done."""
    _reports.sendto(task_id.encode(), ("127.0.0.1", int(os.environ[REPORT_PORT])))


class WorkerFramework(ABC):
    """A Framework: workers are started for each turn, on a queue that is full already, or before tasks are offered."""

    def __init__(self, address: dict[str, Any]) -> None:
        self.url = address["url"]
        self._log = Path(address["directory"]) / "workers"
        self._submitted = 0
        self._reports = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._reports.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._reports.bind(("127.0.0.1", 0))
        self._reports.settimeout(0)

    @abstractmethod
    def command(self, workers: int) -> list[str]:
        """The command that runs so many workers: the name of a program beside this interpreter, and its arguments."""

    @abstractmethod
    async def submit(self, task_ids: list[str]) -> None:
        """Queue tasks."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections for submits."""

    async def work(self, workers: int, tasks: int) -> float:
        await self.submit(self._new_ids(tasks))
        async with self._workers(workers):
            await self._report(START_LIMIT_S)
            began = time.perf_counter()
            for _ in range(tasks - 1):
                await self._report(SILENCE_LIMIT_S)
            return time.perf_counter() - began

    async def offer(self, workers: int, per_s: float, seconds: float) -> list[float]:
        task_ids = self._new_ids(int(per_s * seconds))
        submitted: dict[str, float] = {}
        took: list[float] = []
        async with self._workers(workers):
            await self.submit(self._new_ids(1))
            await self._report(START_LIMIT_S)

            async def receive() -> None:
                while len(took) < len(task_ids):
                    task_id = await self._report(SILENCE_LIMIT_S)
                    took.append(time.perf_counter() - submitted[task_id])

            receiving = asyncio.ensure_future(receive())
            began = time.perf_counter()
            submits = []
            for number, task_id in enumerate(task_ids):
                await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
                submitted[task_id] = time.perf_counter()
                submits.append(asyncio.ensure_future(self.submit([task_id])))
            await asyncio.gather(*submits)
            await receiving
        return took

    def _new_ids(self, count: int) -> list[str]:
        self._submitted += count
        return [f"t{self._submitted - number}" for number in range(count)]

    async def _report(self, limit_s: float) -> str:
        async with asyncio.timeout(limit_s):
            return (await asyncio.get_running_loop().sock_recv(self._reports, 256)).decode()

    @contextlib.asynccontextmanager
    async def _workers(self, workers: int) -> AsyncIterator[None]:
        program, *arguments = self.command(workers)
        beside = Path(sys.executable).with_name(program)
        port = self._reports.getsockname()[1]
        environment = os.environ | {SERVER: self.url, REPORT_PORT: str(port), "PYTHONPATH": str(Path.cwd())}
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                beside, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
