"""`custody top` as a process: a screen that follows the pool until it is left, or one snapshot without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING, NamedTuple

from custody_top.glance import Glances
from custody_top.person_acts import Acting
from custody_top.plain_snapshot import WIDTH, snapshot_lines
from custody_top.screens.top_app import TopApp
from infra.cli.session.command_error import CommandError
from infra.cli.watching.pool_link import PoolLink, opened_link
from infra.cli.watching.watched_pool import WatchedPool
from infra.host.clock import SystemClock
from infra.host.stop_signals import stop_signal
from infra.host.user import user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.cli.session.session import Session

HISTORY_S = 3.0
"""A snapshot waits for the last day's history at most so long; for a busy pool it is shown without the oldest of it."""
_LOG = logging.getLogger()


class TopOptions(NamedTuple):
    """How top is run."""

    person: str | None
    """Who acts; None: the user that runs it."""
    read_only: bool
    once: bool
    """One snapshot, even on a terminal."""


async def run_top(session: Session, options: TopOptions) -> None:
    """Show the pool until the person quits, or print one snapshot.

    Raises as a client command does: of a snapshot, what keeps it from being made.
    """
    watch = WatchedPool(session.settings, SystemClock())
    if options.once or session.out.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        await _print_once(session, watch)
        return
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
    if linking.done() and not linking.cancelled():
        linking.result()
    if app.return_code:
        raise CommandError("the screen ended by an error")


async def _stopped(app: TopApp, linking: asyncio.Task[None]) -> None:
    """Leave the screen when the process is asked to end, the terminal is closed, or the link fails for good."""
    stop = stop_signal(hang_up=True)
    waiting = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((waiting, linking), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    app.exit()


async def _print_once(session: Session, watch: WatchedPool) -> None:
    """Print one look at the pool, with what the service says of it."""
    async with opened_link(session) as (link, _):
        watching = asyncio.create_task(watch.watch(link, ask_rights=False))
        try:
            await _known(watch, watching)
            glance = Glances(watch).take()
            if session.out.as_json:
                assert watch.feed is not None  # noqa: S101 - it is known
                session.out.json(watch.feed.document())
                return
            for line in snapshot_lines(glance, WIDTH):
                session.out.line(line)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _known(watch: WatchedPool, watching: asyncio.Task[None]) -> None:
    """Wait until the log is read, its last day is folded and the service has answered, or was given its time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HISTORY_S):
            while not (watch.feed is not None and watch.feed.view.generation > 1 and watch.service.asked):
                if watching.done():
                    watching.result()
                await watch.clock.sleep(0.02)
    while watch.feed is None:
        if watching.done():
            watching.result()
        await watch.clock.sleep(0.05)


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Keep what is logged from being written across the screen; the banner says what is wrong with the connection."""
    before, _LOG.handlers = _LOG.handlers, [logging.NullHandler()]
    try:
        yield
    finally:
        _LOG.handlers = before
