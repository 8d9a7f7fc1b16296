"""Tasks and leases in Redis: a hash for each task, sorted sets of what is queued and what runs out, scripts in Lua."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import redis.asyncio as client

from tests.benchmarks.peers.contenders.contract import PERCENT, TERM_S, Held, Lapsed

CONNECTIONS = 64
"""At most, beside those of workers that wait."""

SUBMIT = """
for _, id in ipairs(ARGV) do
  redis.call('HSET', 'task:' .. id, 'status', 'queued')
  redis.call('ZADD', 'queued', redis.call('INCR', 'place'), id)
  redis.call('LPUSH', 'work', '1')
end
"""
CLAIM = """
if ARGV[3] == '' then redis.call('LPOP', 'work') end
local next = redis.call('ZPOPMIN', 'queued')
if #next == 0 then return false end
local token = redis.call('INCR', 'tokens')
local due = redis.call('TIME')[1] + ARGV[2]
redis.call('HSET', 'task:' .. next[1], 'status', 'held', 'worker', ARGV[1], 'token', token, 'due', due)
redis.call('ZADD', 'due', due, next[1])
return {next[1], token}
"""
RENEW = """
local key = 'task:' .. ARGV[1]
if redis.call('HGET', key, 'token') ~= ARGV[2] then return false end
local due = redis.call('TIME')[1] + ARGV[4]
redis.call('HSET', key, 'percent', ARGV[3], 'due', due)
redis.call('ZADD', 'due', due, ARGV[1])
return due
"""
COMPLETE = """
local key = 'task:' .. ARGV[1]
if redis.call('HGET', key, 'token') ~= ARGV[2] then return false end
redis.call('HSET', key, 'status', 'done', 'token', '')
redis.call('ZREM', 'due', ARGV[1])
return true
"""
LAPSING = """
for n = 2, #ARGV do
  redis.call('HSET', 'task:' .. ARGV[n], 'status', 'held', 'token', redis.call('INCR', 'tokens'), 'due', ARGV[1])
  redis.call('ZADD', 'due', ARGV[1], ARGV[n])
end
"""
SWEEP = """
local due = redis.call('ZRANGEBYSCORE', 'due', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  redis.call('ZREM', 'due', id)
  redis.call('HSET', 'task:' .. id, 'status', 'queued', 'token', '')
  redis.call('ZADD', 'queued', redis.call('INCR', 'place'), id)
  redis.call('LPUSH', 'work', '1')
end
return due
"""
SWEEP_S = 0.1
"""Between two looks for leases that have run out."""
SWEPT_AT_ONCE = 1000
LAPSE_S = 2


async def open_contender(address: dict[str, Any]) -> RedisScripts:
    """Connect."""
    return RedisScripts(address["url"])


class RedisScripts:
    """A LeaseStore. A worker that waits pops from a list that each submit pushes to."""

    def __init__(self, url: str) -> None:
        pool = client.BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=60)
        self._redis = client.Redis(connection_pool=pool)
        self._waiting = client.Redis.from_url(url)
        self._submit, self._claim, self._renew, self._complete, self._lapsing, self._sweep = (
            self._redis.register_script(each) for each in (SUBMIT, CLAIM, RENEW, COMPLETE, LAPSING, SWEEP)
        )
        self._leases: list[Held] = []

    async def staff(self, workers: int) -> None:
        pass

    async def hold(self, count: int) -> None:
        await self.submit([f"held-{n}" for n in range(len(self._leases), count)])

        async def take() -> None:
            while (held := await self.claim(0)) is not None:
                self._leases.append(held)

        await asyncio.gather(*(take() for _ in range(CONNECTIONS)))

    async def renew(self, number: int) -> None:
        await self.progress(self._leases[number % len(self._leases)])

    async def submit(self, task_ids: list[str]) -> None:
        for begin in range(0, len(task_ids), 500):
            await self._submit(args=task_ids[begin : begin + 500])

    async def claim(self, worker: int, wait_s: float = 0.0) -> Held | None:
        if wait_s and await self._waiting.blpop(["work"], timeout=wait_s) is None:
            return None
        granted = await self._claim(args=[worker, TERM_S, "waited" if wait_s else ""])
        return None if granted is None else Held(granted[0].decode(), worker, granted[1])

    async def progress(self, held: Held) -> None:
        if await self._renew(args=[held.task_id, held.token, PERCENT, TERM_S]) is None:
            raise RuntimeError(f"{held} was lost")

    async def complete(self, held: Held) -> None:
        if await self._complete(args=[held.task_id, held.token]) is None:
            raise RuntimeError(f"{held} was lost")

    async def lapse(self, count: int) -> list[Lapsed]:
        due = time.time() + LAPSE_S
        for begin in range(0, count, SWEPT_AT_ONCE):
            await self._lapsing(args=[due, *(f"lapse-{begin + n}" for n in range(min(SWEPT_AT_ONCE, count - begin)))])
        lapsed: list[Lapsed] = []
        while len(lapsed) < count:
            swept = await self._sweep(args=[time.time(), SWEPT_AT_ONCE])
            lapsed += [Lapsed(due, time.time())] * len(swept)
            if not swept:
                await asyncio.sleep(SWEEP_S)
        await self._redis.delete("queued", "work")
        return lapsed

    async def close(self) -> None:
        await self._redis.aclose()
        await self._waiting.aclose()
