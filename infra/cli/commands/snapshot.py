"""`custody snapshot`: the state at the log's end, stored beside the log."""

from __future__ import annotations

from handlers.memory.snapshots import encode, image_of
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_broker_log
from infra.cli.session.rebuilding import rebuild_memory
from infra.cli.session.session import Session
from infra.service.fold_build import fold_build
from projections.state.state_image import SnapshotError


async def snapshot(session: Session) -> None:
    """Store a snapshot of the state at the log's end, for quick starts and looks into the past."""
    async with open_broker_log(session, user="writer") as log:
        if log.last < log.first:
            raise CommandError(f"pool {session.settings.pool} has no events yet")
        memory = await rebuild_memory(session, log, log.last, outcomes=session.settings.outcomes_remembered)
        document = encode(image_of(memory), fold_build())
        try:
            await log.snapshots(fold_build()).put(memory.state.position, document)
        except SnapshotError as error:
            raise CommandError(f"no snapshot is stored: {error}") from None
    stored = {"position": memory.state.position, "bytes": len(document), "build": fold_build()}
    if session.out.as_json:
        session.out.json(stored)
    else:
        session.out.line(f"snapshot of position {stored['position']}: {stored['bytes']} bytes")
