"""The steps of recorded behaviour: what agents, operators and probes did. They are the same for every policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from domain.commands.agent_commands import OnTask
    from domain.pool import Pool
    from domain.task import Task


class OverdueLeases(Protocol):
    """The leases that were already due in the record, and not judged yet, when a step happened."""

    def __contains__(self, attempt: object) -> bool:
        """Return whether a lease is one of them."""
        ...


class Attempt:
    """One recorded lease, with what the record has shown of it so far."""

    __slots__ = ("agent_id", "expired", "granted_at", "last_heard_at", "saved_at", "task_id", "token")

    def __init__(self, token: int, task_id: str, agent_id: str, granted_at: datetime) -> None:
        self.token = token
        self.task_id = task_id
        self.agent_id = agent_id
        self.granted_at = granted_at
        self.last_heard_at = granted_at
        """The holder's last sign of life for this lease."""
        self.saved_at = granted_at
        """When the work was last saved: at the last checkpoint, else at the grant."""
        self.expired = False
        """Whether the record took it from a silent holder: it expired, or was revoked while its task was stuck."""


class LeaseGranted(NamedTuple):
    """An agent was granted a task."""

    time: datetime
    attempt: Attempt
    task: Task
    """The recorded task, just granted."""
    recording_gap_s: float
    """Signs of life closer together than this may be missing from the log: they did not move the expiry far enough."""


class AgentHeard(NamedTuple):
    """An agent sent a command that is about no held task: a sign of life for everything that it holds."""

    time: datetime
    agent_id: str
    attempts: tuple[Attempt, ...]
    overdue: OverdueLeases


class HolderCommand(NamedTuple):
    """An agent sent a command on a task, under a lease that it holds or has lost."""

    time: datetime
    attempt: Attempt
    command: OnTask
    also: tuple[Attempt, ...]
    """Its other leases, for which the command was a sign of life."""
    overdue: OverdueLeases
    late: bool
    """Whether the agent had lost the lease."""
    accepted: bool
    """Whether it was a late completion that was accepted."""


class LeaseExpired(NamedTuple):
    """In the record, the lease of a silent holder expired."""

    time: datetime
    attempt: Attempt


class LeaseEnded(NamedTuple):
    """An operator, a steal or a deadline ended a lease."""

    time: datetime
    attempt: Attempt
    of_stuck: bool
    """Whether an operator revoked the lease of a stuck task."""
    overdue: OverdueLeases


class ProbeEvidence(NamedTuple):
    """A probe found evidence for extending a lease that was due."""

    time: datetime
    attempt: Attempt
    probe: str
    evidence: tuple[str, ...]


class PoolChanged(NamedTuple):
    """The pool could not hear its agents from `since` to `time`; or judging was suspended or resumed at `time`."""

    time: datetime
    since: datetime
    pool: Pool
    """The recorded pool from then on."""
    reason: str
    blind_s: float
    """0: judging was suspended or resumed."""
    unjudged_since: datetime | None
    """When the first of what was due before it, and not judged yet, had fallen due; later or None: nothing was due."""


class ExpiriesReset(NamedTuple):
    """A task's count of expiries in a row starts again: an operator requeued it, or it ended."""

    time: datetime
    task_id: str


Step = (
    LeaseGranted | AgentHeard | HolderCommand | LeaseExpired | LeaseEnded | ProbeEvidence | PoolChanged | ExpiriesReset
)
