"""Tasks as their outlines tell at a position of the log: without the reports, of which there may be thousands.

What a command's own events say of its task is not read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from domain.errors import FoldError
from domain.events import Entity
from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.task import Task
from domain.task.outline import OUTLINE_NAMES, TERM_NAMES, fold_outline, with_first_report
from handlers.memory.log_reads import KeptSize
from handlers.memory.lookup import fold_task
from handlers.memory.shared_results import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.recorded import Recorded
    from domain.task import Lease
    from handlers.memory.lookup import Lookup
    from handlers.ports import StoredMessage

_TERMS = (ev.Renewed, ev.Recovered, ev.Silenced)
"""Events by which a command's own task says its lease's terms; a silence leaves its length as it is."""


class _TaskAt(NamedTuple):
    """A task at a position: exactly, or as its outline tells."""

    task: Task | None
    exact: bool


class TaskOutlines:
    """Looks up outlines in one pool's log."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._reads = lookup.reads

    async def at(self, task_id: str, position: int, own: Sequence[Recorded] = ()) -> Task | None:
        """Return a task as its outline tells at a position: all but the lease's numbers and `expiries` is true.

        `own`: events of the task that are known already, the last ones up to the position. Raises LogUnavailableError.
        """
        return (await self._exact_or_outline(task_id, position, own)).task

    async def held_at(self, task_id: str, position: int, own: Sequence[Recorded] = ()) -> Task | None:
        """As `at`, and if the task is held, its lease's expiry, grace and length are true.

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

        last = await self._reads.shared.get(("terms", task_id, position), read)
        return _with_terms(found.task, lease, last)

    async def after(self, message: StoredMessage) -> Task | None:
        """Return a task as its outline tells right after this event of it, None if that cannot be read.

        Raises LogUnavailableError.
        """
        records = self._reads.decoded([message])
        return await self.at(records[0].entity_id, message.position, records) if records else None

    async def _exact_or_outline(self, task_id: str, position: int, own: Sequence[Recorded]) -> _TaskAt:
        async def read() -> Found[_TaskAt]:
            task, size = await self._from_few_events(task_id, own)
            if task is not None:
                return Found(_TaskAt(task, exact=True), size)
            task, size = await self._outline(task_id, position)
            if task is not None and task.status is TaskStatus.ASSIGNED:
                task = await self._with_first_report(task, position)
            if task is None or (own and task.version > own[-1].version):
                return Found(_TaskAt(await self._lookup.task_at(task_id, position), exact=True), 0)
            return Found(_TaskAt(task, exact=False), size)

        found: _TaskAt = await self._reads.shared.get(("task or outline", task_id, position), read)
        return found

    async def _with_first_report(self, task: Task, position: int) -> Task | None:
        """Return an assigned task with the first report on its lease, if any; None if every fold skips that."""
        report = await self._first_report(task.task_id, task.held_lease.token, position)
        try:
            return task if report is None else with_first_report(task, report)
        except FoldError:
            return None

    async def _first_report(self, task_id: str, token: int, position: int) -> Recorded | None:
        """Return the first report on a lease, None if there was none up to a position."""
        subject = f"{self._reads.subject(Entity.TASK, task_id)}.{ev.Progressed.name}"
        newest = await self._reads.last(subject)
        if newest is None or newest.position < token:
            return None
        return await self._reads.first(subject, token, position)

    async def _last_terms(self, task_id: str, token: int, position: int, own: Sequence[Recorded]) -> Sequence[Recorded]:
        """Return the last event of each kind that set the terms of a lease, from its grant to a position."""
        subject = self._reads.subject(Entity.TASK, task_id)
        # What is known to be there ends the read; else it ends with whatever comes next.
        names = dict.fromkeys((*TERM_NAMES, *(recorded.name for recorded in own[-1:])))
        last: dict[str, StoredMessage] = {}
        until = own[-1].position if own else position

        def take(messages: Sequence[StoredMessage]) -> None:
            # Only the newest of each kind counts: a thousand reports need not be decoded.
            last.update((message.subject, message) for message in messages)

        await self._reads.take_chunks([f"{subject}.{name}" for name in names], token - 1, until, take)
        return self._reads.decoded(sorted(last.values(), key=lambda message: message.position))

    async def _from_few_events(self, task_id: str, own: Sequence[Recorded]) -> tuple[Task | None, int]:
        """Return the task after its own events if only its submission and grant came before them; else None."""
        if not own:
            return None, 0
        records, size = list(own), 0
        if own[0].version == 3:  # noqa: PLR2004 - behind the submission and the grant
            grant = await self._lookup.grant(task_id, getattr(own[0].event, "token", None) or 0)
            if grant is not None:
                records.insert(0, grant)
        if records[0].version == 2:  # noqa: PLR2004 - behind the submission
            submitted = await self._reads.last(f"{self._reads.subject(Entity.TASK, task_id)}.{ev.Submitted.name}")
            if submitted is not None:
                records[:0] = self._reads.decoded([submitted])
                size = len(submitted.body)
        if [recorded.version for recorded in records] != list(range(1, len(records) + 1)):
            return None, 0
        task = fold_task(records)
        if task is None or task.version != len(records):
            return None, 0
        return task, size

    async def _outline(self, task_id: str, position: int) -> tuple[Task | None, int]:
        """Return a task as its outline tells, and the outline's size; None if it is none, or cannot be read."""
        subject = self._reads.subject(Entity.TASK, task_id)
        task: Task | None = None
        size, broken = KeptSize(), False

        def take(messages: Sequence[StoredMessage], records: list[Recorded]) -> None:
            nonlocal task, broken
            size.add(messages)
            broken = broken or len(records) < len(messages)
            try:
                task = task if broken else fold_outline(records, task)
            except FoldError:
                broken = True

        await self._reads.take_slices([f"{subject}.{name}" for name in OUTLINE_NAMES], 0, position, take)
        return (None, 0) if broken else (task, size.kept)


def _with_terms(task: Task, lease: Lease, records: Iterable[Recorded]) -> Task:
    """Return a held task with its lease's terms as these events, the last ones that set them, leave it."""
    changes = {
        name: getattr(recorded.event, name)
        for recorded in records
        for name in ("lease_s", "grace_s", "expires_at")
        if name in type(recorded.event).model_fields
    }
    return replace(task, lease=replace(lease, **changes))
