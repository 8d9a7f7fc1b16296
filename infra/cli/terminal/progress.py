"""Reading a whole log, with a bar on standard error where somebody watches."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from typing import TYPE_CHECKING

from handlers.memory.catch_up import catch_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handlers.memory.memory import Memory
    from handlers.ports import ReadableLog
    from infra.cli.terminal.output import Output

_WORTH_A_BAR = 5_000
_SELDOM = (50_000, 20, 100)


@contextlib.contextmanager
def bar(goal: int, out: Output) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how many events of `goal` were read."""
    if goal < _WORTH_A_BAR or out.as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading the log"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=goal)
        yield lambda read: progress.update(task, completed=read)


@contextlib.contextmanager
def quiet(logger: logging.Logger) -> Iterator[None]:
    """Let nothing but errors through a logger."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Look for garbage seldom, and not in what is there already: a fifth of the time of who makes much of small things.

    Events and rows are freed by counting; what is left for the collector is little.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


async def caught_up(memory: Memory, log: ReadableLog, out: Output, *, until: int | None = None) -> None:
    """Fold the log up to `until`, else to its end. What was skipped is in the memory; nobody logs it twice."""
    goal = await log.last_position() if until is None else until
    with quiet(logging.getLogger("handlers.memory.memory")), bar(goal, out) as show:
        await catch_up(memory, log, until=goal, progress=lambda read, _: show(read))
