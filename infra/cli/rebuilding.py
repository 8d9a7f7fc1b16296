"""A pool's memory as it was at a position, rebuilt for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.memory import Memory
from infra.cli.progress import caught_up

if TYPE_CHECKING:
    from infra.cli.moments import OpenLog
    from infra.cli.session import Session


async def rebuilt(session: Session, log: OpenLog, until: int) -> Memory:
    """Return the memory of everything up to a position; outcomes of commands are left out."""
    memory = Memory(session.settings.pool, session.settings.rules(), log.codec, outcomes=0)
    await caught_up(memory, log.log, session.out, until=until)
    return memory
