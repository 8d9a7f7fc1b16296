"""`custody top` as a process: a screen that follows the pool until it is left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING, NamedTuple

from custody_top.hang_up import watch_terminal
from custody_top.person_acts import Acting
from custody_top.screens.top_app import TopApp
from infra.cli.session.command_error import CommandError
from infra.cli.watching.pool_link import PoolLink
from infra.cli.watching.watched_pool import WatchedPool
from infra.host.clock import SystemClock
from infra.host.stop_signals import stop_signal
from infra.host.user import user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.cli.session.session import Session


class TopOptions(NamedTuple):
    """How top is run."""

    person: str | None
    """Who acts; None: the user that runs it."""
    read_only: bool


async def run_top(session: Session, options: TopOptions) -> None:
    """Show the pool until the person quits, or the process is asked to end. Raises CommandError if the screen fails."""
    watch = WatchedPool(session.settings, SystemClock())
    person = (user_name() or None) if options.person is None else options.person
    app = TopApp(watch, Acting(watch, person, read_only=options.read_only))
    linking = asyncio.create_task(PoolLink(session, watch).run(), name="pool link")
    stopping = asyncio.create_task(_stopped(app, linking), name="stop")
    try:
        with _quiet_log():
            await app.run_async(mouse=False)
    finally:
        for task in (stopping, linking):
            task.cancel()
        await asyncio.gather(stopping, linking, return_exceptions=True)
    if not linking.cancelled():
        linking.result()
    if app.return_code:
        raise CommandError("the screen ended by an error")


async def _stopped(app: TopApp, linking: asyncio.Task[None]) -> None:
    """Leave the screen when the process is asked to end, the terminal is closed, or the link fails for good."""
    stop, loop = stop_signal(hang_up=True), asyncio.get_running_loop()
    watch_terminal(sys.stdin.fileno(), lambda: loop.call_soon_threadsafe(stop.set))
    waiting = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((waiting, linking), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    app.exit()


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Keep what is logged from being written across the screen; the banner says what is wrong with the connection."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers = before
