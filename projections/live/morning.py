"""The morning report: what happened since a moment, in at most ten lines, each with when, and where to read more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.actors import is_operator
from domain.events import agent as ag
from domain.events import pool as po
from domain.events import steal as st
from domain.events import task as ev
from domain.statuses import TaskStatus
from domain.timestamps import format_timestamp
from projections.live.activity import Activity
from projections.live.attention import unworkable_kinds
from projections.live.recent import QUIET
from projections.reports.time_text import duration
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from projections.state.pool_state import PoolState

MAX_LINES = 10
LONGEST_MINUTES = 31 * 24 * 60
"""A report is of a month at most."""
MAX_NAMED = 5
"""Tasks, agents and capabilities that one line names."""
LEFT_OUT = frozenset(kind.name for kind in QUIET)
"""Names of events that no line is about: a reader need not decode them, and they are most of a log."""
_KEPT_NAMES = 10_000
_KEPT_COMMANDS = 1_000


class Span(NamedTuple):
    """When something happened, or began, first and last."""

    first: datetime
    last: datetime

    @classmethod
    def of(cls, times: Iterable[datetime]) -> Span:
        """Return the span of some times, of which there is at least one."""
        known = [*times]
        return cls(min(known), max(known))


class Line(NamedTuple):
    """One line of the report."""

    text: str
    number: int
    """How many of what the line is about."""
    link: dict[str, Any]
    """Where to read more: `{kind: postmortem, task_id}`, `{kind: postmortem, agent_id}`, `{kind: tasks, status}`,
    `{kind: steals}`, `{kind: needs}` or `{kind: statistics}`."""
    span: Span
    """When it happened; of what goes on still, such as a blocked task: when it began."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        first_at, last_at = map(format_timestamp, self.span)
        return {"text": self.text, "count": self.number, "link": self.link, "first_at": first_at, "last_at": last_at}


