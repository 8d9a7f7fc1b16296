"""Inserts events of many originators, each version once, without blocking inserts of other originators.

Every originator has one subject. An insert is conditional on the position of the last message there, and up to that
position the inserted versions are known to be absent. So the stream accepts one of two writers that decided on the
same state.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from eventsourcing.persistence import IntegrityError, OperationalError
from nats.nuid import NUID

from custody_eventsourcing import records
from custody_eventsourcing.batches import Write
from handlers.ports import AppendConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventsourcing.persistence import StoredEvent, Tracking

    from custody_eventsourcing.naming import Subjects
    from custody_eventsourcing.publishing import Publisher
    from custody_eventsourcing.reading import StreamView
    from handlers.ports import StoredMessage

_CACHE_SIZE = 10_000
_RETRY_PAUSE_S = 0.01
FIRST_VERSION = 1


class SubjectEnd(NamedTuple):
    """The end of a subject: its last message's position, and its highest version or id; None when it is empty."""

    position: int
    top: int | None


NO_MESSAGES = SubjectEnd(0, None)


class EndCache:
    """The last known ends of recently used subjects; an entry may be out of date."""

    def __init__(self, size: int = _CACHE_SIZE) -> None:
        self._known: OrderedDict[str, SubjectEnd] = OrderedDict()
        self._size = size

    def get(self, subject: str) -> SubjectEnd | None:
        """Return the last known end of the subject, or None."""
        return self._known.get(subject)

    def put(self, subject: str, known: SubjectEnd) -> None:
        """Store the end unless a newer one is known."""
        before = self._known.get(subject)
        if before is not None and before.position > known.position:
            return
        self._known[subject] = known
        self._known.move_to_end(subject)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def drop(self, subject: str) -> None:
        """Forget the subject, so that its end is read the next time."""
        self._known.pop(subject, None)


