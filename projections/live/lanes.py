"""The leases of the last minutes as bars in each agent's lane, with reports as ticks and steals as arrows.

Folded from events alone; leases that were granted before the first folded event are adopted from the state.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from domain.events import task as ev
from domain.lifecycles import LeaseStatus
from domain.timestamps import after, format_timestamp
from projections.live.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.task import Lease
    from projections.state.pool_state import PoolState

WINDOW_S = 900.0
"""Bars that ended longer ago are dropped."""
MAX_SEGMENTS = 100
"""Bars in one lane, the latest; open ones are never dropped before ended ones."""
MAX_ARROWS = 200
_PRUNED_EVERY_S = 5.0
_RENEWALS = (ev.Progressed, ev.Renewed, ev.Silenced, ev.Extended, ev.Recovered)
_ENDS: dict[type, LeaseStatus] = {
    ev.Completed: LeaseStatus.COMPLETED,
    ev.Failed: LeaseStatus.FAILED,
    ev.Requeued: LeaseStatus.FAILED,
    ev.Quarantined: LeaseStatus.FAILED,
    ev.Cancelled: LeaseStatus.CANCELLED,
    ev.Released: LeaseStatus.RELEASED,
    ev.Revoked: LeaseStatus.REVOKED,
    ev.Expired: LeaseStatus.EXPIRED,
    ev.Blocked: LeaseStatus.BLOCKED,
}
"""`requeued` and `quarantined` end a lease only where its holder failed; else it ended before."""


class Lanes:
    """The bars of every agent that held something in the window."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._open: dict[str, Segment] = {}
        """By task."""
        self._lanes: dict[str, list[Segment]] = {}
        self._arrows: deque[dict[str, Any]] = deque(maxlen=MAX_ARROWS)
        self._changed: dict[int, Segment] = {}
        """By token: what changed since `take_changes`."""
        self._changed_arrows: dict[str, dict[str, Any]] = {}
        self._pruned_until: datetime | None = None

        self._takes: dict[type, Callable[[Recorded, Any], None]] = {
            ev.Leased: self._leased,
            ev.Stolen: self._stolen,
            ev.Started: self._started,
            ev.Stuck: self._stuck,
            **dict.fromkeys(_RENEWALS, self._renewed),
            **dict.fromkeys(_ENDS, self._ended),
        }

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events, in their order."""
        takes = self._takes
        for recorded in records:
            take = takes.get(type(recorded.event))
            if take is not None:
                take(recorded, recorded.event)

    def adopt(self, state: PoolState) -> None:
        """Take over from the state at the same position the leases that were granted before the first folded event."""
        for agent_id in state.workloads.holders():
            for task_id in state.held_by(agent_id):
                lease = state.tasks[task_id].held_lease
                if task_id not in self._open:
                    self._adopt(task_id, lease)
                    self._lanes[agent_id].sort(key=lambda each: (each.begin, each.token))

    def document(self, now: datetime) -> dict[str, Any]:
        """Return all of it: `{from, to, agents: {agent_id: [segment…]}, arrows: [arrow…]}`; see `Segment.document`.

        An arrow is `{at, position, operation_id, from_agent, to_agent, task_ids}`.
        """
        self.prune(now)
        return {
            **self._span(now),
            "agents": {agent_id: [each.document() for each in lane] for agent_id, lane in self._lanes.items()},
            "arrows": [_arrow(each) for each in self._arrows],
        }

    def take_changes(self, now: datetime) -> dict[str, Any]:
        """Return what changed since the last call, as `document` has it: of each lane only the bars that changed.

        Who keeps a copy replaces bars by their `token` and arrows by their `operation_id`, from and to; adds others;
        and drops what ended before `from`. Nothing changed: empty.
        """
        self.prune(now)
        if not self._changed and not self._changed_arrows:
            return {}
        agents: dict[str, list[dict[str, Any]]] = {}
        for segment in self._changed.values():
            agents.setdefault(segment.agent_id, []).append(segment.document())
        arrows = [_arrow(each) for each in self._changed_arrows.values()]
        self._changed, self._changed_arrows = {}, {}
        return {**self._span(now), "agents": agents, "arrows": arrows}

    def prune(self, now: datetime) -> None:
        """Drop what ended before the window."""
        begin = after(now, -self._window_s)
        if self._pruned_until is not None and begin < after(self._pruned_until, _PRUNED_EVERY_S):
            return
        self._pruned_until = begin
        for agent_id, lane in list(self._lanes.items()):
            lane[:] = [each for each in lane if each.until is None or each.until >= begin]
            if not lane:
                del self._lanes[agent_id]
        self._changed = {
            token: each for token, each in self._changed.items() if each.until is None or each.until >= begin
        }
        self._changed_arrows = {key: each for key, each in self._changed_arrows.items() if each["at"] >= begin}
        while self._arrows and self._arrows[0]["at"] < begin:
            self._arrows.popleft()

    def _span(self, now: datetime) -> dict[str, str]:
        return {"from": format_timestamp(after(now, -self._window_s)), "to": format_timestamp(now)}

    def _adopt(self, task_id: str, lease: Lease) -> None:
        segment = self._begin(task_id, lease.token, lease.agent_id, lease.granted_at)
        segment.expires_at, segment.grace_s = lease.expires_at, lease.grace_s
        segment.stuck = lease.status is LeaseStatus.STOPPED
        for at_s in lease.report_times_s:
            segment.heard_after(at_s - lease.granted_at.timestamp())

    def _begin(self, task_id: str, token: int, agent_id: str, at: datetime) -> Segment:
        segment = self._open[task_id] = self._changed[token] = Segment(task_id, token, agent_id, at)
        lane = self._lanes.setdefault(agent_id, [])
        lane.append(segment)
        if len(lane) > MAX_SEGMENTS:
            ended = next((number for number, each in enumerate(lane) if each.until is not None), 0)
            del lane[ended]
        return segment

    def _end(self, recorded: Recorded, end: str) -> None:
        segment = self._open.pop(recorded.entity_id, None)
        if segment is not None:
            segment.until, segment.end, segment.stuck = recorded.time, end, False
            self._changed[segment.token] = segment

    def _ended(self, recorded: Recorded, _: ev.TaskEvent) -> None:
        self._end(recorded, _ENDS[type(recorded.event)].value)

    def _leased(self, recorded: Recorded, event: ev.Leased) -> None:
        segment = self._begin(recorded.entity_id, event.token, event.agent_id, recorded.time)
        segment.expires_at, segment.grace_s = event.expires_at, event.grace_s

    def _stolen(self, recorded: Recorded, event: ev.Stolen) -> None:
        self._end(recorded, LeaseStatus.STOLEN.value)
        segment = self._begin(recorded.entity_id, event.token, event.agent_id, recorded.time)
        segment.expires_at, segment.grace_s = event.expires_at, event.grace_s
        last = self._arrows[-1] if self._arrows else None
        key = (event.operation_id, event.from_agent, event.agent_id)
        if last is None or (last["operation_id"], last["from_agent"], last["to_agent"]) != key:
            last = {
                "at": recorded.time,
                "position": recorded.position,
                "operation_id": event.operation_id,
                "from_agent": event.from_agent,
                "to_agent": event.agent_id,
                "task_ids": [],
            }
            self._arrows.append(last)
        last["task_ids"].append(recorded.entity_id)
        self._changed_arrows[" ".join(key)] = last

    def _renewed(self, recorded: Recorded, event: Any) -> None:
        segment = self._open.get(recorded.entity_id)
        if segment is not None:
            segment.expires_at, segment.grace_s, segment.stuck = event.expires_at, event.grace_s, False
            if type(event) is not ev.Extended:
                segment.heard(recorded.time)
            self._changed[segment.token] = segment

    def _started(self, recorded: Recorded, _: ev.Started) -> None:
        segment = self._open.get(recorded.entity_id)
        if segment is not None:
            segment.heard(recorded.time)
            self._changed[segment.token] = segment

    def _stuck(self, recorded: Recorded, event: ev.Stuck) -> None:
        segment = self._open.get(recorded.entity_id)
        if segment is not None and not event.clock_runs:
            segment.stuck = True
            self._changed[segment.token] = segment


def _arrow(arrow: dict[str, Any]) -> dict[str, Any]:
    return {**arrow, "at": format_timestamp(arrow["at"]), "task_ids": list(arrow["task_ids"])}
