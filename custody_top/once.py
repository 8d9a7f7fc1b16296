"""Top without a terminal: one look at the pool, printed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from custody_top.glance import Glances
from custody_top.plain_snapshot import snapshot_lines
from infra.cli.watching.pool_link import opened_link
from infra.cli.watching.watched_pool import WatchedPool
from infra.host.clock import SystemClock

if TYPE_CHECKING:
    from infra.cli.session.session import Session

WAIT_S = 3.0
"""The last day's history and the service's answer are waited for so long; then it is shown without them."""
LOOK_EVERY_S = 0.02


async def print_once(session: Session) -> None:
    """Print the pool as it is now, or all of it as JSON. Raises what keeps it from being read, as a client command."""
    watch = WatchedPool(session.settings, SystemClock())
    async with opened_link(session) as (link, _):
        watching = asyncio.create_task(watch.watch(link, ask_rights=False))
        knowing = asyncio.create_task(_known(watch))
        try:
            await asyncio.wait((watching, knowing), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            glance = Glances(watch).take()
            if session.out.as_json:
                session.out.json({} if watch.feed is None else watch.feed.document())
                return
            for line in snapshot_lines(glance):
                session.out.line(line)
        finally:
            for task in (watching, knowing):
                task.cancel()
            await asyncio.gather(watching, knowing, return_exceptions=True)


async def _known(watch: WatchedPool) -> None:
    """Wait until the log is read, and for the rest for a while."""
    while watch.feed is None:
        await watch.clock.sleep(LOOK_EVERY_S)
    for _ in range(round(WAIT_S / LOOK_EVERY_S)):
        if watch.feed.has_history and watch.service.asked:
            return
        await watch.clock.sleep(LOOK_EVERY_S)
