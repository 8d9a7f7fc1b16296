"""What the beats' thread asks of the life that it beats for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from custody_client.errors import StaleSession
from custody_client.holding import Holding, Holdings
from custody_client.wire import HeldLease, Terms


class Beating(Protocol):
    """The life that is beaten for. What is called here is safe from another thread."""

    name: str
    pool: str
    session: str
    holdings: Holdings
    found: Callable[[HeldLease], None]

    def call_soon(self, what: Callable[[], None]) -> None:
        """Have something called in the life's event loop."""

    def register_soon(self) -> None:
        """Register again, for the pool does not know the agent."""

    def supersede(self, refused: StaleSession) -> None:
        """Another process of the name has registered."""

    def take_terms(self, holding: Holding, terms: Terms, sent_at: float) -> None:
        """Take until when a lease runs, and what its holder is asked to do."""
