"""The stream's changes for any number of browsers: each is encoded once, and a slow browser delays no other.

A browser has a short line of frames. If it falls behind by more than the line holds, the line is thrown away, and it
gets the whole state instead: its memory is bounded, and it never shows a mixture.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from custody_dashboard.web.api_error import busy
from custody_dashboard.web.json_reply import to_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any

MAX_BROWSERS = 200
"""Open streams at once."""
MAX_WAITING_FRAMES = 40
"""Frames that wait for one browser: some eight seconds of a busy pool."""
KEPT_DELTAS = 300
"""Deltas that are kept for browsers that come back: about a minute of a busy pool."""
KEPT_BYTES = 16 * 1024**2
RETRY_MS = 1_000
"""How long a browser waits before it asks again for a stream that ended."""


class _Kept(NamedTuple):
    number: int
    frame: bytes


class Browser:
    """One open stream."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.needs_state = True
        """It gets the whole state next, and what waits after that."""
        self.changed = asyncio.Event()

    def offer(self, frame: bytes) -> None:
        """Put a frame into the line, or empty the line if it is full."""
        if len(self.waiting) >= MAX_WAITING_FRAMES:
            self.waiting.clear()
            self.needs_state = True
        elif not self.needs_state:
            self.waiting.append(frame)
        self.changed.set()


class Hub:
    """All open streams of one dashboard."""

    def __init__(self, state: Callable[[], tuple[int, bytes]]) -> None:
        """`state` returns the position and the whole state as JSON, as it is after the last delta."""
        self._state = state
        self._browsers: set[Browser] = set()
        self._kept: deque[_Kept] = deque()
        self._kept_bytes = 0
        self._number = 0
        self._state_frame: tuple[int, bytes] | None = None
        self._closed = False
        self._run = secrets.token_hex(4)
        """Tells this dashboard's ids from those of an earlier start, whose deltas are gone."""

    def __len__(self) -> int:
        return len(self._browsers)

    def publish(self, position: int, delta: Any) -> None:
        """Send a delta to every browser."""
        self._number += 1
        frame = _frame("delta", to_json(delta), self._id(position))
        self._kept.append(_Kept(self._number, frame))
        self._kept_bytes += len(frame)
        while len(self._kept) > KEPT_DELTAS or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft().frame)
        self._offer(frame)

    def restart(self) -> None:
        """Send every browser the whole state: what it has is of another log, or too far behind."""
        self._number += 1
        self._kept.clear()
        self._kept_bytes = 0
        for each in self._browsers:
            each.waiting.clear()
            each.needs_state = True
            each.changed.set()

    def close(self) -> None:
        """End every stream: the dashboard ends."""
        self._closed = True
        for each in self._browsers:
            each.changed.set()

    def beat(self, document: Any) -> None:
        """Send a sign of life to every browser."""
        if self._browsers:
            self._offer(_frame("beat", to_json(document)))

    async def frames(self, last_id: str | None) -> AsyncGenerator[bytes, None]:
        """Yield one browser's frames until `close`. `last_id`: that of the last frame it had, if it comes back.

        Raises:
            ApiError: there are too many browsers.
        """
        if len(self._browsers) >= MAX_BROWSERS:
            raise busy(f"{MAX_BROWSERS} browsers are watching already; close one")
        browser = Browser()
        missed = self._since(last_id)
        if missed is not None:
            browser.waiting.extend(missed)
            browser.needs_state = False
        self._browsers.add(browser)
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            while not self._closed:
                browser.changed.clear()
                if browser.needs_state:
                    browser.needs_state = False
                    yield self._state_now()
                while browser.waiting:
                    yield browser.waiting.popleft()
                if not (browser.needs_state or self._closed):
                    await browser.changed.wait()
        finally:
            self._browsers.discard(browser)

    def _offer(self, frame: bytes) -> None:
        for each in self._browsers:
            each.offer(frame)

    def _id(self, position: int) -> str:
        return f"{position}.{self._run}.{self._number}"

    def _state_now(self) -> bytes:
        """Return the frame of the whole state; encoded once for all that ask between two deltas."""
        if self._state_frame is None or self._state_frame[0] != self._number:
            position, body = self._state()
            self._state_frame = self._number, _frame("state", body, self._id(position))
        return self._state_frame[1]

    def _since(self, last_id: str | None) -> list[bytes] | None:
        """Return the deltas behind the one with an id; None if not all of them are known."""
        parts = (last_id or "")[:64].split(".")
        if len(parts) != 3 or parts[1] != self._run or not (parts[2].isascii() and parts[2].isdigit()):  # noqa: PLR2004
            return None
        number = int(parts[2])
        if number > self._number:
            return None
        oldest = self._kept[0].number if self._kept else self._number + 1
        missed = [each.frame for each in self._kept if each.number > number]
        return missed if oldest <= number + 1 and len(missed) <= MAX_WAITING_FRAMES else None


def _frame(event: str, body: bytes, event_id: str | None = None) -> bytes:
    """Return one event of a stream. The body is one line, as JSON is."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + body + b"\n\n"
