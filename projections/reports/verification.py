"""Verifying a log: every rule that a pool's log obeys, checked event by event.

The checker shares `evolve` with every other fold. It checks hashes, holders and tokens independently of it, so that a
mistake in the fold does not hide itself.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from domain.agent import Agent, evolve_agent
from domain.errors import FoldError
from domain.events import Entity
from domain.hash_chain import GENESIS_HASH, HASH_HEADER, chain_hash
from domain.lifecycles import RANK, IllegalTransitionError, TaskStatus
from domain.policies.lease import LeasePolicy
from domain.pool import Pool, evolve_pool
from domain.steal import Steal, evolve_steal
from domain.task import Definition, Task, evolve_task
from domain.timestamps import EPOCH, format_timestamp
from projections.queries.documents import tail_loss_document
from projections.reports.holder_check import HolderCheck

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.pool import TailLoss
    from domain.recorded import Recorded

MAX_FINDINGS = 1_000
"""Findings that are kept; further ones are only counted."""


class Rule(StrEnum):
    """The rules of a log."""

    # Positions follow each other without a gap, from 1 or from where the hash chain begins.
    POSITION = "position"
    # The hash covers the previous hash, the position, the subject and the body.
    HASH = "hash"
    # The message is an event that this version reads.
    READABLE = "readable"
    # The event is its entity's next one, and its lifecycle allows it.
    FOLD = "fold"
    # Time never goes backwards.
    TIME = "time"
    # (attempt, rank) of a task never falls.
    FORWARD = "forward"
    # A grant's token is its own position, and rises.
    TOKEN = "token"  # noqa: S105 - a lease's token, no secret
    # A task has at most one holder.
    HOLDER = "holder"


class Finding(NamedTuple):
    """Something wrong at a position."""

    position: int
    rule: Rule
    message: str

    def __str__(self) -> str:
        return f"position {self.position}: {self.rule}: {self.message}"


class Message(Protocol):
    """A message as the log holds it."""

    @property
    def position(self) -> int:
        """The stream sequence."""
        ...

    @property
    def subject(self) -> str:
        """The full subject."""
        ...

    @property
    def body(self) -> bytes:
        """The bytes as stored."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The writer's headers."""
        ...


class _EndedTask(NamedTuple):
    """What later events on an ended task are checked against. Many tasks share the same values."""

    version: int
    status: TaskStatus
    attempt: int
    late_token: int | None


_NO_DEFINITION = Definition(request_digest="", lease=LeasePolicy())
"""Stands for the definition of an ended task, which no fold reads."""


