"""A persistence module that reads a Custody pool and never writes to it.

`PERSISTENCE_MODULE=custody_eventsourcing.pools`, `NATS_URL` and `CUSTODY_POOL` (`default` if absent) make any
`eventsourcing` application with text ids a reader of the pool. What it derives goes into streams of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from eventsourcing.persistence import ApplicationRecorder, NotSupportedError, ProgrammingError

# Whoever looks for the module's factory wants to find one class.
from custody_eventsourcing import factory as recording
from custody_eventsourcing import selecting
from custody_eventsourcing.pool_events import READ_ONLY, PoolMapper, PoolNotification, read_event
from custody_eventsourcing.reading import StreamView
from custody_eventsourcing.subscriptions import NatsSubscription
from domain.events import Entity
from domain.limits import NAME_PATTERN
from infra.codec import CloudEventsCodec
from infra.nats import evt_prefix, stream_name, without_password
from infra.nats.jetstream_errors import STREAM_NOT_FOUND, ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from eventsourcing.domain import TAggregateID
    from eventsourcing.persistence import (
        AggregateRecorder,
        Mapper,
        Notification,
        ProcessRecorder,
        StoredEvent,
        Subscription,
        Transcoder,
    )
    from eventsourcing.utils import Environment, EnvType

    from custody_eventsourcing.datastore import Core, NatsDatastore
    from handlers.ports import StoredMessage

_T = TypeVar("_T")

CUSTODY_POOL = "CUSTODY_POOL"
DEFAULT_POOL = "default"
_NAME = re.compile(NAME_PATTERN)
_KINDS = frozenset(kind.value for kind in Entity)


class PoolRecorder(ApplicationRecorder):
    """The log of a pool; a notification's id is its position, an originator's the CloudEvents subject: `task/T1`."""

    def __init__(self, datastore: NatsDatastore, pool: str) -> None:
        self.datastore = datastore
        self.pool = pool
        self._codec = CloudEventsCodec(pool)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Raises NotSupportedError, if there is anything to store."""
        if stored_events or kwargs.get("tracking") is not None:
            raise NotSupportedError(READ_ONLY)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of a task, an agent, a steal operation or the pool, in the order of their versions."""
        kind, _, entity_id = str(originator_id).partition("/")
        if kind not in _KINDS or not _NAME.fullmatch(entity_id):
            return []
        subject = f"{evt_prefix(self.pool)}{kind}.{entity_id}.>"
        selection = selecting.Selection(gt=gt, lte=lte, desc=desc, limit=limit)

        async def select(view: StreamView) -> list[PoolNotification]:
            events = [read_event(self._codec, message) for message in await view.history(subject)]
            return selection.apply([event for event in events if event is not None], _version)

        return self._read(select)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The events from position `start` to `stop`, at most `limit`; topics are CloudEvents types."""
        after = selecting.after(start, inclusive=inclusive_of_start)
        read = _reading(self._codec, topics)
        return self._read(
            lambda view: selecting.stretch(view, read, after=after, stop=stop, limit=limit, sparse=bool(topics))
        )

    def max_notification_id(self) -> int | None:
        """The position of the last event, or None."""

        async def last(view: StreamView) -> int | None:
            newest = await view.last()
            return None if newest is None else newest.position

        return self._read(last)

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """The events behind `gt`, those to come included, through restarts of the broker."""
        core, pool = self.datastore.core, self.pool
        return NatsSubscription(
            self,
            self.datastore,
            lambda: _view(core, pool),
            _reading(self._codec, topics),
            gt=gt,
            topics=topics,
        )

    def _read(self, use: Callable[[StreamView], Awaitable[_T]]) -> _T:
        core, pool = self.datastore.core, self.pool

        async def attempt(_: float) -> _T:
            try:
                return await use(await _view(core, pool))
            except ApiError as error:
                if error.err_code == STREAM_NOT_FOUND:
                    url = without_password(self.datastore.settings.url)
                    raise ProgrammingError(f"there is no pool {pool!r} at {url}") from error
                raise

        return self.datastore.run(core.patiently, attempt)


class PoolFactory(recording.NatsFactory):
    """Makes readers of one pool; views that are derived from it get recorders of their own."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.pool = self.env.get(CUSTODY_POOL) or DEFAULT_POOL
        if not _NAME.fullmatch(self.pool):
            raise OSError(f"{CUSTODY_POOL} is no pool's name: {self.pool!r}")

    def mapper(
        self,
        transcoder: Transcoder | None = None,
        mapper_class: type[Mapper[TAggregateID]] | None = None,
    ) -> Mapper[TAggregateID]:
        """What makes domain events of a pool's: their own mapper, unless another is given."""
        return super().mapper(transcoder, mapper_class or PoolMapper)

    def aggregate_recorder(self, purpose: str = recording.EVENTS) -> AggregateRecorder:
        """The reader of the pool; there are no snapshots to be had of it."""
        if purpose != recording.EVENTS:
            raise NotSupportedError(f"no {purpose} of a pool: {READ_ONLY}")
        return self.application_recorder()

    def application_recorder(self) -> ApplicationRecorder:
        """The reader of the pool."""
        return PoolRecorder(self.datastore, self.pool)

    def process_recorder(self) -> ProcessRecorder:
        """Raises NotSupportedError."""
        raise NotSupportedError(READ_ONLY)


def _version(event: PoolNotification) -> int:
    return event.originator_version


def _reading(codec: CloudEventsCodec, topics: Sequence[str]) -> Callable[[StoredMessage], PoolNotification | None]:
    def read(message: StoredMessage) -> PoolNotification | None:
        event = read_event(codec, message)
        return None if event is None or (topics and event.topic not in topics) else event

    return read


async def _view(core: Core, pool: str) -> StreamView:
    return StreamView(await core.exchange(), stream_name(pool), direct=False)


Factory = PoolFactory
