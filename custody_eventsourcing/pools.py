"""A persistence module that reads a Custody pool and never writes to it.

`PERSISTENCE_MODULE=custody_eventsourcing.pools`, `NATS_URL` and `CUSTODY_POOL` (`default` if absent) make any
`eventsourcing` application with text ids a reader of the pool. Its own views are stored in streams of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from eventsourcing.persistence import ApplicationRecorder, NotSupportedError, ProgrammingError

# Imported as a module: the library expects to find one factory class in this module.
from custody_eventsourcing import factory as recording
from custody_eventsourcing import selecting
from custody_eventsourcing.pool_events import READ_ONLY, PoolMapper, PoolNotification, read_event
from custody_eventsourcing.reading import StreamView
from custody_eventsourcing.subscriptions import NatsSubscription
from domain.events import Entity
from domain.names import is_name, is_task_id
from domain.subjects import subject_token
from handlers.ports import LogIncompleteError, evt_prefix
from infra.codec import CloudEventsCodec
from infra.nats.connection import without_password
from infra.nats.import_mark import unfinished_import
from infra.nats.jetstream_errors import STREAM_NOT_FOUND, ApiError
from infra.nats.stream import stream_name

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

    from custody_eventsourcing.datastore import AsyncDatastore, NatsDatastore
    from handlers.ports import StoredMessage

_T = TypeVar("_T")

CUSTODY_POOL = "CUSTODY_POOL"
DEFAULT_POOL = "default"
_KINDS = frozenset(kind.value for kind in Entity)


class PoolRecorder(ApplicationRecorder):
    """Reads a pool's log. Notification ids are positions, originator ids CloudEvents subjects such as `task/T1`."""

    def __init__(self, datastore: NatsDatastore, pool: str) -> None:
        self.datastore = datastore
        self.pool = pool
        self._codec = CloudEventsCodec(pool)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Raise NotSupportedError if there is anything to store."""
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
        """Return the events of a task, an agent, a steal operation or the pool, in the order of their versions."""
        kind, _, entity_id = str(originator_id).partition("/")
        if kind not in _KINDS or not (is_task_id if kind == Entity.TASK else is_name)(entity_id):
            return []
        subject = f"{evt_prefix(self.pool)}{kind}.{subject_token(entity_id)}.>"
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
        """Return the events from position `start` to `stop`, at most `limit`; topics are CloudEvents types."""
        read = _notification_reader(self._codec, topics)
        return self._read(
            lambda view: selecting.select_range(
                view, read, start=start, inclusive=inclusive_of_start, stop=stop, limit=limit, sparse=bool(topics)
            )
        )

    def max_notification_id(self) -> int | None:
        """Return the position of the last event, or None."""

        async def last(view: StreamView) -> int | None:
            newest = await view.last()
            return None if newest is None else newest.position

        return self._read(last)

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Subscribe to the events after `gt`, future ones included; survives restarts of the broker."""
        core, pool = self.datastore.inner, self.pool
        return NatsSubscription(
            self,
            self.datastore,
            lambda: _view(core, pool),
            _notification_reader(self._codec, topics),
            gt=gt,
            topics=topics,
        )

    def _read(self, use: Callable[[StreamView], Awaitable[_T]]) -> _T:
        core, pool = self.datastore.inner, self.pool

        async def attempt(_: float) -> _T:
            try:
                return await use(await _view(core, pool))
            except ApiError as error:
                if error.err_code == STREAM_NOT_FOUND:
                    url = without_password(self.datastore.settings.url)
                    raise ProgrammingError(f"there is no pool {pool!r} at {url}") from error
                raise

        return self.datastore.run(core.with_retries, attempt)


class PoolFactory(recording.NatsFactory):
    """Makes readers of one pool, and ordinary recorders for views that are derived from it."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.pool = self.env.get(CUSTODY_POOL) or DEFAULT_POOL
        if not is_name(self.pool):
            raise OSError(f"{CUSTODY_POOL} is not the name of a pool: {self.pool!r}")

    def mapper(
        self,
        transcoder: Transcoder | None = None,
        mapper_class: type[Mapper[TAggregateID]] | None = None,
    ) -> Mapper[TAggregateID]:
        """Return the mapper from stored events to domain events: that of pools, unless another is given."""
        return super().mapper(transcoder, mapper_class or PoolMapper)

    def aggregate_recorder(self, purpose: str = recording.EVENTS) -> AggregateRecorder:
        """Return the reader of the pool; a pool has no snapshots."""
        if purpose != recording.EVENTS:
            raise NotSupportedError(f"no {purpose} of a pool: {READ_ONLY}")
        return self.application_recorder()

    def application_recorder(self) -> ApplicationRecorder:
        """Return the reader of the pool."""
        return PoolRecorder(self.datastore, self.pool)

    def process_recorder(self) -> ProcessRecorder:
        """Raise NotSupportedError."""
        raise NotSupportedError(READ_ONLY)


def _version(event: PoolNotification) -> int:
    return event.originator_version


def _notification_reader(
    codec: CloudEventsCodec, topics: Sequence[str]
) -> Callable[[StoredMessage], PoolNotification | None]:
    def read(message: StoredMessage) -> PoolNotification | None:
        event = read_event(codec, message)
        return None if event is None or (topics and event.topic not in topics) else event

    return read


async def _view(core: AsyncDatastore, pool: str) -> StreamView:
    """Return a view of the pool's log. Raises LogIncompleteError while that is only part of one, ApiError."""
    link, stream = await core.link(), stream_name(pool)
    part = unfinished_import(await link.api.call(f"STREAM.INFO.{stream}"), link.api.connection.url)
    if part is not None:
        raise LogIncompleteError(part)
    return StreamView(link, stream, direct=False)


Factory = PoolFactory
