"""The event loop's own timers, on a time that only the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest


class Timer:
    """What `call_later` returns."""

    def __init__(self, at_s: float, call: Callable[[], object]) -> None:
        self.at_s = at_s
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class LoopTime:
    """Stands in for the running loop's `time` and `call_later`; nothing else in the test may need them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000.0
        self._timers: list[Timer] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now_s)
        monkeypatch.setattr(loop, "call_later", self._call_later)

    @property
    def pending(self) -> int:
        """How many timers are set."""
        return len(self._live())

    def pass_(self, seconds: float) -> None:
        """Let time pass; what is due is called in its order."""
        self.now_s += seconds
        due = sorted((timer for timer in self._live() if timer.at_s <= self.now_s), key=lambda timer: timer.at_s)
        for timer in due:
            timer.cancel()
            timer.call()

    def _live(self) -> list[Timer]:
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        return self._timers

    def _call_later(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> Timer:
        timer = Timer(self.now_s + delay_s, lambda: call(*arguments))
        self._timers.append(timer)
        return timer
