"""A Custody pool's events as domain events of the library, applied by the project's own `evolve`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pydantic_core
from eventsourcing.persistence import Mapper, MapperDeserialisationError, Notification, NotSupportedError
from msgspec.structs import astuple

from domain.agent import evolve_agent
from domain.errors import FoldError
from domain.events import Entity
from domain.lifecycles import IllegalTransitionError
from domain.pool import Pool, evolve_pool
from domain.recorded import Recorded
from domain.steal import evolve_steal
from domain.subjects import subject_token
from domain.task import evolve_task
from handlers.ports import StoredMessage, UnreadableEventError, evt_prefix
from infra.codec import CloudEventsCodec

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventsourcing.domain import DomainEventProtocol
    from eventsourcing.persistence import StoredEvent

    from domain.entities import EntityState

_LOG = logging.getLogger(__name__)

READ_ONLY = "only its own service writes to a pool: send it commands"


class PoolEvent(Recorded, frozen=True):
    """A recorded event that applies itself, so that the library's own projector folds it."""

    def mutate(self, aggregate: EntityState | None) -> EntityState | None:
        """Return the entity after this event. An event that does not link or apply is skipped, as in every fold."""
        try:
            return _EVOLVE[self.entity](aggregate, self)
        except (FoldError, IllegalTransitionError) as error:
            _LOG.warning("skipped position %d: %s", self.position, error)
            return aggregate


def _evolve_pool(pool: Pool | None, recorded: Recorded) -> Pool:
    return evolve_pool(Pool(recorded.entity_id) if pool is None else pool, recorded)


_EVOLVE: dict[Entity, Callable[[Any, Recorded], EntityState]] = {
    Entity.TASK: evolve_task,
    Entity.AGENT: evolve_agent,
    Entity.STEAL: evolve_steal,
    Entity.POOL: _evolve_pool,
}


@dataclass(frozen=True)
class PoolNotification(Notification):
    """An event of a pool's log: the topic is its CloudEvents type, the state its whole body."""

    recorded: Recorded = field(compare=False, repr=False)


def read_event(codec: CloudEventsCodec, message: StoredMessage) -> PoolNotification | None:
    """Return the event of a message; None if this version cannot read it, as every fold then skips it."""
    try:
        recorded = codec.decode(message)
    except UnreadableEventError as error:
        _LOG.warning("skipped position %d: %s", error.position, error.reason)
        return None
    return PoolNotification(
        originator_id=recorded.originator_id,
        originator_version=recorded.version,
        topic=recorded.event.type_name,
        state=message.body,
        id=recorded.position,
        recorded=recorded,
    )


class PoolMapper(Mapper[str]):
    """Maps stored events to `PoolEvent`; the other direction is not supported."""

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Raise NotSupportedError."""
        raise NotSupportedError(f"{type(domain_event).__name__} is not stored: {READ_ONLY}")

    def to_domain_event(self, stored_event: StoredEvent) -> PoolEvent:
        """Return the event with its envelope, from the log or from a stored body alone."""
        if isinstance(stored_event, PoolNotification):
            return PoolEvent(*astuple(stored_event.recorded))
        try:
            return PoolEvent(*astuple(_from_body(stored_event)))
        except (UnreadableEventError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise MapperDeserialisationError(
                f"{stored_event.originator_id} version {stored_event.originator_version}: {error}"
            ) from error


def _from_body(stored_event: StoredEvent) -> Recorded:
    envelope = pydantic_core.from_json(stored_event.state)
    pool = envelope["source"].removeprefix("custody/")
    kind, _, entity_id = envelope["subject"].partition("/")
    _, _, event, _ = envelope["type"].split(".")
    subject = f"{evt_prefix(pool)}{kind}.{subject_token(entity_id)}.{event}"
    return CloudEventsCodec(pool).decode(StoredMessage(int(envelope["id"]), subject, stored_event.state))
