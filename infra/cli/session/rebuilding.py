"""A pool's memory as it was at a position, rebuilt for a command from the nearest snapshot and the log."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.memory.snapshots import restore_nearest
from infra.cli.terminal.output import print_error
from infra.cli.terminal.progress import errors_only, progress_bar
from infra.service.fold_build import fold_build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handlers.ports import ReadableLog
    from infra.cli.session.open_log import OpenLog
    from infra.cli.session.session import Session
    from infra.cli.terminal.output import Output


class _ErrorPrinter(logging.Handler):
    """Prints log records the way a command prints errors."""

    def emit(self, record: logging.LogRecord) -> None:
        print_error(record.getMessage())


async def rebuild_memory(session: Session, log: OpenLog, until: int, *, outcomes: int = 0) -> Memory:
    """Return the memory of everything up to a position, starting from the nearest snapshot if there is one.

    `outcomes`: how many commands' outcomes are remembered.
    """
    memory = await restore_memory(session, log, until, outcomes=outcomes)
    await fold_log(memory, log.log, session.out, until=until)
    return memory


async def restore_memory(session: Session, log: OpenLog, until: int, *, outcomes: int = 0) -> Memory:
    """Return the memory in the nearest snapshot at or before a position, an empty one without a snapshot."""
    memory = Memory(session.settings.pool, session.settings.rules(), log.codec, outcomes=outcomes)
    store = log.snapshots(fold_build())
    if store is None:
        return memory
    with warnings_printed("handlers.memory.snapshots"):
        await restore_nearest(memory, store, log.log, build=fold_build(), until=until)
    return memory


@contextlib.contextmanager
def warnings_printed(name: str) -> Iterator[None]:
    """Print what a module logs during the block the way a command prints errors."""
    logger, printer = logging.getLogger(name), _ErrorPrinter()
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)


async def fold_log(memory: Memory, log: ReadableLog, out: Output, *, until: int | None = None) -> None:
    """Fold the log up to `until`, else to its end. What was skipped is recorded in the memory, and not logged."""
    goal = await log.last_position() if until is None else until
    with errors_only(logging.getLogger("handlers.memory.memory")), progress_bar(goal, out) as show:
        await catch_up(memory, log, until=goal, progress=lambda read, _: show(read))
