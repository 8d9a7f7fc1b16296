"""A pool as people watch it: one document at the beginning, then what changes, gathered from tick to tick.

A document: `{position, now, mode, strip, needs, agents, lanes, steals, recent, tasks_changed}`. A change has the same
keys, and only those whose value changed; `agents` is `{set: {agent_id: row}, gone: [agent_id]}` in it, and `lanes` as
`Lanes.take_changes` says. `tasks_changed`: the position of the last event about a task. Where `LiveView.generation` is
another one, changes are not enough.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.events import Entity
from domain.timestamps import format_timestamp
from projections.live.agent_rows import AgentRows
from projections.live.attention import Attention, Needs
from projections.live.history import History
from projections.live.strip import strip
from projections.queries.documents import steal_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.steal import Steal
    from projections.live.service_health import ServiceHealth
    from projections.state.pool_state import PoolState

KEPT_STEALS = 50


class Reading(NamedTuple):
    """What a tick is made from."""

    state: PoolState
    """At the position of the last observed event."""
    now: datetime
    heard_at: Callable[[str], datetime | None]
    """When an agent was heard last, by the log: `memory.last_heard.heard_at`."""
    mode: str = "live"
    """`starting`, `live`, `behind` or `disconnected`."""
    behind_events: int = 0
    health: ServiceHealth | None = None
    """What a poll of the service found; None: it is not polled."""


class LiveView:
    """The folds that a page is made from, and what has changed of them."""

    def __init__(self) -> None:
        self.history = History()
        self.attention = Attention()
        self.agents = AgentRows()
        self.needs = Needs([], 0)
        """As of the last tick."""
        self.generation = 0
        """Counts how often it began anew, or took over another history: then the document replaces every copy."""
        self._shown: dict[str, Any] = {}
        """The values of the last tick, but agents and lanes."""
        self._tasks_changed = 0
        self._steals_changed = True

    def reset(self, state: PoolState, history: History | None = None) -> None:
        """Begin anew with a state. `history`: what was folded of the events before it, at the same position."""
        self.replace_history(state, history or History())
        self.attention = Attention()
        self.attention.fill(state)
        self.agents.reset(state)
        self._tasks_changed = state.position
        self._steals_changed = True

    def replace_history(self, state: PoolState, history: History) -> None:
        """Take over a history that was folded of earlier events, up to the position of the state."""
        history.adopt(state)
        self.history = history
        # Who counts as silent depends on it.
        self.agents.touch_all(state)
        self.generation += 1

    def observe(self, records: Sequence[Recorded], state: PoolState) -> None:
        """Follow acknowledged events; `state` is as it is after them."""
        self.history.observe(records)
        self.attention.observe(records, state)
        self.agents.observe(records, state)
        for recorded in records:
            if recorded.entity is Entity.TASK:
                self._tasks_changed = recorded.position
            elif recorded.entity is Entity.STEAL:
                self._steals_changed = True

    def heard(self, heard: Iterable[tuple[str, datetime]]) -> None:
        """Learn when agents were heard, beside the log: from `query.agents`, polled now and then."""
        self.agents.heard(heard)

    def tick(self, reading: Reading) -> dict[str, Any]:
        """Return what has changed since the last tick; `position` and `now` are always there."""
        state, now = reading.state, reading.now
        change: dict[str, Any] = {"position": state.position, "now": format_timestamp(now)}
        self.needs = self.attention.needs(state, now, reading.health)
        values: dict[str, Any] = {
            "mode": reading.mode,
            "strip": strip(
                state,
                self.history.activity,
                now,
                mode=reading.mode,
                behind_events=reading.behind_events,
                health=reading.health,
            ),
            "tasks_changed": self._tasks_changed,
            "needs": self.needs,
        }
        if self._steals_changed:
            values["steals"], self._steals_changed = latest_steals(state), False
        if self.history.recent.changed:
            values["recent"], self.history.recent.changed = self.history.recent.lines(), False
        for name, value in values.items():
            if self._shown.get(name) != value:
                self._shown[name] = value
                change[name] = value.as_json() if isinstance(value, Needs) else value
        rows, gone = self.agents.take_changes(state, _heard_until(reading), reading.heard_at, self.history.silences)
        if rows or gone:
            change["agents"] = {"set": rows, "gone": gone}
        lanes = self.history.lanes.take_changes(now)
        if lanes:
            change["lanes"] = lanes
        return change

    def document(self, reading: Reading) -> dict[str, Any]:
        """Return all of it, as of the last tick."""
        shown = self._shown
        return {
            "position": reading.state.position,
            "now": format_timestamp(reading.now),
            **{name: value.as_json() if isinstance(value, Needs) else value for name, value in shown.items()},
            "agents": self.agents.rows(),
            "lanes": self.history.lanes.document(reading.now),
        }


def _heard_until(reading: Reading) -> datetime:
    """Return until when agents could be heard: an outage of the service is no silence of theirs."""
    failing_since = None if reading.health is None else reading.health.failing_since
    return reading.now if failing_since is None else min(reading.now, failing_since)


def latest_steals(state: PoolState, limit: int = KEPT_STEALS) -> list[dict[str, Any]]:
    """Return `query.steals`' rows of the open steals and the latest ended ones, the latest first."""
    ended = islice(reversed(state.ended.steals.values()), limit)
    steals = sorted((*ended, *state.steals.values()), key=_planned_at, reverse=True)
    return [steal_document(steal) for steal in steals[:limit]]


def _planned_at(steal: Steal) -> datetime:
    return steal.planned_at
