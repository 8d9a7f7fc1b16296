"""Exponential back-off between attempts, with one notice when an outage begins and one when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.projector.stop_request import StopRequest

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
MAX_RETRIES = 10
"""Consecutive retries of a run that only catches up: with the pauses between them, half a minute."""


class Backoff:
    """Counts consecutive failures and waits after each."""

    def __init__(self, stop: StopRequest, notify: Callable[[str], None]) -> None:
        self._stop = stop
        self._notify = notify
        self._failures = 0
        """Consecutive."""
        self._max_retries: int | None = None
        """None: no limit."""

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def limit(self, max_retries: int | None) -> None:
        """Allow so many consecutive retries from now on; None: any number."""
        self._max_retries = max_retries

    async def failed(self, error: Exception) -> None:
        """Wait before the next attempt. Raises the error itself after too many retries, and StoppedError."""
        if self._max_retries is not None and self._failures >= self._max_retries:
            raise error
        if not self._failures:
            self._notify(f"{error}; trying again")
        self._failures += 1
        await self._stop.sleep(min(_FIRST_PAUSE_S * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE_S))

    def succeeded(self, position: int) -> None:
        """Reset the count; `position` is what the notice of the end of an outage names."""
        if self._failures:
            self._notify(f"it works again, at position {position}")
        self._failures = 0
