"""Inserting events of many originators, each version once, without holding up anybody else's.

Every originator has one subject. An insert is conditional on the position of the last message there, and that is
known to be without the inserted versions; so of two writers that decided on the same state the stream takes one.
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

_REMEMBERED = 10_000
_RETRY_PAUSE_S = 0.01
FIRST_VERSION = 1


class Known(NamedTuple):
    """What a subject ends with: the last message's position and the highest number, which is None when empty."""

    position: int
    top: int | None


NOTHING = Known(0, None)


class Memory:
    """What was last known of the subjects that were used lately; it may be out of date."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._size = size

    def get(self, subject: str) -> Known | None:
        """What was known of the subject."""
        return self._known.get(subject)

    def learn(self, subject: str, known: Known) -> None:
        """Remember it unless something newer is known."""
        before = self._known.get(subject)
        if before is not None and before.position > known.position:
            return
        self._known[subject] = known
        self._known.move_to_end(subject)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def forget(self, subject: str) -> None:
        """Look it up the next time."""
        self._known.pop(subject, None)


class Sequences:
    """The inserts into one stream."""

    def __init__(self, subjects: Subjects, view: StreamView, publisher: Publisher) -> None:
        self.memory = Memory()
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
        """Store the events, how far they go in an upstream application, and a view's values: all or nothing.

        Returns the positions of the events. `changes` maps the key of a value to what makes the new one of the old.

        Raises:
            IntegrityError: a version is stored already, or the upstream position is not beyond the recorded one.
            OperationalError: others got in the way until the deadline.
        """
        versions = self._versions(events)
        loop = asyncio.get_running_loop()
        fresh = False
        while True:
            write_id = self._write_ids.next().decode()
            before = await self._before(versions, fresh=fresh)
            writes = await self._tracking_writes(tracking, write_id, fresh=fresh)
            writes += await self._value_writes(changes, write_id)
            writes += self._event_writes(events, before, write_id)
            if not writes:
                return []
            try:
                first = await self._publisher.commit(writes, write_id, deadline)
            except AppendConflictError as error:
                self._forget(writes)
                if loop.time() >= deadline:
                    raise OperationalError(f"others kept writing the same: {error}") from error
                if fresh:
                    await asyncio.sleep(_RETRY_PAUSE_S)
                fresh = True
            except BaseException:
                self._forget(writes)
                raise
            else:
                self._learn(writes, first)
                return list(range(first + len(writes) - len(events), first + len(writes)))

    def _versions(self, events: Sequence[StoredEvent]) -> dict[str, set[int]]:
        versions: dict[str, set[int]] = {}
        for event in events:
            of_one = versions.setdefault(self._subjects.originator(event.originator_id), set())
            if event.originator_version in of_one:
                raise IntegrityError(f"twice in one insert: {_named(event.originator_id, event.originator_version)}")
            of_one.add(event.originator_version)
        return versions

    async def _before(self, versions: Mapping[str, set[int]], *, fresh: bool) -> dict[str, Known]:
        """What each subject ends with, after making sure that none of the versions is on it; or IntegrityError."""
        before: dict[str, Known] = {}
        for subject, new in versions.items():
            guess = None if fresh else self._guess(subject, min(new))
            if guess is not None:
                before[subject] = guess
        unclear = [subject for subject in versions if subject not in before]
        if unclear:
            found = await asyncio.gather(*(self._without(subject, versions[subject]) for subject in unclear))
            before.update(zip(unclear, found, strict=True))
        return before

    def _guess(self, subject: str, lowest: int) -> Known | None:
        """What the subject probably ends with; the condition of the insert fails if that was wrong."""
        known = self.memory.get(subject)
        if known is None:
            return NOTHING if lowest <= FIRST_VERSION else None
        return known if known.top is None or lowest > known.top else None

    async def _without(self, subject: str, versions: set[int]) -> Known:
        known = ends_with(await self._view.last(subject))
        if known.top is None or min(versions) > known.top:
            return known
        if known.top in versions:
            raise self._taken(subject, {known.top})
        history = await self._view.history(subject)
        taken = versions.intersection(map(records.event_version, history))
        if taken:
            raise self._taken(subject, taken)
        return ends_with(history[-1] if history else None)

    def _taken(self, subject: str, versions: set[int]) -> IntegrityError:
        self.memory.forget(subject)
        numbers = ", ".join(map(str, sorted(versions)))
        return IntegrityError(f"already recorded: {_named(self._subjects.originator_id(subject), numbers)}")

    def _event_writes(self, events: Sequence[StoredEvent], before: Mapping[str, Known], write_id: str) -> list[Write]:
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

    async def _tracking_writes(self, tracking: Tracking | None, write_id: str, *, fresh: bool) -> list[Write]:
        """First in the batch, so that the stream ends with an event wherever there is one."""
        if tracking is None:
            return []
        subject = self._subjects.tracking(tracking.application_name)
        known = None if fresh else self.memory.get(subject)
        if known is None or (known.top is not None and known.top >= tracking.notification_id):
            known = await self.tracked(tracking.application_name)
        if known.top is not None and known.top >= tracking.notification_id:
            raise IntegrityError(
                f"{tracking.application_name} was processed up to {known.top}: {tracking.notification_id} cannot follow"
            )
        number = tracking.notification_id
        return [Write(records.tracking_message(subject, number, write_id), known.position, number)]

    async def tracked(self, application: str) -> Known:
        """How far an upstream application was processed, and where it says so."""
        subject = self._subjects.tracking(application)
        last = await self._view.last(subject)
        known = NOTHING if last is None else Known(last.position, records.tracking_id(last))
        self.memory.learn(subject, known)
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

    def _learn(self, writes: Sequence[Write], first: int) -> None:
        for position, write in enumerate(writes, start=first):
            self.memory.learn(write.message.subject, Known(position, write.number))

    def _forget(self, writes: Sequence[Write]) -> None:
        for write in writes:
            self.memory.forget(write.message.subject)


def ends_with(last: StoredMessage | None) -> Known:
    """What an originator's subject ends with, by its last message."""
    return NOTHING if last is None else Known(last.position, records.top_version(last))


def _named(originator_id: object, versions: object) -> str:
    return f"{originator_id} version {versions}"
