"""Look-ups in the log of what has left memory: finished tasks, deregistered agents, events of old outcomes.

A look-up costs what it reads, so the outline of a task is read without its reports, which may be thousands. Where a
whole history is needed it is decoded and folded a slice at a time, one slice in a turn of the event loop, so that
commands, the sweeper and the broker's pings go on meanwhile. What is looked up already serves all who ask for it, and
what was found is kept within bounds (`SharedResults`).
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, get_args

from msgspec.structs import replace

from domain.agent import evolve_agent
from domain.errors import FoldError
from domain.events import Entity, Event
from domain.events import agent as agent_ev
from domain.events import task as ev
from domain.lifecycles import INTAKE, IllegalTransitionError, IntakeStatus
from domain.subjects import subject_token
from domain.task import Task, evolve_task
from domain.task.outline import OUTLINE_NAMES, TERM_NAMES, fold_outline
from handlers.memory.shared_results import Found, SharedResults
from handlers.ports import UnreadableEventError, evt_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from domain.entities import EntityKey, EntityState
    from domain.recorded import Recorded
    from domain.task import Lease
    from handlers.ports import Codec, ReadableLog, StoredMessage
    from projections.state.pool_state import PoolState

_E = TypeVar("_E")

MAX_REQUESTS = 64
"""Single messages asked for at once: their answers come together, and all of them are taken in one turn of the loop."""
MAX_HISTORIES = 8
"""Histories read at once: each has a consumer at the broker, and up to a chunk of messages in memory."""
SLICE_EVENTS = 64
"""Events decoded and folded in one turn of the event loop: about a millisecond."""
SLICE_BYTES = 256 * 1024
"""Bytes of events decoded in one turn, but for an event that is larger by itself."""
_FIRST_EVENT = {Entity.TASK: ev.Submitted.name, Entity.AGENT: agent_ev.Registered.name}
_INTAKE_AFTER: dict[type[Event], IntakeStatus] = {
    **{kind: to for kind in get_args(agent_ev.IntakeEvent) if (to := INTAKE.leads_to(kind.name)) is not None},
    agent_ev.Deregistered: IntakeStatus.OPEN,
}
_TERMS = (ev.Renewed, ev.Recovered, ev.Silenced)
"""Events by which a command's own task says its lease's terms; a silence leaves its length as it is."""
_FEW_EVENTS = 8
"""So few events, as most commands leave, are decoded without giving up the turn."""
_KEPT_MESSAGES = 4
_NOT_KEPT = -1


class _Size:
    """How many bytes of the messages that were read an entity still holds, at most.

    Of all of them it keeps its definition, outcome, hand-off and last lease.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._largest = 0

    @property
    def kept(self) -> int:
        return min(self._bytes, _KEPT_MESSAGES * self._largest)

    def add(self, messages: Sequence[StoredMessage]) -> None:
        for message in messages:
            self._bytes += len(message.body)
            self._largest = max(self._largest, len(message.body))


class _Known(NamedTuple):
    """An entity as the log had it up to a position."""

    entity: EntityState | None
    through: int
    """Position of the newest message that was folded, or skipped as every fold skips it."""
    size: _Size


class _TaskAt(NamedTuple):
    """A task at a position: exactly, or as its outline tells."""

    task: Task | None
    exact: bool


class _Intake(NamedTuple):
    """An agent's intake between two positions."""

    intake: IntakeStatus
    since: int
    through: int


