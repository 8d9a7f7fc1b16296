"""The morning report: what happened since a moment, in at most ten lines, each with where to read more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.actors import is_operator
from domain.events import agent as ag
from domain.events import pool as po
from domain.events import steal as st
from domain.events import task as ev
from domain.timestamps import format_timestamp
from projections.live.activity import Activity
from projections.reports.time_text import duration
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from projections.state.pool_state import PoolState

MAX_LINES = 10
LONGEST_MINUTES = 31 * 24 * 60
"""A report is of a month at most."""
MAX_NAMED = 5
"""Tasks and agents that one line names."""
_KEPT_NAMES = 1_000


class Line(NamedTuple):
    """One line of the report."""

    text: str
    number: int
    """How many of what the line is about."""
    link: dict[str, Any]
    """Where to read more: `{kind: postmortem, task_id}`, `{kind: task, task_id}`, `{kind: agent, agent_id}`,
    `{kind: tasks, status}`, `{kind: steals}`, `{kind: needs}` or `{kind: statistics}`."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"text": self.text, "count": self.number, "link": self.link}


class Morning:
    """Folds the events since a moment."""

    def __init__(self) -> None:
        self._activity = Activity(LONGEST_MINUTES)
        self._tasks: dict[str, dict[str, None]] = {}
        """By what became of them, the latest last."""
        self._lost: dict[str, None] = {}
        self._leaders: dict[str, None] = {}
        self._blind_s: list[float] = []
        self._tail_losses = 0
        self._by_operators: Counter[str] = Counter()
        self._commands: dict[str, None] = {}
        self._moved = self._steals = 0

        self._takes: dict[type, Callable[[Recorded, Any], None]] = {
            ev.Failed: self._take_failed,
            ev.Quarantined: self._take_named,
            ev.Blocked: self._take_named,
            ev.Expired: self._take_named,
            ag.Lost: self._take_lost,
            po.Led: self._take_led,
            po.Rearmed: self._take_rearmed,
            po.TailLost: self._take_tail_lost,
            st.StealCompleted: self._take_steal,
        }

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events, in their order."""
        self._activity.observe(records)
        for recorded in records:
            take = self._takes.get(type(recorded.event))
            if take is not None:
                take(recorded, recorded.event)
            if is_operator(recorded.actor) and recorded.causation_id not in self._commands:
                self._commands[recorded.causation_id] = None
                self._by_operators[recorded.verb] += 1

    def lines(self, state: PoolState, now: datetime) -> list[Line]:
        """Return the report, what matters most first; `state` is as it is after the events, `now` its moment."""
        found = [*self._trouble(state), *self._course(now)]
        return found[:MAX_LINES]

    def _trouble(self, state: PoolState) -> Iterator[Line]:
        if self._tail_losses:
            yield Line(
                "the log lost its tail, and an operator accepted that", self._tail_losses, {"kind": "statistics"}
            )
        for name, words in (
            ("failed", "failed for good"),
            ("quarantined", "quarantined, and waiting for a person"),
            ("blocked", "blocked, and waiting for an answer"),
        ):
            task_ids = [
                task_id for task_id in self._tasks.get(name, ()) if name == "failed" or _is_still(state, task_id, name)
            ]
            if task_ids:
                yield Line(
                    f"{count(len(task_ids), 'task')} {words}: {_named(task_ids)}", len(task_ids), _postmortem(task_ids)
                )
        missed = list(self._tasks.get("deadline", ()))
        if missed:
            yield Line(f"{count(len(missed), 'deadline')} missed: {_named(missed)}", len(missed), _postmortem(missed))
        if self._lost:
            agents = list(self._lost)
            yield Line(
                f"{count(len(agents), 'agent')} lost: {_named(agents)}",
                len(agents),
                {"kind": "agent", "agent_id": agents[-1]},
            )
        if self._blind_s:
            yield Line(
                f"the pool could not hear its agents {count(len(self._blind_s), 'time')}, for"
                f" {duration(sum(self._blind_s))} in all; no lease was judged meanwhile",
                len(self._blind_s),
                {"kind": "statistics"},
            )

    def _course(self, now: datetime) -> Iterator[Line]:
        sums = self._activity.sums(now, LONGEST_MINUTES)
        expired = list(self._tasks.get("expired", ()))
        if expired:
            false = sums["false_recoveries"]
            came_back = f"; {count(false, 'holder')} of these came back later" if false else ""
            noticed = _or_none(sums["notice_p50_s"])
            yield Line(
                f"{count(sums['expired'], 'lease')} expired, noticed after {noticed} by the median{came_back}:"
                f" {_named(expired)}",
                sums["expired"],
                _postmortem(expired),
            )
        if sums["completed"] or sums["submitted"]:
            wait = sums["wait_p50_s"]
            waited = f"; they waited {duration(wait)} by the median" if wait is not None else ""
            yield Line(
                f"{count(sums['completed'], 'task')} completed, {sums['submitted']} submitted{waited}",
                sums["completed"],
                {"kind": "tasks", "status": "completed"},
            )
        if self._steals:
            yield Line(
                f"{count(self._moved, 'task')} moved by {count(self._steals, 'steal')}",
                self._steals,
                {"kind": "steals"},
            )
        if self._by_operators:
            done = ", ".join(f"{number} × {verb}" for verb, number in self._by_operators.most_common(MAX_NAMED))
            number = self._by_operators.total()
            yield Line(f"{count(number, 'command')} of operators: {done}", number, {"kind": "statistics"})
        if len(self._leaders) > 1:
            number = len(self._leaders)
            yield Line(f"{number} services led the pool, one after the other", number, {"kind": "statistics"})

    def _take_failed(self, recorded: Recorded, event: ev.Failed) -> None:
        self._note("failed" if event.numbers is None else "deadline", recorded.entity_id)

    def _take_named(self, recorded: Recorded, _: ev.TaskEvent) -> None:
        self._note(recorded.name, recorded.entity_id)

    def _take_lost(self, recorded: Recorded, _: ag.Lost) -> None:
        self._lost.pop(recorded.entity_id, None)
        self._lost[recorded.entity_id] = None

    def _take_led(self, _: Recorded, event: po.Led) -> None:
        self._leaders[event.leader] = None

    def _take_rearmed(self, _: Recorded, event: po.Rearmed) -> None:
        self._blind_s.append(event.blind_s)

    def _take_tail_lost(self, _: Recorded, __: po.TailLost) -> None:
        self._tail_losses += 1

    def _take_steal(self, _: Recorded, event: st.StealCompleted) -> None:
        self._moved += event.moved
        self._steals += bool(event.moved)

    def _note(self, what: str, task_id: str) -> None:
        noted = self._tasks.setdefault(what, {})
        noted.pop(task_id, None)
        noted[task_id] = None
        if len(noted) > _KEPT_NAMES:
            del noted[next(iter(noted))]


def report(lines: Sequence[Line], since: datetime) -> dict[str, Any]:
    """Return the report as JSON values: `{since, lines: [{text, count, link}]}`."""
    return {"since": format_timestamp(since), "lines": [line.as_json() for line in lines]}


def _is_still(state: PoolState, task_id: str, status: str) -> bool:
    task = state.tasks.get(task_id)
    return task is not None and task.status.value == status


def _named(names: Sequence[str]) -> str:
    latest = list(names)[-MAX_NAMED:]
    more = len(names) - len(latest)
    return ", ".join(latest) + (f" and {more} more" if more else "")


def _postmortem(task_ids: Sequence[str]) -> dict[str, Any]:
    return {"kind": "postmortem", "task_id": task_ids[-1]}


def _or_none(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else duration(seconds)
