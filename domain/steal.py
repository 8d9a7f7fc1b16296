"""A steal operation's state, and the fold of its events."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from domain.errors import no_beginning, out_of_order
from domain.events import steal as ev
from domain.lifecycles import STEAL, StealStatus

if TYPE_CHECKING:
    from domain.recorded import Recorded


class Steal(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The state of a steal operation after its events."""

    operation_id: str
    version: int
    position: int
    status: StealStatus
    plan: ev.Planned
    planned_at: datetime
    planned_by: str
    outcome: ev.StealEnded | None = None
    ended_at: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether it was carried out or failed."""
        return self.outcome is not None


def evolve_steal(steal: Steal | None, recorded: Recorded) -> Steal:
    """Return the steal operation after one more event.

    Raises:
        FoldError: the event is not the next one of this operation.
        IllegalTransitionError: the lifecycle forbids it.
    """
    event = recorded.event
    version = 0 if steal is None else steal.version
    if recorded.version != version + 1:
        raise out_of_order(recorded, version)
    status = STEAL.next[StealStatus.NEW if steal is None else steal.status, event.name]
    if steal is None:
        if not isinstance(event, ev.Planned):
            raise no_beginning(recorded)
        return Steal(recorded.entity_id, 1, recorded.position, status, event, recorded.time, recorded.actor)
    outcome = event if isinstance(event, ev.StealEnded) else None
    return replace(
        steal,
        version=recorded.version,
        position=recorded.position,
        status=status,
        outcome=outcome,
        ended_at=None if outcome is None else recorded.time,
    )