class Lookup:
    """Reads single entities from one pool's log."""

    def __init__(
        self, pool_id: str, log: ReadableLog, codec: Codec, state: Callable[[], PoolState] | None = None
    ) -> None:
        """`state`: the state in memory. When it is replaced, so was the log, and nothing that was found holds."""
        self._prefix = evt_prefix(pool_id)
        self._log = log
        self._codec = codec
        self._state = state
        self._shared_for: PoolState | None = None
        self._shared_results: SharedResults[Any] = SharedResults()
        self._requests = asyncio.Semaphore(MAX_REQUESTS)
        self._histories = asyncio.Semaphore(MAX_HISTORIES)
        self._slice = asyncio.Lock()

    async def entity(self, key: EntityKey) -> EntityState | None:
        """Return a task or an agent as the log has it, None if the log never had it. Raises LogUnavailableError.

        True of a moment after the call.
        """
        entity, entity_id = key
        shared = self._shared
        known: _Known | None = shared.kept(key)
        subject = self._subject(entity, entity_id)
        if known is None and await self._last(f"{subject}.{_FIRST_EVENT[entity]}") is None:
            return None
        newest = await self._last(f"{subject}.>")
        if newest is None:
            return None
        end = newest.position
        while known is None or known.through < end:
            known = await shared.share(key, lambda: self._fold_until(key, shared.kept(key), end))
        return known.entity

    async def was_there(self, key: EntityKey) -> bool:
        """Return whether the log has an event of an entity. Raises LogUnavailableError."""
        return await self._last(f"{self._subject(*key)}.>") is not None

    async def records(self, key: EntityKey) -> list[Recorded]:
        """Return every readable event of an entity, in order. Raises LogUnavailableError."""
        subject = f"{self._subject(*key)}.>"
        newest = await self._last(subject)
        records: list[Recorded] = []
        if newest is not None:
            await self._read([subject], 0, newest.position, lambda _, decoded: records.extend(decoded))
        return records

    async def at(self, positions: Sequence[int]) -> list[Recorded]:
        """Return the events at these positions. Raises LogUnavailableError."""

        async def read() -> Found[list[Recorded]]:
            found = [await self._get(position) for position in positions]
            records: list[Recorded] = []
            await self._take_slices(
                [message for message in found if message is not None], lambda _, decoded: records.extend(decoded)
            )
            return Found(records, _NOT_KEPT)

        records: list[Recorded] = await self._shared.share(("at", *positions), read)
        return records

    async def task_at(self, task_id: str, position: int) -> Task | None:
        """Return a task exactly as it was at a position, None if it was not there yet. Raises LogUnavailableError."""

        async def read() -> Found[Task | None]:
            found = await self._fold_until((Entity.TASK, task_id), None, position)
            return Found(cast("Task | None", found.value.entity), found.size)

        task: Task | None = await self._shared.get(("task", task_id, position), read)
        return task

    async def outline_at(self, task_id: str, position: int, own: Sequence[Recorded] = ()) -> Task | None:
        """Return a task as its outline tells at a position: all but the lease's numbers and `expiries` is true.

        `own`: events of the task that are known already, the last ones up to the position. Raises LogUnavailableError.
        """
        return (await self._exact_or_outline(task_id, position, own)).task

    async def held_at(self, task_id: str, position: int, own: Sequence[Recorded] = ()) -> Task | None:
        """As `outline_at`, and if the task is held, its lease's expiry, grace and length are true.

        Its length is not where the last of `own` announces a silence. Raises LogUnavailableError.
        """
        found = await self._exact_or_outline(task_id, position, own)
        lease = found.task.lease if found.task is not None else None
        if found.task is None or lease is None or found.exact:
            return found.task
        if own and (own[-1].position == lease.token or any(isinstance(recorded.event, _TERMS) for recorded in own)):
            return _with_terms(found.task, lease, own)

        async def read() -> Found[Sequence[Recorded]]:
            return Found(await self._last_terms(task_id, lease.token, position, own), 0)

        last = await self._shared.get(("terms", task_id, position), read)
        return _with_terms(found.task, lease, last)

    async def task_after(self, message: StoredMessage) -> Task | None:
        """Return a task as its outline tells right after this event of it, None if that cannot be read.

        Raises LogUnavailableError.
        """
        records = self._decoded([message])
        return await self.outline_at(records[0].entity_id, message.position, records) if records else None

    async def grant(self, task_id: str, token: int) -> Recorded | None:
        """Return the event that granted a task under a token, None if there is none. Raises LogUnavailableError."""
        for recorded in await self.at((token,)):
            if recorded.entity_id == task_id and isinstance(recorded.event, ev.Grant):
                return recorded
        return None

    async def intake_at(self, agent_id: str, position: int) -> IntakeStatus:
        """Return an agent's intake as it was at a position that is in the log. Raises LogUnavailableError."""
        shared, key = self._shared, ("intake", agent_id)
        known: _Intake | None = shared.kept(key)
        if known is None or not known.since <= position <= known.through:
            through = max(position, self._state().committed_position if self._state is not None else 0)
            known = await shared.share((*key, position), lambda: self._intake(agent_id, position, through))
            latest: _Intake | None = shared.kept(key)
            if latest is None or known.through > latest.through:
                shared.keep(key, Found(known, 0))
        return known.intake

    @property
    def _shared(self) -> SharedResults[Any]:
        state = self._state() if self._state is not None else None
        if state is not self._shared_for:
            self._shared_for, self._shared_results = state, SharedResults()
        return self._shared_results

    def _subject(self, entity: Entity, entity_id: str) -> str:
        return f"{self._prefix}{entity.value}.{subject_token(entity_id)}"

    async def _get(self, position: int) -> StoredMessage | None:
        async with self._requests:
            return await self._log.get(position)

    async def _last(self, subject: str) -> StoredMessage | None:
        async with self._requests:
            return await self._log.last_by_subject(subject)

    async def _fold_until(self, key: EntityKey, known: _Known | None, position: int) -> Found[_Known]:
        """Fold an entity's history up to a position, from what is known of it."""
        evolve: Callable[[Any, Recorded], Any] = evolve_agent if key[0] is Entity.AGENT else evolve_task
        entity: Any
        entity, after, size = known if known is not None else (None, 0, _Size())

        def fold(messages: Sequence[StoredMessage], records: list[Recorded]) -> None:
            nonlocal entity
            size.add(messages)
            entity = _fold(records, evolve, entity)

        await self._read([f"{self._subject(*key)}.>"], after, position, fold)
        return Found(_Known(entity, position, size), size.kept)

    async def _exact_or_outline(self, task_id: str, position: int, own: Sequence[Recorded]) -> _TaskAt:
        async def read() -> Found[_TaskAt]:
            task, size = await self._from_few_events(task_id, own)
            if task is not None:
                return Found(_TaskAt(task, exact=True), size)
            task, size = await self._outline(task_id, position)
            if task is None or (own and task.version > own[-1].version):
                return Found(_TaskAt(await self.task_at(task_id, position), exact=True), 0)
            return Found(_TaskAt(task, exact=False), size)

        found: _TaskAt = await self._shared.get(("task or outline", task_id, position), read)
        return found

    async def _last_terms(self, task_id: str, token: int, position: int, own: Sequence[Recorded]) -> Sequence[Recorded]:
        """Return the last event of each kind that set the terms of a lease, from its grant to a position."""
        subject = self._subject(Entity.TASK, task_id)
        # What is known to be there ends the read; else it ends with whatever comes next.
        names = dict.fromkeys((*TERM_NAMES, *(recorded.name for recorded in own[-1:])))
        last: dict[str, StoredMessage] = {}
        until = own[-1].position if own else position
        matching = self._log.matching([f"{subject}.{name}" for name in names], after=token - 1, until=until)
        async with self._histories, aclosing(matching) as chunks:
            async for chunk in chunks:
                # Only the newest of each kind counts: a thousand reports need not be decoded.
                last |= {message.subject: message for message in chunk}
        return self._decoded(sorted(last.values(), key=lambda message: message.position))

    async def _from_few_events(self, task_id: str, own: Sequence[Recorded]) -> tuple[Task | None, int]:
        """Return the task after its own events if only its submission and grant came before them; else None."""
        if not own:
            return None, 0
        records, size = list(own), 0
        if own[0].version == 3:  # noqa: PLR2004 - behind the submission and the grant
            grant = await self.grant(task_id, getattr(own[0].event, "token", None) or 0)
            if grant is not None:
                records.insert(0, grant)
        if records[0].version == 2:  # noqa: PLR2004 - behind the submission
            submitted = await self._last(f"{self._subject(Entity.TASK, task_id)}.{ev.Submitted.name}")
            if submitted is not None:
                records[:0] = self._decoded([submitted])
                size = len(submitted.body)
        if [recorded.version for recorded in records] != list(range(1, len(records) + 1)):
            return None, 0
        task = fold_task(records)
        if task is None or task.version != len(records):
            return None, 0
        return task, size

    async def _outline(self, task_id: str, position: int) -> tuple[Task | None, int]:
        """Return a task as its outline tells, and the outline's size; None if it is none, or cannot be read."""
        subject = self._subject(Entity.TASK, task_id)
        task: Task | None = None
        size, broken = _Size(), False

        def take(messages: Sequence[StoredMessage], records: list[Recorded]) -> None:
            nonlocal task, broken
            size.add(messages)
            broken = broken or len(records) < len(messages)
            try:
                task = task if broken else fold_outline(records, task)
            except FoldError:
                broken = True

        await self._read([f"{subject}.{name}" for name in OUTLINE_NAMES], 0, position, take)
        return (None, 0) if broken else (task, size.kept)

    async def _intake(self, agent_id: str, position: int, through: int) -> Found[_Intake]:
        subject = self._subject(Entity.AGENT, agent_id)
        subjects = [f"{subject}.{kind.name}" for kind in _INTAKE_AFTER]
        found = [await self._last(each) for each in subjects]
        last = max((each for each in found if each is not None), key=lambda each: each.position, default=None)
        messages = [last] if last is not None else []
        if last is not None and last.position > position:
            messages, through = [], position
            async with self._histories, aclosing(self._log.matching(subjects, after=0, until=position)) as chunks:
                async for chunk in chunks:
                    messages = list(chunk[-1:])
        decoded = self._decoded(messages)
        if not decoded:
            return Found(_Intake(IntakeStatus.OPEN, 0, through), _NOT_KEPT)
        latest = decoded[0]
        return Found(_Intake(_INTAKE_AFTER[type(latest.event)], latest.position, through), _NOT_KEPT)

    async def _read(
        self,
        subjects: Sequence[str],
        after: int,
        until: int,
        take: Callable[[Sequence[StoredMessage], list[Recorded]], None],
    ) -> None:
        """Have every message of these subjects taken, with its events, a slice in a turn of the event loop."""
        async with self._histories, aclosing(self._log.matching(subjects, after=after, until=until)) as chunks:
            async for chunk in chunks:
                await self._take_slices(chunk, take)

    async def _take_slices(
        self,
        messages: Sequence[StoredMessage],
        take: Callable[[Sequence[StoredMessage], list[Recorded]], None],
    ) -> None:
        """Have messages taken with their events, in slices, each in a turn of its own."""
        for some in _slices(messages):
            async with self._slice:
                take(some, self._decoded(some))
                if len(messages) > _FEW_EVENTS:
                    await asyncio.sleep(0)

    def _decoded(self, messages: Sequence[StoredMessage]) -> list[Recorded]:
        records = []
        for message in messages:
            try:
                records.append(self._codec.decode(message))
            except UnreadableEventError:
                continue
        return records


