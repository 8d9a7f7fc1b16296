"""Top over a pool in memory, on the test's clock: a screen that is redrawn when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from custody_top.person_acts import Acting
from custody_top.screens.top_app import TopApp
from infra.cli.watching.watched_pool import WatchedPool
from infra.settings.settings import Settings
from tests.support.fake_link import FakeConnection, fake_link
from tests.support.pool_harness import POOL, PoolHarness

SMALL, LARGE = (80, 24), (200, 50)
TURNS = 2
CHARACTERS = {"space": " ", "slash": "/", "question_mark": "?"}


class Seat:
    """A person before the screen."""

    def __init__(self, pool: PoolHarness, app: TopApp, watch: WatchedPool, connection: FakeConnection) -> None:
        self.pool = pool
        self.app = app
        self.watch = watch
        self.connection = connection
        self.pilot: Pilot[None] | None = None

    async def settle(self) -> None:
        """Let every widget handle what was sent to it, and what follows from that."""
        assert self.pilot is not None
        for _ in range(TURNS):
            await self.pilot.pause(0)

    async def see(self) -> list[str]:
        """Redraw, and return what every line of the screen says."""
        for _ in range(2):
            # The second time in the room that the first one gave to each widget.
            self.app.redraw()
            await self.settle()
        strips = self.app.screen._compositor.render_strips()  # noqa: SLF001 - what is written to the terminal
        return [strip.text.rstrip() for strip in strips]

    async def text(self) -> str:
        """As `see`, as one text."""
        return "\n".join(await self.see())

    async def press(self, *keys: str) -> str:
        """Press keys, and return what is seen then."""
        for key in keys:
            # The pilot's own `press` waits for a process that rests, which takes its time.
            self.app.post_message(events.Key(key, CHARACTERS.get(key, key if len(key) == 1 else None)))
            await self.settle()
        return await self.text()

    async def write(self, words: str) -> str:
        """Type in words."""
        names = {character: key for key, character in CHARACTERS.items()}
        return await self.press(*(names.get(character, character) for character in words))

    async def settled(self) -> str:
        """Let what was sent be answered, and return what is seen then."""
        await self.pool.advance(0.1)
        await self.settle()
        return await self.text()


Sit = Callable[..., AbstractAsyncContextManager[Seat]]


@pytest.fixture
async def pool() -> AsyncIterator[PoolHarness]:
    harness = PoolHarness()
    await harness.start()
    yield harness
    await harness.finish()


@pytest.fixture
def sit(pool: PoolHarness) -> Sit:
    @contextlib.asynccontextmanager
    async def sitting(
        size: tuple[int, int] = SMALL, *, read_only: bool = False, linked: bool = True, person: str | None = "ann"
    ) -> AsyncIterator[Seat]:
        watch = WatchedPool(Settings(pool=POOL), pool.clock)
        connection = FakeConnection(pool)
        app = TopApp(watch, Acting(watch, person, read_only=read_only), redrawn_every_s=None)
        seat = Seat(pool, app, watch, connection)
        works: list[asyncio.Task[Any]] = []
        if linked:
            works.append(asyncio.create_task(watch.watch(fake_link(pool, connection))))
            await pool.clock.advance(1.5)
        try:
            async with app.run_test(size=size) as pilot:
                seat.pilot = pilot
                await seat.see()
                yield seat
        finally:
            for each in works:
                each.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    return sitting
