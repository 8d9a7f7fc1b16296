"""The outcome of a command on one state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from domain.entities import EntityKey, EntityState
    from domain.recorded import Recorded
    from domain.refusal import Refusal
    from domain.request import Request


class Decision(msgspec.Struct, frozen=True):
    """The events, and a result or a refusal.

    The events are to be appended atomically right after the position that was decided on. `after` holds each entity
    that they change as it is after them.
    """

    records: list[Recorded]
    after: dict[EntityKey, EntityState]
    result: dict[str, Any] | None = None
    refusal: Refusal | None = None
    waits: bool = False
    """Whether this is an empty claim that asked to wait for work."""
    follow_up: Request | None = None
    """The request to decide next, once these events are acknowledged and before the caller is answered."""
    begins_session: bool = False
    """Whether this registration begins a session of the agent, and so ends the waiting claims of the one before."""
