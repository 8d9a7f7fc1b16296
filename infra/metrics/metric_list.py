"""Every metric of the service, in the order in which they are shown; `docs/metrics.md` has the same table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from domain.errors import RefusalCode
from domain.lifecycles import LEASE_ENDS, STEAL_ENDS, AgentStatus, IntakeStatus, TaskStatus


class Source(StrEnum):
    """What a metric is read from, and so what becomes of it at a restart."""

    LOG = "log"
    """Counted over the whole log, and kept in snapshots: it survives a restart, and another service goes on with it."""
    STATE = "state"
    """The pool as it is now."""
    PROCESS = "process"
    """This process since its start."""


class Metric(NamedTuple):
    """One metric. Its samples have the label `pool` besides its own."""

    name: str
    """As Prometheus shows it; a counter's ends in `_total`."""
    kind: str
    meaning: str
    source: Source
    label: str | None = None


POOL_LABEL: Final = "pool"
_S, _L, _P = Source.STATE, Source.LOG, Source.PROCESS

METRICS: Final = (
    Metric("custody_tasks", "gauge", "Tasks by status; those that ended, since the log began.", _S, "status"),
    Metric("custody_agents", "gauge", "Registered agents: lost, or by what they take on.", _S, "status"),
    Metric(
        "custody_oldest_ready_age_seconds",
        "gauge",
        "For how long the task has waited that has waited longest, of those whose time has come; 0 if none waits.",
        _S,
    ),
    Metric("custody_position", "gauge", "The last acknowledged position of the log.", _S),
    Metric("custody_wait_seconds", "histogram", "From when a task was queued and its time had come to its grant.", _L),
    Metric("custody_hold_seconds", "histogram", "From a grant to the end of the lease.", _L),
    Metric("custody_leases_ended_total", "counter", "Leases that ended, by how.", _L, "how"),
    Metric(
        "custody_silence_ratio",
        "histogram",
        "Silence before a report, a recovery or an expiry, as a part of the lease's term and grace, of one lease in "
        "eight; expiries are at 1 or more.",
        _L,
    ),
    Metric(
        "custody_false_recoveries_total",
        "counter",
        "Expired leases whose former holder reported or completed later.",
        _L,
    ),
    Metric("custody_due_late_seconds", "histogram", "From when an expiry or a deadline fell due to its judgement.", _L),
    Metric("custody_steals_total", "counter", "Steal operations that ended, by how.", _L, "outcome"),
    Metric("custody_events_total", "counter", "Events of the log, by kind.", _L, "event"),
    Metric("custody_unreadable_events", "gauge", "Messages of the log that every fold skips.", _L),
    Metric("custody_commands_total", "counter", "Commands of callers that were taken, by verb.", _P, "verb"),
    Metric("custody_refusals_total", "counter", "Error replies, by code.", _P, "code"),
    Metric(
        "custody_command_seconds",
        "histogram",
        "From a command's receipt to its answer; without claims that waited for work.",
        _P,
    ),
    Metric("custody_append_seconds", "histogram", "From the sending of an append to its acknowledgement.", _P),
    Metric("custody_batch_size", "histogram", "Commands that were acknowledged together.", _P),
    Metric("custody_queue_length", "gauge", "Commands that wait to be decided.", _P),
    Metric("custody_waiting_claims", "gauge", "Claims that wait for work.", _P),
    Metric("custody_leader", "gauge", "1 while this service leads the pool, else 0.", _P),
    Metric(
        "custody_follow_lag_events",
        "gauge",
        "Events that the log has beyond what this service has folded; absent while the broker does not say.",
        _P,
    ),
    Metric(
        "custody_unconfirmed_seconds", "gauge", "For how long the broker has owed the answer to an append; else 0.", _P
    ),
    Metric(
        "custody_snapshot_age_events",
        "gauge",
        "Events since the last snapshot; since the log began if there is none; absent if none are made.",
        _P,
    ),
)
"""Besides these, prometheus-client's own of the process: `process_*`, `python_gc_*` and `python_info`."""

TASK_STATUSES: Final = tuple(each for each in TaskStatus if each not in {TaskStatus.NEW, TaskStatus.UNHELD})
AGENT_STATUSES: Final = (*(each.value for each in IntakeStatus), AgentStatus.LOST.value)
LEASE_ENDINGS: Final = tuple(sorted(LEASE_ENDS))
STEAL_OUTCOMES: Final = tuple(sorted(STEAL_ENDS))
REFUSAL_CODES: Final = tuple(RefusalCode)
