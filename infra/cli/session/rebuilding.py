"""A pool's memory as it was at a position, rebuilt for a command; and snapshots, which make that quick."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from handlers.memory.memory import Memory
from handlers.memory.snapshots import encode, image_of, restore_nearest
from infra.cli.session.opening import opened_at_broker
from infra.cli.session.session import CommandError, Session
from infra.cli.terminal.output import complain
from infra.cli.terminal.progress import caught_up
from infra.service.fold_build import fold_build
from projections.state.state_image import SnapshotError

if TYPE_CHECKING:
    from infra.cli.session.moments import OpenLog


class _Complaints(logging.Handler):
    """Shows warnings the way a command does."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


async def rebuilt(session: Session, log: OpenLog, until: int, *, outcomes: int = 0) -> Memory:
    """Return the memory of everything up to a position, from the nearest snapshot on if there is one.

    `outcomes`: the commands whose outcome is remembered.
    """
    memory = await restored(session, log, until, outcomes=outcomes)
    await caught_up(memory, log.log, session.out, until=until)
    return memory


async def restored(session: Session, log: OpenLog, until: int, *, outcomes: int = 0) -> Memory:
    """Return the memory that the nearest snapshot at or before a position holds, an empty one without a snapshot."""
    pool = session.settings.pool
    memory = Memory(pool, session.settings.rules(), log.codec, outcomes=outcomes)
    store = log.snapshots(fold_build())
    if store is None:
        return memory
    logger, complaints = logging.getLogger("handlers.memory.snapshots"), _Complaints()
    logger.addHandler(complaints)
    try:
        await restore_nearest(memory, store, log.log, build=fold_build(), until=until)
    finally:
        logger.removeHandler(complaints)
    return memory


async def snapshot(session: Session) -> None:
    """Store a snapshot of the state at the log's end, for quick starts and looks into the past."""
    async with opened_at_broker(session, user="writer") as log:
        if log.last < log.first:
            raise CommandError(f"pool {session.settings.pool} has no events yet")
        memory = await rebuilt(session, log, log.last, outcomes=session.settings.outcomes_remembered)
        document = encode(image_of(memory), fold_build())
        try:
            await log.snapshots(fold_build()).put(memory.state.position, document)
        except SnapshotError as error:
            raise CommandError(f"no snapshot is stored: {error}") from None
    found = {"position": memory.state.position, "bytes": len(document), "build": fold_build()}
    if session.out.as_json:
        session.out.json(found)
    else:
        session.out.line(f"snapshot of position {found['position']}: {found['bytes']} bytes")
