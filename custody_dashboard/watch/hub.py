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
    from collections.abc import AsyncGenerator, Callable, Hashable
    from typing import Any

MAX_BROWSERS = 200
"""Open streams at once."""
MAX_BROWSERS_OF_ONE = 40
"""Open streams of one person, so that no one takes them all."""
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


def _always() -> Hashable:
    return ()


class Browser:
    """One open stream."""

    def __init__(self, owner: str | None, rights: Callable[[], Hashable | None]) -> None:
        self.owner = owner
        self._rights = rights
        self._known_rights = rights()
        # It may have asked for its session before it lost an earlier stream.
        self.needs_session = rights is not _always
        """It is told next to read its session again."""
        self.ended = False
        """Nothing more is sent to it."""
        self.waiting: deque[bytes] = deque()
        self.needs_state = True
        """It gets the whole state next, and what waits after that."""
        self.changed = asyncio.Event()

    def has_more(self) -> bool:
        """Return whether there is something to send, or nothing will ever be."""
        return self.ended or self.needs_state or self.needs_session or bool(self.waiting)

    def check(self) -> None:
        """End it if its person may not look any more; tell it if they may do something else now."""
        rights = self._rights()
        if rights is None:
            self.ended = True
            self.waiting.clear()
            self.changed.set()
        elif rights != self._known_rights:
            self._known_rights = rights
            self.needs_session = True
            self.changed.set()

    def offer(self, frame: bytes) -> None:
        """Put a frame into the line, or empty the line if it is full."""
        if self.ended:
            return
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
        """Send a sign of life to every browser whose person may still look."""
        for each in self._browsers:
            each.check()
        if self._browsers:
            self._offer(_frame("beat", to_json(document)))

    def why_full(self, owner: str | None) -> str | None:
        """Return why there is no stream for one more browser; None if there is one. `owner`: as of `frames`."""
        if len(self._browsers) >= MAX_BROWSERS:
            return f"{MAX_BROWSERS} browsers are watching already; close one"
        if owner is not None and sum(each.owner == owner for each in self._browsers) >= MAX_BROWSERS_OF_ONE:
            return f"{owner} has {MAX_BROWSERS_OF_ONE} pages open already; close one"
        return None

    async def frames(
        self, last_id: str | None, rights: Callable[[], Hashable | None] = _always, owner: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield one browser's frames until `close`. `last_id`: that of the last frame it had, if it comes back.

        `rights` is asked at each beat: None ends the stream, another value than before has it tell `session`.
        `owner`: whose streams are counted together; None: all people are one.

        Raises:
            ApiError: there are too many browsers.
        """
        why_full = self.why_full(owner)
        if why_full is not None:
            raise busy(why_full)
        browser = Browser(owner, rights)
        missed = self._since(last_id)
        if missed is not None:
            browser.waiting.extend(missed)
            browser.needs_state = False
        self._browsers.add(browser)
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            while not (self._closed or browser.ended):
                browser.changed.clear()
                if browser.needs_state:
                    browser.needs_state = False
                    yield self._state_now()
                if browser.needs_session:
                    browser.needs_session = False
                    yield _SESSION_FRAME
                while browser.waiting:
                    yield browser.waiting.popleft()
                if not (browser.has_more() or self._closed):
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


_SESSION_FRAME = _frame("session", b"{}")
