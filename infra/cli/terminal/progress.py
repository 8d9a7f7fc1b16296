"""A progress bar on standard error, and settings of the process while a whole log is read."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.cli.terminal.output import Output

_LEAST_EVENTS = 5_000
"""A shorter log is read without a progress bar."""


@contextlib.contextmanager
def progress_bar(total: int, out: Output) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how many events of `total` were read: as a bar, in a terminal."""
    if total < _LEAST_EVENTS or out.as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from infra.cli.terminal.safe_console import SafeConsole

    columns = (TextColumn("reading the log"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=SafeConsole(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda read: progress.update(task, completed=read)


@contextlib.contextmanager
def errors_only(logger: logging.Logger) -> Iterator[None]:
    """Set a logger to the level of errors during the block."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def frozen_objects() -> Iterator[None]:
    """Collect no garbage among the objects that exist before the block while it runs.

    The command line collects rarely anyway (`infra.cli.main`). Events and rows are freed by reference counting, and
    hardly any are part of a cycle; both together save a fifth of the time of code that makes many small objects.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
