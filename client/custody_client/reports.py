"""Progress reports of one task: at most one a second, unless the checkpoint changed; the latest is what counts."""

from __future__ import annotations

import asyncio
from typing import Any

from custody_client.clock import steady_s
from custody_client.errors import LeaseLost
from custody_client.holding import Holding
from custody_client.life import Life
from custody_client.limits import checked_json, cut_text
from custody_client.wire import Terms

INTERVAL_S = 1.0
"""Between two reports of one task that change no checkpoint."""


class Unset:
    """Tells a checkpoint that was not given from `None`."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


class Reports:
    """Sends the reports of one lease, one after the other."""

    def __init__(self, life: Life, holding: Holding) -> None:
        self._life = life
        self._holding = holding
        self._lock = asyncio.Lock()
        self._pending: dict[str, Any] | None = None
        self._sent_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self.checkpoint: Any = holding.lease.checkpoint
        """The latest: of this handler, else of the holders before."""

    async def report(self, percent: int, note: str | None, checkpoint: Any | Unset) -> None:
        """Report progress; returns when the service has it, or at once if it is to wait for the next one.

        Raises:
            LeaseLost: the task is not held any more.
            TooLargeError: the checkpoint is too large.
        """
        holding = self._holding
        if holding.lost is not None:
            raise holding.lost
        holding.advanced_at = steady_s()
        report = dict(self._pending or {}) | {"percent": percent}
        if note is not None:
            report["message"] = cut_text(note)
        if not isinstance(checkpoint, Unset):
            report["checkpoint"] = checked_json(checkpoint, "checkpoint")
        urgent = "checkpoint" in report and report["checkpoint"] != self.checkpoint
        if not isinstance(checkpoint, Unset):
            self.checkpoint = report["checkpoint"]
        self._pending = report
        due_s = self._sent_at + INTERVAL_S - steady_s()
        if urgent or due_s <= 0:
            await self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(due_s, self._flush_soon)

    async def flush(self) -> None:
        """Send what waits to be sent; raises LeaseLost if the task is not held any more."""
        self._stop_timer()
        async with self._lock:
            report, self._pending = self._pending, None
            if report is None:
                return
            self._sent_at = steady_s()
            try:
                answer = await self._life.on_task(self._holding, "progress", report)
            except asyncio.CancelledError:
                # The handler was stopped meanwhile: what it reported goes with the task when that is handed over.
                self._put_back(report)
                raise
            self._holding.started = True
            self._life.take_terms(self._holding, answer.read(Terms), answer.sent_at)

    def _put_back(self, report: dict[str, Any]) -> None:
        self._pending = report | (self._pending or {})

    def close(self) -> None:
        """Send nothing more."""
        self._stop_timer()
        self._pending = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush_soon(self) -> None:
        self._timer = None
        self._flushing = asyncio.create_task(self._flush_quietly())

    async def _flush_quietly(self) -> None:
        """Send what waits; that the lease is lost, the handler is told anyway."""
        try:
            await self.flush()
        except LeaseLost:
            return