def _slices(messages: Sequence[StoredMessage]) -> Iterator[Sequence[StoredMessage]]:
    """Yield the messages in slices of at most `SLICE_EVENTS`, and `SLICE_BYTES` unless a single one is larger."""
    start = size = 0
    for index, message in enumerate(messages):
        size += len(message.body)
        if index - start >= SLICE_EVENTS or (size > SLICE_BYTES and index > start):
            yield messages[start:index]
            start, size = index, len(message.body)
    if start < len(messages):
        yield messages[start:]


def _with_terms(task: Task, lease: Lease, records: Iterable[Recorded]) -> Task:
    """Return a held task with its lease's terms as these events, the last ones that set them, leave it."""
    changes = {
        name: getattr(recorded.event, name)
        for recorded in records
        for name in ("lease_s", "grace_s", "expires_at")
        if name in type(recorded.event).model_fields
    }
    return replace(task, lease=replace(lease, **changes))


def fold_task(records: Iterable[Recorded]) -> Task | None:
    """Return a task as its events leave it."""
    return _fold(records, evolve_task, None)


def _fold(records: Iterable[Recorded], evolve: Callable[[_E | None, Recorded], _E], entity: _E | None) -> _E | None:
    for recorded in records:
        with contextlib.suppress(FoldError, IllegalTransitionError):  # every fold skips such an event
            entity = evolve(entity, recorded)
    return entity