class Morning:
    """Folds the events since a moment. Those named in `LEFT_OUT` change nothing, so they need not be observed."""

    def __init__(self) -> None:
        self._activity = Activity(LONGEST_MINUTES)
        self._tasks: dict[str, dict[str, datetime]] = {}
        """By what became of them, and when last; the latest last."""
        self._lost: dict[str, datetime] = {}
        self._leaders: dict[str, None] = {}
        self._blind_s: list[float] = []
        self._tail_losses = 0
        self._by_operators: Counter[str] = Counter()
        self._commands: dict[str, None] = {}
        """The latest commands of operators: each has its events one after the other."""
        self._moved = self._steals = 0
        self._spans: dict[str, Span] = {}
        """By what happened."""
        self._ended: Counter[str] = Counter()
        """Tasks that failed for good, and missed deadlines; each ended its task."""

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
            ev.Submitted: self._take_work,
            ev.Completed: self._take_work,
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
                if len(self._commands) > _KEPT_COMMANDS:
                    del self._commands[next(iter(self._commands))]
                self._by_operators[recorded.verb] += 1
                self._seen("operators", recorded.time)

    def lines(self, state: PoolState, now: datetime) -> list[Line]:
        """Return the report, what matters most first; `state` is as it is after the events, `now` its moment."""
        found = [*self._trouble(state), *self._unworkable(state, now), *self._course(now)]
        return found[:MAX_LINES]

    def _trouble(self, state: PoolState) -> Iterator[Line]:
        if self._tail_losses:
            text = "the log lost its tail, and an operator accepted that"
            yield Line(text, self._tail_losses, {"kind": "statistics"}, self._spans["tail_lost"])
        for name, words in (
            ("failed", "failed for good"),
            ("quarantined", "quarantined, and waiting for a person"),
            ("blocked", "blocked, and waiting for an answer"),
        ):
            at = {
                task_id: time
                for task_id, time in self._tasks.get(name, {}).items()
                if name == "failed" or _is_still(state, task_id, name)
            }
            if at:
                number = self._ended[name] or len(at)
                text = f"{count(number, 'task')} {words}: {_named([*at], number)}"
                yield Line(text, number, _postmortem(at), Span.of(at.values()))
        missed, number = self._tasks.get("deadline", {}), self._ended["deadline"]
        if missed:
            text = f"{count(number, 'deadline')} missed: {_named([*missed], number)}"
            yield Line(text, number, _postmortem(missed), self._spans["deadline"])
        if self._lost:
            agents = [*self._lost]
            link = {"kind": "postmortem", "agent_id": agents[-1]}
            text = f"{count(len(agents), 'agent')} lost: {_named(agents, len(agents))}"
            yield Line(text, len(agents), link, Span.of(self._lost.values()))
        if self._blind_s:
            yield Line(
                f"the pool could not hear its agents {count(len(self._blind_s), 'time')}, for"
                f" {duration(sum(self._blind_s))} in all; no lease was judged meanwhile",
                len(self._blind_s),
                {"kind": "statistics"},
                self._spans["rearmed"],
            )

    def _unworkable(self, state: PoolState, now: datetime) -> Iterator[Line]:
        """Say what waits, and which no live agent is able to do, whenever it was submitted."""
        state.indexes.backlog.advance(now)
        kinds = set(unworkable_kinds(state))
        if not kinds:
            return
        waiting = [
            task
            for task in state.tasks.values()
            if task.status is TaskStatus.QUEUED
            and task.waits_since <= now
            and frozenset(task.definition.required_capabilities) in kinds
        ]
        if not waiting:
            # The backlog's own moment may be a later one.
            return
        each = Counter(", ".join(sorted(task.definition.required_capabilities)) for task in waiting)
        (names, number), *others = each.most_common(MAX_NAMED)
        has = "has" if "," not in names else "has together"
        what = f" for {names}, which no live agent {has}" if names else ", and no agent is live"
        if others:
            listed = ", ".join(f"{names or 'any'} ({number})" for names, number in ((names, number), *others))
            what = f" for what no live agent is able to do: {listed}"
        more = len(each) - len(others) - 1
        text = f"{count(len(waiting), 'task')} {'wait' if len(waiting) > 1 else 'waits'}{what}" + (
            f" and {more} more" if more else ""
        )
        yield Line(text, len(waiting), {"kind": "needs"}, Span.of(task.waits_since for task in waiting))

    def _course(self, now: datetime) -> Iterator[Line]:
        sums = self._activity.sums(now, LONGEST_MINUTES)
        expired = self._tasks.get("expired", {})
        if expired:
            false = sums["false_recoveries"]
            came_back = f"; {count(false, 'holder')} of these came back later" if false else ""
            noticed = _or_none(sums["notice_p50_s"])
            yield Line(
                f"{count(sums['expired'], 'lease')} expired, noticed after {noticed} by the median{came_back}:"
                f" {_named([*expired], len(expired))}",
                sums["expired"],
                _postmortem(expired),
                self._spans["expired"],
            )
        if sums["completed"] or sums["submitted"]:
            wait = sums["wait_p50_s"]
            waited = f"; they waited {duration(wait)} by the median" if wait is not None else ""
            yield Line(
                f"{count(sums['completed'], 'task')} completed, {sums['submitted']} submitted{waited}",
                sums["completed"],
                {"kind": "tasks", "status": "completed"},
                self._spans["work"],
            )
        if self._steals:
            yield Line(
                f"{count(self._moved, 'task')} moved by {count(self._steals, 'steal')}",
                self._steals,
                {"kind": "steals"},
                self._spans["steals"],
            )
        if self._by_operators:
            done = ", ".join(f"{number} × {verb}" for verb, number in self._by_operators.most_common(MAX_NAMED))
            number = self._by_operators.total()
            text = f"{count(number, 'command')} of operators: {done}"
            yield Line(text, number, {"kind": "statistics"}, self._spans["operators"])
        if len(self._leaders) > 1:
            number = len(self._leaders)
            text = f"{number} services led the pool, one after the other"
            yield Line(text, number, {"kind": "statistics"}, self._spans["led"])

    def _take_failed(self, recorded: Recorded, event: ev.Failed) -> None:
        what = "failed" if event.numbers is None else "deadline"
        self._ended[what] += 1
        self._note(what, recorded)

    def _take_named(self, recorded: Recorded, _: ev.TaskEvent) -> None:
        self._note(recorded.name, recorded)

    def _take_work(self, recorded: Recorded, _: ev.TaskEvent) -> None:
        self._seen("work", recorded.time)

    def _take_lost(self, recorded: Recorded, _: ag.Lost) -> None:
        self._lost.pop(recorded.entity_id, None)
        self._lost[recorded.entity_id] = recorded.time

    def _take_led(self, recorded: Recorded, event: po.Led) -> None:
        self._leaders[event.leader] = None
        self._seen("led", recorded.time)

    def _take_rearmed(self, recorded: Recorded, event: po.Rearmed) -> None:
        self._blind_s.append(event.blind_s)
        self._seen("rearmed", recorded.time)

    def _take_tail_lost(self, recorded: Recorded, _: po.TailLost) -> None:
        self._tail_losses += 1
        self._seen("tail_lost", recorded.time)

    def _take_steal(self, recorded: Recorded, event: st.StealCompleted) -> None:
        self._moved += event.moved
        if event.moved:
            self._steals += 1
            self._seen("steals", recorded.time)

    def _note(self, what: str, recorded: Recorded) -> None:
        noted = self._tasks.setdefault(what, {})
        noted.pop(recorded.entity_id, None)
        noted[recorded.entity_id] = recorded.time
        if len(noted) > _KEPT_NAMES:
            del noted[next(iter(noted))]
        self._seen(what, recorded.time)

    def _seen(self, what: str, at: datetime) -> None:
        known = self._spans.get(what)
        self._spans[what] = Span(at, at) if known is None else known._replace(last=at)


def report(lines: Sequence[Line], since: datetime) -> dict[str, Any]:
    """Return the report as JSON values: `{since, lines: [{text, count, link, first_at, last_at}]}`."""
    return {"since": format_timestamp(since), "lines": [line.as_json() for line in lines]}


def _is_still(state: PoolState, task_id: str, status: str) -> bool:
    task = state.tasks.get(task_id)
    return task is not None and task.status.value == status


def _named(names: Sequence[str], number: int) -> str:
    """Return the latest of the names, and how many more there are of `number`."""
    latest = names[-MAX_NAMED:]
    more = number - len(latest)
    return ", ".join(latest) + (f" and {more} more" if more else "")


def _postmortem(tasks: dict[str, datetime]) -> dict[str, Any]:
    return {"kind": "postmortem", "task_id": next(reversed(tasks))}


def _or_none(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else duration(seconds)
