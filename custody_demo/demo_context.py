"""What the simulated agents and the operator share: connections, reports of incidents, and measurements."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import nats

from infra.nats.contract_client import DEFAULT_TIMEOUT_S, CustodyClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client

    from custody_demo.incidents import Incident
    from custody_demo.plan import Plan

CONNECT_TIMEOUT_S = 5


class DemoContext:
    """The shared state of one demo run."""

    def __init__(
        self,
        plan: Plan,
        pool: str,
        url: str,
        credentials: Callable[[str], dict[str, str]],
        report: Callable[[Incident, str], None],
    ) -> None:
        self.plan = plan
        self.pool = pool
        self.report = report
        """Called with incidents that no event records: crashes, silences, refusals."""
        self.latencies_s: list[float] = []
        """How long each command took, as its caller saw it; without claims that wait for work."""
        self.refusals: dict[str, int] = {}
        """Number of refused commands by error code."""
        self._url = url
        self._credentials = credentials
        self._tasks_with_incident: set[str] = set()
        self.initial_tasks_submitted = asyncio.Event()
        """Set once the initial tasks are submitted."""
        self.all_tasks_submitted = asyncio.Event()
        """Set once all tasks are submitted."""
        self.submitted: dict[str, bool] = {}
        """The tasks whose submission was sent -> whether it was answered."""
        self._started_at_s = time.monotonic()

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._started_at_s

    def first_time(self, task_id: str) -> bool:
        """Return whether this is the first call for the task: then its incident has not happened yet."""
        first = task_id not in self._tasks_with_incident
        self._tasks_with_incident.add(task_id)
        return first

    async def connect(self, name: str, user: str, **options: Any) -> Client:
        """Return a new connection with the user's rights."""
        return await nats.connect(
            self._url,
            name=f"demo-{name}",
            connect_timeout=CONNECT_TIMEOUT_S,
            allow_reconnect=False,
            inbox_prefix=f"_INBOX.{user}",
            **self._credentials(user),
            **options,
        )

    def client(self, nc: Client) -> TimedClient:
        """Return a client of the pool's service over a connection."""
        return TimedClient(self, CustodyClient(nc, self.pool))


class TimedClient:
    """Sends requests to the service, and records how long each reply took."""

    def __init__(self, context: DemoContext, client: CustodyClient) -> None:
        self._context = context
        self._client = client

    async def ask(
        self, tail: str, body: dict[str, Any] | None = None, *, wait_s: float = 0.0, actor: str | None = None
    ) -> dict[str, Any]:
        """Return the result of a command; raises CustodyError. `wait_s`: how long the reply may wait for work."""
        started_at_s = time.monotonic()
        try:
            reply = await self._client.request(tail, body, actor=actor, timeout=DEFAULT_TIMEOUT_S + wait_s)
        finally:
            if wait_s == 0:
                self._context.latencies_s.append(time.monotonic() - started_at_s)
        result: dict[str, Any] = reply["result"]
        return result
