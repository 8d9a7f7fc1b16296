"""What follows the followed log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.recorded import Recorded
    from handlers.memory.memory import Memory


class Listener(Protocol):
    """Is told of what a follower folds, in order; must not wait."""

    def on_reset(self, memory: Memory) -> None:
        """Begin anew with this memory: at the start, and when the log lost its tail or was replaced."""
        ...

    def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:
        """Take acknowledged events that the memory has just folded: it is as it is after the last of them.

        Those that every fold skips are left out.
        """
        ...
