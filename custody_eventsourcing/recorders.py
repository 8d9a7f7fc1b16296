"""The recorders: aggregate, application, tracking and process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    ProcessRecorder,
    TrackingRecorder,
)

from custody_eventsourcing import records, selecting
from custody_eventsourcing.naming import Subjects
from custody_eventsourcing.streams import OpenStream, StreamSpec
from custody_eventsourcing.subscriptions import NatsSubscription

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeVar
    from uuid import UUID

    from eventsourcing.persistence import Notification, StoredEvent, Subscription, Tracking

    from custody_eventsourcing.datastore import NatsDatastore
    from custody_eventsourcing.reading import StreamView
    from handlers.ports import StoredMessage

    _T = TypeVar("_T")


class NatsRecorder:
    """Base of all recorders: a stream at the broker of a datastore."""

    def __init__(self, datastore: NatsDatastore, *, stream: StreamSpec) -> None:
        self.datastore = datastore
        self.stream = stream

    def create_table(self) -> None:
        """Create the stream, or check the existing one."""
        self._use(_nothing)

    def _use(self, use: Callable[[OpenStream, float], Awaitable[_T]]) -> _T:
        return self.datastore.run(self.datastore.inner.use_stream, self.stream, use)

    def _insert(
        self,
        stored_events: Sequence[StoredEvent],
        tracking: Tracking | None = None,
        changes: Mapping[str, Callable[[bytes | None], bytes]] | None = None,
    ) -> list[int]:
        return self._use(
            lambda stream, deadline: stream.sequences.insert(stored_events, tracking, changes or {}, deadline)
        )


class NatsAggregateRecorder(NatsRecorder, AggregateRecorder):
    """Records events by originator, such as snapshots."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Store all events or none.

        Raises:
            IntegrityError: a version is stored already.
            UnknownOutcomeError: the broker did not acknowledge them, in spite of retries.
        """
        self._insert(stored_events)
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
        """Return the events of an originator, in the order of their versions."""
        selection = selecting.Selection(gt=gt, lte=lte, desc=desc, limit=limit)

        async def select(stream: OpenStream, _: float) -> list[StoredEvent]:
            messages = await selecting.select_of_originator(
                stream, stream.subjects.originator(originator_id), selection
            )
            return [records.stored_event(message, originator_id) for message in messages]

        return self._use(select)


class NatsApplicationRecorder(NatsAggregateRecorder, ApplicationRecorder):
    """Records an application's events; a notification's id is its position in the stream."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Store all events or none; return their notification ids. Raises as the aggregate recorder does."""
        return self._insert(stored_events)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return the events from `start` to `stop`, at most `limit`, in the order in which they were stored."""
        subjects = Subjects(self.stream.name)

        def read(message: StoredMessage) -> Notification | None:
            return _notification(message, subjects, topics)

        return self._use(
            lambda stream, _: selecting.select_range(
                stream.view,
                read,
                start=start,
                inclusive=inclusive_of_start,
                stop=stop,
                limit=limit,
                sparse=bool(topics),
            )
        )

    def max_notification_id(self) -> int | None:
        """Return the notification id of the newest event, or None."""
        return self._use(lambda stream, _: selecting.last_event_position(stream))

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Subscribe to the events after `gt`, future ones included; survives restarts of the broker."""
        core, spec = self.datastore.inner, self.stream
        subjects = Subjects(spec.name)
        return NatsSubscription(
            self,
            self.datastore,
            lambda: core.use_stream(spec, _view),
            lambda message: _notification(message, subjects, topics),
            gt=gt,
            topics=topics,
        )


class NatsTrackingRecorder(NatsRecorder, TrackingRecorder):
    """Records how far upstream applications were processed; subclasses can store a view's values with it.

    A view subclasses this. It changes its values with `change_values`, atomically with the tracking, and reads them
    with `value`.
    """

    def insert_tracking(self, tracking: Tracking) -> None:
        """Record how far an upstream application was processed. Raises IntegrityError unless that advances it."""
        self._insert((), tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return how far the upstream application was processed, or None."""

        async def read(stream: OpenStream, _: float) -> int | None:
            return (await stream.sequences.tracked(application_name)).top

        return self._use(read)

    def change_values(self, tracking: Tracking, changes: Mapping[str, Callable[[bytes | None], bytes]]) -> None:
        """Record the tracking and the new values of some keys atomically.

        Each function gets the present value, None if there is none, and returns the new one. It is called again if
        another process changed the value meanwhile. Raises as `insert_tracking` does.
        """
        self._insert((), tracking, changes)

    def value(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""

        async def read(stream: OpenStream, _: float) -> bytes | None:
            last = await stream.view.last(stream.subjects.value(key))
            return None if last is None else last.body

        return self._use(read)


class NatsProcessRecorder(NatsTrackingRecorder, NatsApplicationRecorder, ProcessRecorder):
    """Records events and tracking in one stream, atomically.

    Tracking takes positions, too, so notification ids increase with gaps.
    """

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Store all events, and the `tracking` if given, or nothing; return the events' notification ids."""
        return self._insert(stored_events, kwargs.get("tracking"))


async def _view(stream: OpenStream, _: float) -> StreamView:
    return stream.view


async def _nothing(_: OpenStream, __: float) -> None:
    pass


def _notification(message: StoredMessage, subjects: Subjects, topics: Sequence[str]) -> Notification | None:
    originator_id = subjects.originator_id(message.subject)
    if originator_id is None or (topics and records.event_topic(message.headers) not in topics):
        return None
    return records.notification(message, originator_id)