class Sequences:
    """Inserts events, tracking and values into one stream."""

    def __init__(self, subjects: Subjects, view: StreamView, publisher: Publisher) -> None:
        self.ends = EndCache()
        self._subjects = subjects
        self._view = view
        self._publisher = publisher
        self._write_ids = NUID()

    async def insert(
        self,
        events: Sequence[StoredEvent],
        tracking: Tracking | None,
        changes: Mapping[str, Callable[[bytes | None], bytes]],
        deadline: float,
    ) -> list[int]:
        """Store the events, the tracking of an upstream application, and a view's values atomically.

        Returns the positions of the events. `changes` maps the key of a value to a function from its old to its new
        value.

        Raises:
            IntegrityError: a version is stored already, or the upstream position is not beyond the recorded one.
            OperationalError: conflicts with other writers until the deadline.
        """
        versions = self._versions(events)
        loop = asyncio.get_running_loop()
        uncached = False
        while True:
            write_id = self._write_ids.next().decode()
            before = await self._ends_before(versions, uncached=uncached)
            writes = await self._tracking_writes(tracking, write_id, uncached=uncached)
            writes += await self._value_writes(changes, write_id)
            writes += self._event_writes(events, before, write_id)
            if not writes:
                return []
            try:
                first = await self._publisher.commit(writes, write_id, deadline)
            except AppendConflictError as error:
                self._drop(writes)
                if loop.time() >= deadline:
                    raise OperationalError(f"other writers kept writing to the same subjects: {error}") from error
                if uncached:
                    await asyncio.sleep(_RETRY_PAUSE_S)
                uncached = True
            except BaseException:
                self._drop(writes)
                raise
            else:
                self._remember(writes, first)
                return list(range(first + len(writes) - len(events), first + len(writes)))

    def _versions(self, events: Sequence[StoredEvent]) -> dict[str, set[int]]:
        versions: dict[str, set[int]] = {}
        for event in events:
            of_one = versions.setdefault(self._subjects.originator(event.originator_id), set())
            if event.originator_version in of_one:
                raise IntegrityError(f"twice in one insert: {_named(event.originator_id, event.originator_version)}")
            of_one.add(event.originator_version)
        return versions

    async def _ends_before(self, versions: Mapping[str, set[int]], *, uncached: bool) -> dict[str, SubjectEnd]:
        """Return the end of each subject; raises IntegrityError if one of the versions is stored there."""
        before: dict[str, SubjectEnd] = {}
        for subject, new in versions.items():
            guess = None if uncached else self._cached_end(subject, min(new))
            if guess is not None:
                before[subject] = guess
        unclear = [subject for subject in versions if subject not in before]
        if unclear:
            found = await asyncio.gather(*(self._end_without(subject, versions[subject]) for subject in unclear))
            before.update(zip(unclear, found, strict=True))
        return before

    def _cached_end(self, subject: str, lowest: int) -> SubjectEnd | None:
        """Return the probable end of the subject; if it is wrong, the condition of the insert fails."""
        known = self.ends.get(subject)
        if known is None:
            return NO_MESSAGES if lowest <= FIRST_VERSION else None
        return known if known.top is None or lowest > known.top else None

    async def _end_without(self, subject: str, versions: set[int]) -> SubjectEnd:
        known = subject_end(await self._view.last(subject))
        if known.top is None or min(versions) > known.top:
            return known
        if known.top in versions:
            raise self._already_recorded(subject, {known.top})
        history = await self._view.history(subject)
        taken = versions.intersection(map(records.event_version, history))
        if taken:
            raise self._already_recorded(subject, taken)
        return subject_end(history[-1] if history else None)

    def _already_recorded(self, subject: str, versions: set[int]) -> IntegrityError:
        self.ends.drop(subject)
        numbers = ", ".join(map(str, sorted(versions)))
        return IntegrityError(f"already recorded: {_named(self._subjects.originator_id(subject), numbers)}")

    def _event_writes(
        self, events: Sequence[StoredEvent], before: Mapping[str, SubjectEnd], write_id: str
    ) -> list[Write]:
        writes: list[Write] = []
        tops: dict[str, int] = {}
        for event in events:
            subject = self._subjects.originator(event.originator_id)
            first = subject not in tops
            known = before[subject]
            previous = known.top if first else tops[subject]
            version = event.originator_version
            top = tops[subject] = version if previous is None else max(previous, version)
            message = records.event_message(subject, event, top=top, write_id=write_id)
            writes.append(Write(message, known.position if first else None, top))
        return writes

    async def _tracking_writes(self, tracking: Tracking | None, write_id: str, *, uncached: bool) -> list[Write]:
        """Return the tracking's write, first in the batch, so that the stream ends with an event if there is one."""
        if tracking is None:
            return []
        subject = self._subjects.tracking(tracking.application_name)
        known = None if uncached else self.ends.get(subject)
        if known is None or (known.top is not None and known.top >= tracking.notification_id):
            known = await self.tracked(tracking.application_name)
        if known.top is not None and known.top >= tracking.notification_id:
            raise IntegrityError(
                f"{tracking.application_name} was processed up to {known.top}: {tracking.notification_id} cannot follow"
            )
        number = tracking.notification_id
        return [Write(records.tracking_message(subject, number, write_id), known.position, number)]

    async def tracked(self, application: str) -> SubjectEnd:
        """Return how far an upstream application was processed, and the position of that record."""
        subject = self._subjects.tracking(application)
        last = await self._view.last(subject)
        known = NO_MESSAGES if last is None else SubjectEnd(last.position, records.tracking_id(last))
        self.ends.put(subject, known)
        return known

    async def _value_writes(self, changes: Mapping[str, Callable[[bytes | None], bytes]], write_id: str) -> list[Write]:
        writes = []
        for key, change in changes.items():
            subject = self._subjects.value(key)
            last = await self._view.last(subject)
            value = change(None if last is None else last.body)
            expected = 0 if last is None else last.position
            writes.append(Write(records.value_message(subject, value, write_id), expected, None))
        return writes

    def _remember(self, writes: Sequence[Write], first: int) -> None:
        for position, write in enumerate(writes, start=first):
            self.ends.put(write.message.subject, SubjectEnd(position, write.number))

    def _drop(self, writes: Sequence[Write]) -> None:
        for write in writes:
            self.ends.drop(write.message.subject)


def subject_end(last: StoredMessage | None) -> SubjectEnd:
    """Return the end of an originator's subject from its last message."""
    return NO_MESSAGES if last is None else SubjectEnd(last.position, records.top_version(last))


def _named(originator_id: object, versions: object) -> str:
    return f"{originator_id} version {versions}"
