"""The tables of a pool's read model: the columns and what they mean. Readers rely on them.

A column may be added at the end of a table. Any other change, also of a meaning, needs a new `VERSION`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

VERSION = 1
"""Of the tables and of how rows are made from events. Tables of another version have to be rebuilt."""


class Kind(StrEnum):
    """The type of a column."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"
    JSON = "json"


class Column(NamedTuple):
    """A column. All but the key may be null."""

    name: str
    kind: Kind
    meaning: str


class Table(NamedTuple):
    """A table. The first column is its key."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...]
    """The columns of each index."""

    @property
    def key(self) -> str:
        """The name of the key column."""
        return self.columns[0].name


TASKS = Table(
    "tasks",
    "One row for each task, as it is now or as it ended.",
    (
        Column("task_id", Kind.TEXT, ""),
        Column("status", Kind.TEXT, "queued, assigned, in_progress, stuck, blocked, quarantined, completed, failed …"),
        Column("attempt", Kind.INTEGER, "from 1"),
        Column("agent_id", Kind.TEXT, "who holds it"),
        Column("token", Kind.INTEGER, "of the lease it is held under"),
        Column("percent", Kind.INTEGER, "last reported under this lease"),
        Column("expires_at", Kind.TIME, "of the lease it is held under, without grace"),
        Column("title", Kind.TEXT, ""),
        Column("priority", Kind.TEXT, "low, medium, high, critical"),
        Column("labels", Kind.JSON, "a list"),
        Column("required_capabilities", Kind.JSON, "a list"),
        Column("deadline", Kind.TIME, ""),
        Column("submitted_at", Kind.TIME, ""),
        Column("status_since", Kind.TIME, ""),
        Column("ended_at", Kind.TIME, "when it was completed, failed or cancelled"),
        Column("failures", Kind.INTEGER, "reported by holders and operators"),
        Column("expiries", Kind.INTEGER, "in a row, without a report between"),
        Column("steals", Kind.INTEGER, ""),
        Column("outcome", Kind.TEXT, "the event that ended it, or that ended its last attempt"),
        Column("outcome_by", Kind.TEXT, "that event's actor"),
        Column("outcome_agent_id", Kind.TEXT, "who held it then, or completed it"),
        Column("outcome_detail", Kind.TEXT, "the reason or error"),
        Column("result", Kind.JSON, "of a completed task"),
        Column("payload", Kind.JSON, "as submitted"),
        Column("handoff", Kind.JSON, "what the next holder is told; its advice holds until its `valid_until`"),
        Column("position", Kind.INTEGER, "of the last event that changed it"),
        Column("not_before", Kind.TIME, "while queued: it is granted to no agent before"),
    ),
    (("status", "priority"), ("agent_id",), ("deadline",), ("submitted_at",), ("ended_at",)),
)

LEASES = Table(
    "leases",
    "One row for each lease that was ever granted: one attempt at one task by one agent.",
    (
        Column("token", Kind.INTEGER, "the position of the event that granted it"),
        Column("task_id", Kind.TEXT, ""),
        Column("agent_id", Kind.TEXT, "the holder"),
        Column("attempt", Kind.INTEGER, ""),
        Column(
            "status",
            Kind.TEXT,
            "active, stopped (its task is stuck, and its clock with it), else how it ended: completed, expired, …",
        ),
        Column("granted_at", Kind.TIME, ""),
        Column("started_at", Kind.TIME, ""),
        Column("expires_at", Kind.TIME, "without grace"),
        Column("lease_s", Kind.NUMBER, "the term"),
        Column("grace_s", Kind.NUMBER, ""),
        Column("reports", Kind.INTEGER, "progress reports"),
        Column("renewals", Kind.INTEGER, "recorded renewals without a report"),
        Column("extensions", Kind.INTEGER, "earned by probes"),
        Column("percent", Kind.INTEGER, "last reported"),
        Column("note", Kind.TEXT, "last reported"),
        Column("last_beat_at", Kind.TIME, "last report or recorded renewal; the end of an announced silence"),
        Column("escalated", Kind.FLAG, "whether it had its `max_renewals` reports; no alarm"),
        Column("stalled_at", Kind.TIME, "when it was found stalled; empty while it advances"),
        Column("ended_at", Kind.TIME, "empty while it is held"),
        Column("ended_by", Kind.TEXT, "the actor of the event that ended it"),
        Column("end_reason", Kind.TEXT, "its reason or error"),
        Column("end_position", Kind.INTEGER, "its position"),
        Column("held_s", Kind.NUMBER, "from the grant to the end"),
        Column("position", Kind.INTEGER, "of the last event that changed it"),
    ),
    (("task_id", "attempt"), ("agent_id", "granted_at"), ("status", "expires_at"), ("granted_at",)),
)

AGENTS = Table(
    "agents",
    "One row for each agent that ever registered.",
    (
        Column("agent_id", Kind.TEXT, ""),
        Column("status", Kind.TEXT, "live, lost, deregistered"),
        Column("intake", Kind.TEXT, "open, paused, draining"),
        Column("capabilities", Kind.JSON, "a sorted list"),
        Column("priority", Kind.NUMBER, ""),
        Column("capacity", Kind.INTEGER, "leases that it may hold"),
        Column("labels", Kind.JSON, "a list"),
        Column("cpu", Kind.NUMBER, "percent, last recorded"),
        Column("memory", Kind.NUMBER, "percent, last recorded"),
        Column("last_recorded_at", Kind.TIME, "its last registration or heartbeat on record"),
        Column("position", Kind.INTEGER, "of the last event that changed it"),
    ),
    (("status",),),
)

STEALS = Table(
    "steals",
    "One row for each steal operation.",
    (
        Column("operation_id", Kind.TEXT, ""),
        Column("status", Kind.TEXT, "planned, executing, completed, failed"),
        Column("from_agent", Kind.TEXT, ""),
        Column("to_agent", Kind.TEXT, ""),
        Column("task_ids", Kind.JSON, "the list that was planned"),
        Column("reason", Kind.TEXT, ""),
        Column("planned_at", Kind.TIME, ""),
        Column("planned_by", Kind.TEXT, "the actor"),
        Column("score", Kind.NUMBER, "the target's; empty for a manual steal"),
        Column("source_tasks", Kind.INTEGER, "held by the source when it was planned"),
        Column("target_tasks", Kind.INTEGER, "held by the target when it was planned"),
        Column("moved", Kind.INTEGER, "tasks that moved"),
        Column("skipped", Kind.JSON, "tasks that could not move any more"),
        Column("failure", Kind.TEXT, "why nothing moved"),
        Column("ended_at", Kind.TIME, ""),
        Column("position", Kind.INTEGER, "of the last event that changed it"),
    ),
    (("from_agent",), ("to_agent",), ("planned_at",)),
)

EVENTS = Table(
    "events",
    "One row for each message of the log, those that every fold skips included.",
    (
        Column("position", Kind.INTEGER, ""),
        Column("time", Kind.TIME, "empty for a message that cannot be read"),
        Column("type", Kind.TEXT, "such as custody.task.leased.v1; empty for a message that cannot be read"),
        Column("entity", Kind.TEXT, "task, agent, steal, pool"),
        Column("entity_id", Kind.TEXT, "its id"),
        Column("event", Kind.TEXT, "such as leased; unreadable for a message that cannot be read"),
        Column("actor", Kind.TEXT, "who did it"),
        Column("agent_id", Kind.TEXT, "whose lease or membership it concerns, as far as the event says"),
        Column("token", Kind.INTEGER, ""),
        Column("reason", Kind.TEXT, "its reason or error"),
        Column("verb", Kind.TEXT, "the command's verb"),
        Column("command_id", Kind.TEXT, ""),
        Column("version", Kind.INTEGER, "counts the events of the same entity, from 1"),
        Column("skipped", Kind.TEXT, "why every fold skips it; empty for all others"),
        Column("body", Kind.JSON, "the event as the log has it; its own fields are in data"),
    ),
    (
        ("entity", "entity_id", "position"),
        ("event", "position"),
        ("agent_id", "position"),
        ("time",),
        ("token",),
        ("command_id",),
    ),
)

TABLES = (TASKS, LEASES, AGENTS, STEALS, EVENTS)

POSITION = Table(
    "custody_position",
    "One row: how far the tables are.",
    (
        Column("generation", Kind.INTEGER, "counts rebuilds from 1"),
        Column("version", Kind.INTEGER, "of the tables"),
        Column("pool", Kind.TEXT, ""),
        Column("position", Kind.INTEGER, "of the last message of the log that the tables know"),
        Column("hash", Kind.TEXT, "its `Custody-Hash`"),
        Column("time", Kind.TIME, "of the last event"),
        Column("skipped", Kind.INTEGER, "messages so far that every fold skips"),
        Column("written_at", Kind.TIME, "when the projector wrote last, by its machine's clock"),
    ),
    (),
)
"""A view, not a table of the projector's."""
