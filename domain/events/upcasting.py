"""The upcasters of released event versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from domain.events.catalogue import Upcaster

UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}
"""By event and the version that is read: `("task.progressed", 1)` turns data of version 1 into that of version 2.

None yet: every event is at its first version. A released upcaster is never removed, because old logs stay readable.
"""
