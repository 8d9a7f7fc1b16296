"""A projector's lag behind the log: a live line in a terminal, a line at intervals elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from handlers.ports import LogUnavailableError
from infra.cli.terminal.output import print_error
from infra.host.printable import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.progress import Progress

    from handlers.projector.projector import Projector
    from infra.cli.terminal.output import Output
    from infra.nats.event_log import NatsEventLog

_TERMINAL_S = 0.5
_CATCHING_UP_S = 10.0
_FOLLOWING_S = 60.0


class LagDisplay:
    """Shows one projector's lag while it runs."""

    def __init__(self, out: Output, log: NatsEventLog) -> None:
        self._out = out
        self._log = log
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._known = True
        """Whether the broker answered when it was last asked for the log's end."""

    def notify(self, text: str) -> None:
        """Print a line about something that happened, on standard error."""
        if self._progress is not None:
            self._progress.console.print(f"custody: {printable(text)}", soft_wrap=True)
        else:
            print_error(text)

    @contextlib.asynccontextmanager
    async def display(self, projector: Projector[Any]) -> AsyncIterator[None]:
        """Show the lag during the block, and a summary at its end."""
        if self._out.terminal and sys.stderr.isatty() and not self._out.as_json:
            showing = asyncio.ensure_future(self._show_live(projector))
        else:
            showing = asyncio.ensure_future(self._show_lines(projector))
        showing.add_done_callback(_report_fault)
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
        self._line(projector, "stopped")

    async def _show_live(self, projector: Projector[Any]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from infra.cli.terminal.safe_console import SafeConsole

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[lag]}"),
            console=SafeConsole(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        shown = progress.add_task("", total=None, lag="")
        self._progress = progress
        try:
            with progress:
                while True:
                    await self._refresh(projector)
                    progress.update(
                        shown,
                        description=_state(projector),
                        total=projector.log_end,
                        completed=projector.watermark.position,
                        lag=self._lag(projector),
                    )
                    progress.refresh()
                    await asyncio.sleep(_TERMINAL_S)
        finally:
            self._progress = None

    async def _show_lines(self, projector: Projector[Any]) -> None:
        while True:
            await asyncio.sleep(_FOLLOWING_S if projector.following else _CATCHING_UP_S)
            await self._refresh(projector)
            self._line(projector, _state(projector))

    async def _refresh(self, projector: Projector[Any]) -> None:
        self._known = not projector.failing
        if projector.following:
            try:
                projector.note_log_end(await self._log.last_position())
            except LogUnavailableError:
                self._known = False

    def _lag(self, projector: Projector[Any]) -> str:
        behind = max(projector.log_end - projector.watermark.position, 0)
        seconds = f" ({_behind_s(projector):,.1f} s)" if behind else ""
        return f"{behind} events behind{seconds}{'' if self._known else ' when last heard of'}"

    def _line(self, projector: Projector[Any], what: str) -> None:
        watermark, took_s = projector.watermark, time.monotonic() - self._began
        if self._out.as_json:
            self._out.json_line(
                {
                    "status": what,
                    "position": watermark.position,
                    "behind": max(projector.log_end - watermark.position, 0),
                    "behind_s": _behind_s(projector),
                    "written": projector.written,
                    "skipped": watermark.skipped,
                    "seconds": round(took_s, 3),
                }
            )
            return
        skipped = f", {watermark.skipped} skipped as every fold skips them" if watermark.skipped else ""
        rate = f", {projector.written / took_s:,.0f}/s" if projector.written > took_s else ""
        self._out.line(
            f"{what} at position {watermark.position}, {self._lag(projector)}; "
            f"{projector.written} events written in {took_s:.1f} s{rate}{skipped}"
        )


def _report_fault(showing: asyncio.Future[None]) -> None:
    """Say so if the display ended by itself; the projector goes on."""
    error = None if showing.cancelled() else showing.exception()
    if error is not None:
        with contextlib.suppress(OSError):
            print_error(f"the lag is no longer shown: {error!r}")


def _behind_s(projector: Projector[Any]) -> float:
    """Return the age of the last event that is in the read model, 0 if it is the log's last."""
    watermark = projector.watermark
    if watermark.position >= projector.log_end or watermark.time is None:
        return 0.0
    return round(max((datetime.now(UTC) - watermark.time).total_seconds(), 0.0), 3)


def _state(projector: Projector[Any]) -> str:
    if projector.standing_by:
        return "standing by"
    return "following" if projector.following else "catching up"
