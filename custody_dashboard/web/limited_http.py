"""HTTP/1.1 connections with limits on how long the other side may take: to ask, and to take an answer.

uvicorn limits only the time between two requests. A connection that says nothing, or takes nothing, would keep its
place among those that are allowed at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEAD_TIMEOUT_S = 10.0
"""How long a connection may take from its begin, or from the first byte of a further request, to a request's head."""
SEND_TIMEOUT_S = 60.0
"""How long what was written may wait for the other side to take it: a large state over a slow line takes its time."""


class LimitedHttp(H11Protocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the time for a request's head is counted from its first byte."""
        super().data_received(data)
        if self._is_answering():
            self._stop_awaiting_head()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        super().connection_lost(exc)
        self._stop_awaiting_head()
        self._stop_awaiting_room()

    def pause_writing(self) -> None:
        """Begin to wait until the other side takes what was written."""
        super().pause_writing()
        if self._send_timer is None:
            # Closed at once: what a stalled peer does not take would keep the connection from ending.
            self._send_timer = self.loop.call_later(SEND_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: enough was taken."""
        super().resume_writing()
        self._stop_awaiting_room()

    def _is_answering(self) -> bool:
        # uvicorn declares no None, and begins with it.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_is_late)

    def _stop_awaiting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_awaiting_room(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        self.timeout_keep_alive_handler()
