"""A pool's metrics, read at the moment of a scrape: what is counted elsewhere is not counted again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.events import EVENT_TYPES
from domain.events import steal as st
from domain.lifecycles import TERMINAL, AgentStatus
from domain.timestamps import seconds_between
from infra.metrics.metric_list import (
    AGENT_STATUSES,
    LEASE_ENDINGS,
    METRICS,
    POOL_LABEL,
    REFUSAL_CODES,
    TASK_STATUSES,
    Metric,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.core import Metric as Family

    from handlers.pool_service import PoolService
    from handlers.telemetry import ProcessFigures
    from projections.state.histogram import Histogram

_VERBS = tuple(dict.fromkeys((*AGENT_COMMANDS, *OPS_COMMANDS)))


class PoolCollector(Collector):
    """One pool's metrics. The event loop's thread alone may collect them: they are read off what it changes."""

    def __init__(self, pool: PoolService, figures: ProcessFigures) -> None:
        self._pool = pool
        self._figures = figures
        self.lag_events: int | None = None
        """As it was asked for last; None: unknown."""

    def collect(self) -> Iterator[Family]:
        """Return every metric with all label values that there are, so that each is 0 before it is anything else."""
        values: Mapping[str, Any] = {**self._counted(), **self._now(), **self._of_process()}
        for metric in METRICS:
            value = values[metric.name]
            if value is not None:
                yield _family(metric, self._pool.memory.pool_id, value)

    def _counted(self) -> dict[str, Any]:
        """Return what is counted over the log."""
        memory = self._pool.memory
        events, leases = memory.statistics.events, memory.statistics.leases
        return {
            "custody_wait_seconds": leases.waits_s,
            "custody_hold_seconds": leases.holds_s,
            "custody_leases_ended_total": [(how.value, leases.ended[how]) for how in LEASE_ENDINGS],
            "custody_silence_ratio": leases.silence_ratios,
            "custody_false_recoveries_total": leases.false_recoveries,
            "custody_due_late_seconds": leases.late_s,
            "custody_steals_total": [
                (st.StealCompleted.name, events[st.StealCompleted]),
                (st.StealFailed.name, events[st.StealFailed]),
            ],
            "custody_events_total": [
                (f"{kind.entity.value}.{kind.name}", events[kind]) for kind in sorted(EVENT_TYPES.values(), key=_name)
            ],
            "custody_unreadable_events": memory.unreadable_count,
        }

    def _now(self) -> dict[str, Any]:
        """Return the pool as it is, what is not acknowledged yet included."""
        state, access = self._pool.memory.state, self._pool.access
        totals, now = self._pool.memory.statistics.totals(), access.now
        state.indexes.backlog.advance(now)
        since = state.indexes.backlog.ready_longest_since()
        agents = dict.fromkeys(AGENT_STATUSES, 0)
        for agent in state.agents.values():
            agents["lost" if agent.status is AgentStatus.LOST else agent.intake.value] += 1
        return {
            "custody_tasks": [
                (status.value, totals[status.value] if status in TERMINAL else state.indexes.counts.statuses[status])
                for status in TASK_STATUSES
            ],
            "custody_agents": agents.items(),
            "custody_oldest_ready_age_seconds": 0.0 if since is None else max(seconds_between(since, now), 0.0),
            "custody_position": state.committed_position,
        }

    def _of_process(self) -> dict[str, Any]:
        figures, access, snapshotter = self._figures, self._pool.access, self._pool.snapshotter
        position = self._pool.memory.state.committed_position
        return {
            "custody_commands_total": [(verb, figures.commands[verb]) for verb in _VERBS],
            "custody_refusals_total": [(code.value, figures.refusals[code]) for code in REFUSAL_CODES],
            "custody_command_seconds": figures.command_s,
            "custody_append_seconds": figures.append_s,
            "custody_batch_size": figures.batch_commands,
            "custody_queue_length": access.queued_commands,
            "custody_waiting_claims": access.waiting_claims,
            "custody_leader": int(self._pool.leading),
            "custody_follow_lag_events": self.lag_events,
            "custody_unconfirmed_seconds": access.unanswered_s,
            "custody_snapshot_age_events": None if snapshotter is None else position - snapshotter.last_position,
        }


def _name(kind: type) -> str:
    return str(getattr(kind, "type_name", ""))


def _family(metric: Metric, pool: str, value: Any) -> Family:
    if metric.kind == "histogram":
        histogram: Histogram = value
        shown = HistogramMetricFamily(metric.name, metric.meaning, labels=[POOL_LABEL])
        buckets = [("+Inf" if bound == math.inf else str(bound), count) for bound, count in histogram.cumulative()]
        shown.add_metric([pool], buckets, histogram.total)
        return shown
    labels = [POOL_LABEL] if metric.label is None else [POOL_LABEL, metric.label]
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=labels)
    samples: Iterable[tuple[str | None, float]] = [(None, value)] if metric.label is None else value
    for own, number in samples:
        family.add_metric([pool] if own is None else [pool, own], number)
    return family
