"""The wire contract's documents that this library reads; what it does not know in them is left aside."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class ReplyError(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    code: str
    message: str
    details: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request: `result` if it is ok, else `error`."""

    ok: bool
    position: int = 0
    """Where in the log the answer is true."""
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ReplyError | None = None


class EarlierWork(msgspec.Struct, frozen=True):
    """The last checkpoint of a holder before the last one, if that left none."""

    token: int | None = None
    agent_id: str | None = None
    progress: int = 0
    note: str | None = None
    checkpoint: Any = None


class Handoff(msgspec.Struct, frozen=True):
    """What the attempts before leave behind for the next holder."""

    recovered_at: datetime
    from_agent: str | None = None
    progress: int = 0
    """Percent."""
    minutes_spent: float = 0.0
    reason: str = ""
    branch: str | None = None
    question: str | None = None
    answer: str | None = None
    last_note: str | None = None
    last_checkpoint: Any = None
    instructions: str = ""
    """All of this in words."""
    valid_until: datetime | None = None
    token: int | None = None
    reported_by: str | None = None
    earlier: EarlierWork | None = None


class OwnReport(msgspec.Struct, frozen=True):
    """What was reported under a lease that is read again."""

    percent: int = 0
    note: str | None = None
    checkpoint: Any = None


class Lease(msgspec.Struct, frozen=True):
    """A lease as it is granted: the task, its token, and for how long."""

    task_id: str
    token: int
    attempt: int
    expires_at: datetime
    """By the service's clock."""
    grace_s: float
    lease_s: float
    """The length of the term."""
    deadline: datetime | None = None
    title: str = ""
    payload: Any = None
    labels: list[str] = []
    handoff: Handoff | None = None
    priority: str = "medium"
    status: str = "assigned"
    required_capabilities: list[str] | None = None
    """None: the service is of a version that does not say."""
    failures: int = 0
    """Attempts that failed before."""
    traceparent: str | None = None
    """The trace of the submit, if the service keeps it."""
    reported: OwnReport | None = None
    """What was reported under this lease; None before the first report, or if the service does not say."""

    @property
    def key(self) -> tuple[str, int]:
        """Task and token: no two leases have the same."""
        return self.task_id, self.token

    @property
    def checkpoint(self) -> Any:
        """Where this lease's reports got to, else the holders before; None if none said."""
        if self.reported is not None and self.reported.checkpoint is not None:
            return self.reported.checkpoint
        if self.handoff is None:
            return None
        if self.handoff.last_checkpoint is not None or self.handoff.earlier is None:
            return self.handoff.last_checkpoint
        return self.handoff.earlier.checkpoint


class Leases(msgspec.Struct, frozen=True):
    """What a claim grants."""

    leases: list[Lease] = []


class HeldLease(msgspec.Struct, frozen=True):
    """A lease in the list of what an agent holds."""

    task_id: str
    token: int
    expires_at: datetime
    status: str = ""


class Directive(msgspec.Struct, frozen=True):
    """What an agent is asked to do with a task: `stop`, or `hand_over`."""

    task_id: str
    do: str
    reason: str = ""
    token: int | None = None


class Holdings(msgspec.Struct, frozen=True):
    """What an agent holds and is asked to do, as `register` and `heartbeat` answer."""

    leases: list[HeldLease] = []
    directives: list[Directive] = []


class Terms(msgspec.Struct, frozen=True):
    """Until when a lease runs now, and what its holder is asked to do."""

    expires_at: datetime
    grace_s: float
    directive: str = "continue"


class Fate(msgspec.Struct, frozen=True):
    """What has become of a task by a command."""

    task_id: str
    status: str
    attempt: int = 0


class Submitted(msgspec.Struct, frozen=True):
    """What a submit did: `was` is `new`, `known`, or `ended` for a known task that has ended."""

    task_id: str
    was: str = "new"


class Outcome(msgspec.Struct, frozen=True):
    """How the last attempt, or the task, ended."""

    event: str
    at: datetime
    by: str = ""
    token: int | None = None
    agent_id: str | None = None
    detail: str | None = None
    result: Any = None


class TaskState(msgspec.Struct, frozen=True):
    """A task as `query.task` shows it."""

    task_id: str
    status: str
    """Such as `queued`, `in_progress`, `completed`."""
    attempt: int = 0
    title: str = ""
    priority: str = "medium"
    labels: list[str] = []
    required_capabilities: list[str] = []
    deadline: datetime | None = None
    not_before: datetime | None = None
    submitted_at: datetime | None = None
    status_since: datetime | None = None
    agent_id: str | None = None
    """Its holder."""
    token: int | None = None
    percent: int | None = None
    stalled: bool | None = None
    payload: Any = None
    failures: int = 0
    expiries: int = 0
    steals: int = 0
    releases: int = 0
    attempts_used: int = 0
    retry_of: str | None = None
    retries: list[str] = []
    question: str | None = None
    answer: str | None = None
    handoff: Handoff | None = None
    outcome: Outcome | None = None
    version: int = 0
    position: int = 0

    @property
    def ended(self) -> bool:
        """Whether it has ended for good."""
        return self.status in ENDS


class NextStep(msgspec.Struct, frozen=True):
    """Something that happens next to a task; `at` is None if no time is set for it."""

    what: str
    at: datetime | None = None


class Candidate(msgspec.Struct, frozen=True):
    """An agent, whether it could claim a queued task, and why."""

    agent_id: str
    can: bool
    why: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """Where a task is, why, and what happens next, in sentences."""

    task_id: str
    status: str
    headline: str
    why: list[str] = []
    next: list[NextStep] = []
    budgets: list[str] = []
    candidates: list[Candidate] = []


ENDS = frozenset({"completed", "failed", "cancelled"})
"""Statuses in which a task has ended for good."""


class Event(msgspec.Struct, frozen=True, rename={"position_text": "id"}):
    """An event of the pool's log."""

    position_text: str
    type: str
    """Such as `custody.task.expired.v1`."""
    subject: str
    """Such as `task/report-1`."""
    time: datetime
    actor: str = ""
    data: dict[str, Any] = {}
    traceparent: str | None = None

    @property
    def position(self) -> int:
        """Where it is in the log; rises by one with each event."""
        return int(self.position_text)

    @property
    def entity(self) -> str:
        """What it is about: `task`, `agent`, `steal` or `pool`."""
        return self.subject.partition("/")[0]

    @property
    def name(self) -> str:
        """Its name, such as `expired`."""
        return self.type.split(".")[2]

    @property
    def task_id(self) -> str | None:
        """The task that it is about, if it is about one."""
        entity, _, name = self.subject.partition("/")
        return name if entity == "task" else None


def decoded(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Return a document; raises `msgspec.MsgspecError` if it is none of this kind."""
    return msgspec.json.decode(data, type=kind)


def subject_token(task_id: str) -> str:
    """Return a task's id as a token of a subject: what is not a letter, a digit, `_` or `-` is `%` and its code."""
    return "".join(each if each.isalnum() or each in "_-" else f"%{ord(each):02X}" for each in task_id)
