"""A pool with its dashboard for tests that look at it in a browser, which hold up the thread that they run in.

Broker and service run in a thread with a loop of its own; the dashboard is a process, as people start it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import nats
from nats.aio.client import Client

from infra.broker.embedded import EmbeddedBroker
from infra.nats.contract_client import CustodyClient
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import FAST
from tests.support.checkout import ROOT
from tests.support.ports import free_port

T = TypeVar("T")
POOL = "watched"
START_S = 60.0


class Stage:
    """A broker with a served pool, and a client of it."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self._settings = Settings(**{"pool": POOL, **settings})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stage", daemon=True)
        self._thread.start()
        self.broker = EmbeddedBroker(directory / "broker", FAST)
        self.do(self.broker.start())
        self._server: PoolServer | None = None
        self.start_service()
        self._client: Client = self.do(self._connected())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the thread's loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    def start_service(self) -> None:
        """Serve the pool."""

        async def start() -> PoolServer:
            server = PoolServer(self._settings, self.broker.url)
            await server.start(self.broker.auth, sync_interval="2m")
            return server

        self._server = self.do(start())

    def stop_service(self) -> None:
        """Serve it no longer."""
        if self._server is not None:
            self.do(self._server.stop())
            self._server = None

    def ask(self, subject_tail: str, **body: Any) -> dict[str, Any]:
        """Send a request to the pool, such as `ops.submit`; return its result."""
        reply = self.do(CustodyClient(self._client, POOL).request(subject_tail, body, actor="tests"))
        result: dict[str, Any] = reply.get("result") or {}
        return result

    def give(self, task_id: str, agent_id: str) -> int:
        """Grant a task to an agent; return the token of the lease."""
        self.ask("ops.assign", task_id=task_id, agent_id=agent_id)
        token: int = self.ask("query.task", task_id=task_id)["token"]
        return token

    def stop_broker(self) -> None:
        """End the broker; `start_broker` brings it back at the same address."""
        self.do(self.broker.stop())

    def start_broker(self) -> None:
        """Start the broker again."""
        self.do(self.broker.start())

    def close(self) -> None:
        """End all of it."""
        self.stop_service()
        self.do(self._client.close())
        self.do(self.broker.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connected(self) -> Client:
        login = self.broker.credentials("operator")
        return await nats.connect(self.broker.url, **login, inbox_prefix=b"_INBOX.operator", max_reconnect_attempts=-1)


class DashboardProcess:
    """`custody dashboard` at a port that stays the same when it is started again."""

    def __init__(self, broker: EmbeddedBroker, *options: str, pool: str = POOL) -> None:
        self._options = options
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")},
            "CUSTODY_NATS": broker.url,
            "CUSTODY_POOL": pool,
            "CUSTODY_OPERATOR_PASSWORD": broker.credentials("operator")["password"],
        }
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it says its address."""
        arguments = [sys.executable, "-m", "infra.cli.main", "dashboard", "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(arguments, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert self.url in said, said

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stop(self) -> None:
        """Ask it to end, and wait for that."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=START_S)
            self._process = None


@contextmanager
def watched_pool(directory: Path, *options: str, **settings: Any) -> Iterator[tuple[Stage, DashboardProcess]]:
    """A pool, and a dashboard of it."""
    stage = Stage(directory, **settings)
    try:
        dashboard = DashboardProcess(stage.broker, *options)
        try:
            yield stage, dashboard
        finally:
            dashboard.kill()
    finally:
        stage.close()
