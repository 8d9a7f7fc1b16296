"""The upcasters of released versions: what makes old data new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from domain.events.catalogue import Upcaster

UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}
"""By event and the version that is read: `("task.progressed", 1)` makes of version 1 what version 2 would have written.

None yet: every event is at its first version. One that was released is never taken out, for old logs are for ever.
"""
