"""The writer's observer: what its owner, `handlers/pool_service.py`, is notified of."""

from __future__ import annotations

from typing import Protocol


class WriterObserver(Protocol):
    """Called by the writer from the event loop; must return at once."""

    def committed(self, position: int, tail_hash: str | None) -> None:
        """The log has acknowledged a position, and holds what has this hash there; no caller was told so yet."""
        ...

    def appended(self, commands: int, append_s: float) -> None:
        """The log has acknowledged so many commands at once, `append_s` seconds after their append was sent."""
        ...

    def state_changed(self) -> None:
        """A batch was acknowledged, or a claim began to wait: something may fall due earlier than before."""
        ...

    def clock_changed(self) -> None:
        """The wall clock was set."""
        ...

    def agents_unheard(self, blind_s: float) -> None:
        """A spell of `blind_s` seconds in which no agent could be heard is over."""
        ...
