"""A probe: evidence from outside the pool that a silent holder is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from domain.task import Lease, Task


class Probe(Protocol):
    """Finds evidence for a silent lease."""

    @property
    def name(self) -> str:
        """The name that the `extended` event records."""
        ...

    async def evidence(self, task: Task, lease: Lease) -> tuple[str, ...]:
        """Return signs of work going on; empty if there are none. Never raises, and ends within its own limit."""
        ...
