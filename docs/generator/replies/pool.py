"""Results about the whole pool: `query.statistics` and `query.health`."""

from __future__ import annotations

from docs.generator.replies.result import Count, Moment, Position, Result, Seconds
from domain.decisions.judging import Finding
from domain.json_values import Name
from domain.policies.load_balancing import LoadStatus
from domain.statuses import IntakeStatus, TaskStatus


class LeaseCounts(Result):
    """The leases that are held, counted."""

    held: Count
    """All of them."""
    active: Count
    """Those with time left."""
    expiring_soon: Count
    """Those that run out soon."""
    in_grace: Count
    """Those past expiry and not yet judged."""
    stopped: Count
    """Those stuck on a stopped clock."""
    renewals_mean: float
    """Reports and renewals of one, on average."""
    renewals_high: Count
    """Reports and renewals of the one that has most."""
    escalated: Count
    """Those that have had `max_renewals` reports."""
    stalled: Count
    """Those whose holder is heard and does not advance."""


class Totals(Result):
    """Counts of events since the log began."""

    submitted: Count
    """Tasks submitted."""
    granted: Count
    """Leases granted by a claim or an assignment."""
    completed: Count
    """Tasks completed."""
    late_completions: Count
    """Completions after the lease had expired."""
    failed: Count
    """Tasks failed."""
    cancelled: Count
    """Tasks cancelled."""
    expired: Count
    """Leases that expired."""
    stuck: Count
    """Times that a task was stuck."""
    stalled: Count
    """Times that a task was stalled."""
    recovered: Count
    """Times that the holder of a stuck task was heard again."""
    requeued: Count
    """Times that a task came back to the queue."""
    quarantined: Count
    """Times that a task was quarantined."""
    released: Count
    """Leases that their holder gave back."""
    revoked: Count
    """Leases that were taken from their holder."""
    stolen: Count
    """Leases that were moved to another agent."""
    reports: Count
    """`progressed` events."""
    renewals: Count
    """`renewed` events: recorded renewals other than reports."""
    extensions: Count
    """Extensions on a probe's evidence."""
    escalations: Count
    """Leases that had `max_renewals` reports."""
    late_reports: Count
    """Reports under leases that were lost."""
    average_duration_s: Seconds | None
    """Seconds from the grant to the completion, on average of the last ones; null: none was completed."""


class FailureTotals(Result):
    """Failed tasks since the log began, by cause."""

    deadline: Count
    """The deadline passed."""
    budget: Count
    """The last failure that the budget allows."""
    gave_up: Count
    """A failure that is not retryable."""


class StealTotals(Result):
    """Steal operations since the log began."""

    planned: Count
    """Those that were planned."""
    completed: Count
    """Those that moved tasks."""
    failed: Count
    """Those of which no task could move any more."""
    tasks_moved: Count
    """How many tasks moved."""


class Statistics(Result):
    """Counts of live entities, and totals since the log began."""

    tasks: dict[TaskStatus, Count]
    """Live tasks by status, and how many ever ended, by how."""
    delayed: Count
    """How many of the queued tasks wait for their time."""
    leases: LeaseCounts
    """Those held, by phase, and their renewals."""
    agents: Count
    """How many agents there are."""
    loads: dict[LoadStatus, Count]
    """Agents that are not lost, by load status."""
    totals: Totals
    """Counts since the log began."""
    average_duration_by_agent_s: dict[Name, Seconds]
    """Seconds from the grant to the completion, on average of each agent's last ones."""
    failures: FailureTotals
    """Failed tasks since the log began, by cause."""
    steals: StealTotals
    """Steal operations since the log began."""
    sweeper: dict[Finding, Count]
    """The sweeper's findings since this service's start."""


class UnreadableEvent(Result):
    """A message of the log that every reader skips."""

    position: Position
    """Where it is."""
    reason: str
    """Why it cannot be read."""


class TailLoss(Result):
    """A loss of the log's last events that an operator accepted."""

    at: Moment
    """When it was accepted."""
    survived_to: Position | None
    """The last position before the loss, 0 if all was lost; null: unknown, others took the place of the lost ones."""
    acknowledged_to: Position
    """The last position that is known to have been acknowledged before it."""
    filled_to: Position
    """Up to here `tail_lost` events fill the log."""


class Guarantees(Result):
    """What the log's stream and its broker guarantee."""

    replicas: Count
    """Copies that the broker keeps."""
    storage: str
    """`file` or `memory`."""
    compression: str
    """The stream's compression."""
    sync_interval: str | None
    """How often the broker flushes to disk; null: unknown."""
    broker_version: str
    """The broker's version."""
    durability: str
    """What an acknowledged event survives, in words."""


class Health(Result):
    """Whether the pool is served, and how."""

    leader: str
    """The service that answers: host, process and start."""
    leading: bool
    """Whether the log names it as the pool's service."""
    position: Position
    """The last position that the broker has confirmed."""
    lag: Count
    """Events of the log that it does not know yet."""
    live_tasks: Count
    """Tasks that have not ended."""
    agents: Count
    """Agents of the pool."""
    queued: Count
    """Queued tasks."""
    waiting_claims: Count
    """Claims that wait for work."""
    queued_commands: Count
    """Commands that wait for their turn."""
    intake: IntakeStatus
    """Whether the pool takes new grants."""
    not_before: Moment | None
    """Nothing is judged silent before this; null: no such time."""
    unreadable_events: Count
    """Messages of the log that cannot be read."""
    unreadable: list[UnreadableEvent]
    """The latest of them."""
    tail_losses: list[TailLoss]
    """The losses of the log's end that were accepted."""
    last_event_at: Moment
    """When the last event was decided."""
    clock_behind_s: Seconds
    """Seconds by which this machine's clock is behind the log's last event."""
    guarantees: Guarantees
    """What the log's stream and its broker guarantee."""
    software: str
    """What serves the pool, with its version."""
