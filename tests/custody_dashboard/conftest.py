"""A dashboard of a pool in memory, on the test's clock, asked over HTTP in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from custody_dashboard.app import new_app
from custody_dashboard.endpoints.context import Context
from custody_dashboard.watch.pool_watch import PoolWatch
from custody_dashboard.web.people import AnyoneHere, People
from infra.settings.settings import Settings
from tests.support.fake_link import FakeConnection, fake_link
from tests.support.pool_harness import POOL, PoolHarness


class Desk:
    """The dashboard, the pool, and a browser."""

    def __init__(self, pool: PoolHarness, people: People, *, read_only: bool = False) -> None:
        self.pool = pool
        self.connection = FakeConnection(pool)
        self.link: Any = fake_link(pool, self.connection)
        self.watch = PoolWatch(Settings(pool=POOL), pool.clock)
        self.context = Context(self.watch, people, read_only=read_only)
        self.http = self.browser()
        self._works: list[asyncio.Task[None]] = []

    def browser(self, base: str = "http://127.0.0.1:4280", hosts: frozenset[str] | None = None) -> httpx.AsyncClient:
        app = new_app(self.context, hosts or frozenset({"127.0.0.1", "localhost"}))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base)

    async def start(self) -> None:
        self._works = [asyncio.create_task(self.watch.watch(self.link)), asyncio.create_task(self.watch.run())]
        await self.pool.clock.advance(1.5)

    async def stop(self) -> None:
        for each in self._works:
            each.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)
        await self.http.aclose()

    async def get(self, path: str, **parameters: Any) -> Any:
        """Ask for what must be there."""
        answer = await self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, path: str, **parameters: Any) -> tuple[int, str, str]:
        """Ask for what must be refused; return status, code and message."""
        answer = await self.http.get(path, params=parameters)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]

    async def act(self, **body: Any) -> httpx.Response:
        """Do something, as the page does."""
        csrf = (await self.get("/api/session"))["csrf"]
        return await self.http.post("/api/act", json=body, headers={"X-CSRF-Token": csrf})


@pytest.fixture
async def pool() -> AsyncIterator[PoolHarness]:
    harness = PoolHarness()
    await harness.start()
    yield harness
    await harness.finish()


@pytest.fixture
async def new_desk(pool: PoolHarness) -> AsyncIterator[Callable[..., Any]]:
    desks: list[Desk] = []

    async def make(people: People | None = None, **options: Any) -> Desk:
        desk = Desk(pool, people or AnyoneHere("ann"), **options)
        desks.append(desk)
        await desk.start()
        return desk

    yield make
    for each in desks:
        await each.stop()


@pytest.fixture
async def desk(new_desk: Callable[..., Any]) -> Desk:
    made: Desk = await new_desk()
    return made


def frames_of(raw: bytes) -> list[tuple[str, Any]]:
    """The events in a stretch of a stream: each with its name and its document."""
    found = []
    for block in raw.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def take(frames: AsyncIterator[bytes], count: int) -> list[tuple[str, Any]]:
    """The next frames of a stream, without the one that is no event."""
    found: list[tuple[str, Any]] = []
    while len(found) < count:
        found += frames_of(await anext(frames))
    return found


@contextlib.asynccontextmanager
async def closed(frames: Any) -> AsyncIterator[Any]:
    try:
        yield frames
    finally:
        await frames.aclose()