class LogChecker:
    """Takes a pool's whole log in order. `findings` holds what is wrong, in the order of the log."""

    def __init__(self, pool_id: str) -> None:
        self.findings: list[Finding] = []
        self.findings_total = 0
        self.first: int | None = None
        """The position of the log's first message."""
        self.position = 0
        self._has_position_findings = False
        self._hash = GENESIS_HASH
        self._time: datetime | None = None
        self._events: Counter[str] = Counter()
        self._unreadable = 0
        self._holder_check = HolderCheck()
        self._pool = Pool(pool_id)
        self._tasks: dict[str, Task] = {}
        """Tasks that have not ended."""
        self._ended: dict[str, _EndedTask] = {}
        self._interned: dict[_EndedTask, _EndedTask] = {}
        """One instance for each distinct value, to save memory."""
        self._agents: dict[str, Agent] = {}
        self._steals: dict[str, Steal] = {}

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong so far."""
        return self.findings_total == 0

    @property
    def tail_losses(self) -> tuple[TailLoss, ...]:
        """The losses of the log's tail that are on record."""
        return self._pool.tail_losses

    @property
    def has_gaps(self) -> bool:
        """Whether positions are missing or out of order."""
        return self._has_position_findings

    def check(
        self, stored: Message, recorded: Recorded | None, *, reason: str = "no event that this version reads"
    ) -> None:
        """Check the next message; `recorded` is its event, None if it could not be read, for `reason`."""
        self._check_chain(stored)
        if recorded is None:
            self._unreadable += 1
            self._add_finding(Rule.READABLE, f"{stored.subject}: {reason}")
            return
        self._events[f"{recorded.entity.value}.{recorded.name}"] += 1
        if self._time is not None and recorded.time < self._time:
            earlier, later = format_timestamp(recorded.time), format_timestamp(self._time)
            self._add_finding(
                Rule.TIME, f"{recorded.originator_id} {recorded.name} at {earlier}, after an event at {later}"
            )
        self._time = max(self._time or recorded.time, recorded.time)
        try:
            self._fold(recorded)
        except (FoldError, IllegalTransitionError) as error:
            self._add_finding(Rule.FOLD, f"{recorded.originator_id} {recorded.name}: {error}")
            return
        for problem in self._holder_check.check(recorded):
            self._add_finding(Rule.TOKEN if "token" in problem else Rule.HOLDER, f"{recorded.originator_id}: {problem}")

    def summary(self) -> dict[str, Any]:
        """Return the counts: what was checked, what was found."""
        return {
            "ok": self.ok,
            "events": sum(self._events.values()),
            "first": self.first,
            "position": self.position,
            "hash": self._hash,
            "last_time": None if self._time is None else format_timestamp(self._time),
            "unreadable_events": self._unreadable,
            "tail_losses": [tail_loss_document(each) for each in self.tail_losses],
            "findings": self.findings_total,
            "first_wrong_position": self.findings[0].position if self.findings else None,
            "tasks": len(self._tasks) + len(self._ended),
            "agents": len(self._agents),
            "steals": len(self._steals),
            "held": self._holder_check.count,
            "grants": self._holder_check.grants,
            "by_event": dict(sorted(self._events.items())),
        }

    def end(self, position: int) -> None:
        """Check that the log reaches the position at which it must end."""
        if self.position < position:
            self._missing(self.position + 1, position)

    def _check_chain(self, stored: Message) -> None:
        expected, self.position = self.position + 1, stored.position
        found = stored.headers.get(HASH_HEADER)
        computed = chain_hash(self._hash, stored.position, stored.subject, stored.body)
        # A first message that is chained to nothing may have any position: a stream can be made to begin there.
        begins = self.first is None and found == computed
        self.first = self.first or stored.position
        if stored.position > expected and not begins:
            self._missing(expected, stored.position - 1)
        elif stored.position < expected:
            self._add_finding(
                Rule.POSITION, f"position {expected} was expected: this message is out of order, or a duplicate"
            )
        elif found is None:
            self._add_finding(Rule.HASH, f"{stored.subject} carries no {HASH_HEADER}")
        elif found != computed and stored.position == expected:
            self._add_finding(
                Rule.HASH, f"{stored.subject}: {HASH_HEADER} is {found}, and its content gives {computed}"
            )
        # After a fault, the chain is checked on from the hash that is stored here.
        self._hash = found or GENESIS_HASH

    def _missing(self, first: int, last: int) -> None:
        which = f"positions {first} to {last} are" if last > first else f"position {first} is"
        self._add_finding(Rule.POSITION, f"{which} missing", at=first)

    def _fold(self, recorded: Recorded) -> None:
        entity_id = recorded.entity_id
        match recorded.entity:
            case Entity.TASK:
                self._fold_task(recorded)
            case Entity.AGENT:
                self._agents[entity_id] = evolve_agent(self._agents.get(entity_id), recorded)
            case Entity.STEAL:
                self._steals[entity_id] = evolve_steal(self._steals.get(entity_id), recorded)
            case Entity.POOL:
                self._pool = evolve_pool(self._pool, recorded)

    def _fold_task(self, recorded: Recorded) -> None:
        task_id = recorded.entity_id
        before, ended = self._tasks.get(task_id), self._ended.get(task_id)
        if ended is not None:
            before = _revived(task_id, ended)
        task = evolve_task(before, recorded)
        if before is not None and (task.attempt, RANK[task.status]) < (before.attempt, RANK[before.status]):
            was, now = f"{before.status} in attempt {before.attempt}", f"{task.status} in attempt {task.attempt}"
            self._add_finding(Rule.FORWARD, f"{recorded.originator_id} fell from {was} to {now}")
        if task.terminal:
            ended = _EndedTask(task.version, task.status, task.attempt, task.late_token)
            self._ended[task_id] = self._interned.setdefault(ended, ended) if ended.late_token is None else ended
            self._tasks.pop(task_id, None)
        else:
            self._tasks[task_id] = task

    def _add_finding(self, rule: Rule, message: str, *, at: int | None = None) -> None:
        self.findings_total += 1
        self._has_position_findings = self._has_position_findings or rule is Rule.POSITION
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(self.position if at is None else at, rule, message))


def _revived(task_id: str, ended: _EndedTask) -> Task:
    return Task(task_id, ended.version, 0, _NO_DEFINITION, EPOCH, ended.status, ended.attempt, 0, EPOCH,
                late_token=ended.late_token)  # fmt: skip
