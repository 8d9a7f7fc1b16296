"""The steps of recorded behaviour: what somebody outside the rules did, the same for every policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from domain.commands import OnTask
    from domain.pool import Pool
    from domain.task import Task


class OverdueLeases(Protocol):
    """Tells what the pool was overdue with when a step came."""

    def __contains__(self, attempt: object) -> bool:
        """Whether a lease was due in the record, too, and nobody had judged it yet."""
        ...


class Attempt:
    """One recorded lease: who held what, and what is known of it so far."""

    __slots__ = ("agent_id", "expired", "granted_at", "last_heard_at", "saved_at", "task_id", "token")

    def __init__(self, token: int, task_id: str, agent_id: str, granted_at: datetime) -> None:
        self.token = token
        self.task_id = task_id
        self.agent_id = agent_id
        self.granted_at = granted_at
        self.last_heard_at = granted_at
        """When the holder was last heard in a way that counts for this lease."""
        self.saved_at = granted_at
        """When its work was last safe: at the last checkpoint, else at the grant."""
        self.expired = False
        """Whether the record took it from its holder for silence."""


class LeaseGranted(NamedTuple):
    """An agent was granted a task."""

    time: datetime
    attempt: Attempt
    task: Task
    """The recorded task, just granted."""
    recording_gap_s: float
    """Signs of life that are closer than this were not all recorded, for they were not worth a renewal."""


class AgentHeard(NamedTuple):
    """An agent was heard on some business: a sign of life for all that it holds."""

    time: datetime
    agent_id: str
    attempts: tuple[Attempt, ...]
    overdue: OverdueLeases


class HolderCommand(NamedTuple):
    """A holder, or one that had lost the lease, spoke of a task."""

    time: datetime
    attempt: Attempt
    command: OnTask
    also: tuple[Attempt, ...]
    """What else this was a sign of life for."""
    overdue: OverdueLeases
    late: bool
    """Whether the lease was no longer the speaker's."""
    accepted: bool
    """Whether it completed the task all the same."""


class LeaseExpired(NamedTuple):
    """The record took a lease from a silent holder."""

    time: datetime
    attempt: Attempt


class LeaseEnded(NamedTuple):
    """Somebody else ended a lease: an operator, a steal, a deadline."""

    time: datetime
    attempt: Attempt
    of_stuck: bool
    """An operator freed a task that was stuck."""
    overdue: OverdueLeases


class ProbeEvidence(NamedTuple):
    """A probe found evidence for a lease that was due."""

    time: datetime
    attempt: Attempt
    probe: str
    evidence: tuple[str, ...]


class PoolChanged(NamedTuple):
    """The pool could not hear its agents from `since` to `time`, or judging was suspended or taken up again then."""

    time: datetime
    since: datetime
    pool: Pool
    """As the record has it from then on."""
    reason: str
    blind_s: float
    """0: this is about judging."""


class ExpiriesReset(NamedTuple):
    """An operator gave a task a fresh start, or the task ended: its expiries in a row do not count on."""

    time: datetime
    task_id: str


Step = (
    LeaseGranted | AgentHeard | HolderCommand | LeaseExpired | LeaseEnded | ProbeEvidence | PoolChanged | ExpiriesReset
)
