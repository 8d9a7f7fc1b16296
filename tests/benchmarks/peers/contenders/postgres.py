"""A table of tasks in PostgreSQL with a lease on each row, as it is commonly written: `FOR UPDATE SKIP LOCKED`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import asyncpg

from tests.benchmarks.peers.contenders.contract import PERCENT, TERM_S, Held, Lapsed

CONNECTIONS = 32
"""At most; more were no quicker on two cores."""

SCHEMA = """
CREATE SEQUENCE tokens;
CREATE TABLE tasks (
    id text PRIMARY KEY,
    place bigserial,
    status text NOT NULL DEFAULT 'queued',
    worker int,
    token bigint,
    percent int,
    expires_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX queued ON tasks (place) WHERE status = 'queued';
CREATE INDEX due ON tasks (expires_at) WHERE status = 'held';
"""
CLAIM = """
WITH next AS (SELECT id FROM tasks WHERE status = 'queued' ORDER BY place LIMIT 1 FOR UPDATE SKIP LOCKED)
UPDATE tasks SET status = 'held', worker = $1, token = nextval('tokens'), expires_at = now() + $2 * interval '1 s'
FROM next WHERE tasks.id = next.id RETURNING tasks.id, token
"""
RENEW = """
UPDATE tasks SET percent = $3, expires_at = now() + $4 * interval '1 s'
WHERE id = $1 AND token = $2 AND status = 'held' RETURNING expires_at
"""
COMPLETE = """
UPDATE tasks SET status = 'done', expires_at = NULL WHERE id = $1 AND token = $2 AND status = 'held' RETURNING id
"""
LAPSING = """
INSERT INTO tasks (id, status, worker, token, expires_at)
SELECT 'lapse-' || nextval('tokens'), 'held', 0, nextval('tokens'), now() + $2 * interval '1 s'
FROM generate_series(1, $1::int)
"""
SWEEP = """
WITH due AS (
    SELECT id, expires_at FROM tasks WHERE status = 'held' AND expires_at < now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE tasks SET status = 'queued', token = NULL, expires_at = NULL
FROM due WHERE tasks.id = due.id RETURNING extract(epoch FROM due.expires_at)::float8 AS was_due
"""
SWEEP_S = 0.1
"""Between two looks for leases that have run out."""
SWEPT_AT_ONCE = 1000
LAPSE_S = 2


async def open_contender(address: dict[str, Any]) -> PostgresTable:
    """Connect, and make the table."""
    table = PostgresTable(address["url"])
    await table.staff(1)
    await table.pool.execute(SCHEMA)
    return table


async def _keep(_connection: Any) -> None:
    """Leave a connection as it is: by default asyncpg asks the server to reset it after each statement."""


class PostgresTable:
    """A LeaseStore. A worker that waits is woken by a notification."""

    pool: Any

    def __init__(self, url: str) -> None:
        self._url = url
        self._size = 0
        self._leases: list[tuple[str, int]] = []
        self._work = asyncio.Condition()
        self._listener: Any = None

    async def staff(self, workers: int) -> None:
        size = min(workers, CONNECTIONS)
        if size == self._size:
            return
        if self._size:
            await self.pool.close()
        self._size = size
        self.pool = await asyncpg.create_pool(self._url, min_size=size, max_size=size, reset=_keep)

    async def hold(self, count: int) -> None:
        await self.submit([f"held-{n}" for n in range(len(self._leases), count)])
        rows = await self.pool.fetch(
            "UPDATE tasks SET status = 'held', worker = 0, token = nextval('tokens'), expires_at = now() + '1 day'"
            " WHERE status = 'queued' RETURNING id, token"
        )
        self._leases += [(row["id"], row["token"]) for row in rows]

    async def renew(self, number: int) -> None:
        await self._renew(*self._leases[number % len(self._leases)])

    async def submit(self, task_ids: list[str]) -> None:
        await self.pool.execute("INSERT INTO tasks (id) SELECT unnest($1::text[])", task_ids)
        if self._listener is not None:
            await self.pool.execute("NOTIFY work")

    async def claim(self, worker: int, wait_s: float = 0.0) -> Held | None:
        row = await self.pool.fetchrow(CLAIM, worker, TERM_S)
        if row is None and wait_s:
            await self._wait(wait_s)
            row = await self.pool.fetchrow(CLAIM, worker, TERM_S)
        return None if row is None else Held(row["id"], worker, row["token"])

    async def progress(self, held: Held) -> None:
        await self._renew(held.task_id, held.token)

    async def complete(self, held: Held) -> None:
        if await self.pool.fetchval(COMPLETE, held.task_id, held.token) is None:
            raise RuntimeError(f"{held} was lost")

    async def lapse(self, count: int) -> list[Lapsed]:
        await self.pool.execute(LAPSING, count, LAPSE_S)
        lapsed: list[Lapsed] = []
        while len(lapsed) < count:
            rows = await self.pool.fetch(SWEEP, SWEPT_AT_ONCE)
            lapsed += [Lapsed(row["was_due"], time.time()) for row in rows]
            if not rows:
                await asyncio.sleep(SWEEP_S)
        await self.pool.execute("DELETE FROM tasks WHERE status = 'queued'")
        return lapsed

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        await self.pool.close()

    async def _renew(self, task_id: str, token: int) -> None:
        if await self.pool.fetchval(RENEW, task_id, token, PERCENT, TERM_S) is None:
            raise RuntimeError(f"{task_id} was lost")

    async def _wait(self, wait_s: float) -> None:
        """Wait until tasks are queued."""
        if self._listener is None:
            self._listener = await asyncpg.connect(self._url)
            await self._listener.add_listener("work", lambda *_: asyncio.ensure_future(self._wake()))
        async with self._work:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._work.wait(), wait_s)

    async def _wake(self) -> None:
        async with self._work:
            self._work.notify()
