"""How long tasks took: what is expected of the next ones, by what they are alike in, and each agent's own pace.

From the acknowledged log alone. A task's time begins when its holder began it; where no start is on record, with the
grant, or with the end of what the holder finished last, if that was later.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from domain.events import task as ev
from domain.policies.load_balancing import DURATION_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from domain.recorded import Recorded
    from domain.task import Task

ENOUGH_FOR_PACE = 3
"""So many finished tasks tell an agent's pace."""
PACES = (0.2, 5.0)
"""No pace is taken for quicker or slower."""
UNKNOWN_S = 60.0
"""What a task is expected to take when none was finished yet and it says nothing itself."""
MAX_KEPT = 1_000
"""Kinds, labels and agents of which times are kept, those that were finished last."""
_PACE_WINDOW = 20

_Kind = tuple[tuple[str, ...], tuple[str, ...]]
"""Labels and required capabilities."""
_ENDS = frozenset(
    {ev.Stolen, ev.Expired, ev.Released, ev.Revoked, ev.Failed, ev.Requeued, ev.Quarantined, ev.Blocked, ev.Cancelled}
)
_BEGINNINGS = frozenset({ev.Started, ev.Progressed})
_OBSERVED = _ENDS | _BEGINNINGS | {ev.Completed}


class _Times:
    """The last times, with their order."""

    __slots__ = ("_rising", "last")

    def __init__(self, times: Iterable[float] = (), window: int = DURATION_WINDOW) -> None:
        self.last = deque(times, maxlen=window)
        self._rising: list[float] | None = None

    def add(self, value: float) -> None:
        self.last.append(value)
        self._rising = None

    @property
    def rising(self) -> list[float]:
        if self._rising is None:
            self._rising = sorted(self.last)
        return self._rising

    @property
    def median(self) -> float:
        return _median(self.rising)


class WorkTimes:
    """Expected durations in seconds. Every look-up costs the same, however many tasks there are."""

    def __init__(self) -> None:
        self._all = _Times()
        self._of_estimates = _Times()
        """How long tasks took as a multiple of their estimates."""
        self._by_kind: OrderedDict[_Kind, _Times] = OrderedDict()
        self._by_label: OrderedDict[str, _Times] = OrderedDict()
        self._paces: OrderedDict[str, _Times] = OrderedDict()
        """By agent: how long it took, as a multiple of what was expected."""
        self._ended_at_s: OrderedDict[str, float] = OrderedDict()
        """By agent: when it finished something last, in epoch seconds."""
        self._begun_at_s: dict[str, float] = {}
        """By task that was begun: when."""

    def observe(self, records: Sequence[Recorded], task_of: Callable[[str], Task | None]) -> None:
        """Follow acknowledged events; `task_of` returns a task that was completed by one of them."""
        for recorded in records:
            kind = type(recorded.event)
            if kind not in _OBSERVED:
                continue
            task_id = recorded.entity_id
            if kind in _BEGINNINGS:
                if task_id not in self._begun_at_s:
                    self._begun_at_s[task_id] = recorded.time.timestamp()
            elif kind in _ENDS:
                self._begun_at_s.pop(task_id, None)
            else:
                self._finished(recorded, task_of(task_id))

    def expected_s(self, task: Task) -> float:
        """Return how long a task is expected to take an agent of the usual pace.

        Its own estimate, times what estimates have turned out to be worth. Without one, the median of the last tasks
        with the same labels and required capabilities; if there was none, of those with one of its labels, else of all.
        """
        hours = task.definition.estimated_hours
        if hours is not None:
            return hours * 3600.0 * (self._of_estimates.median if self._of_estimates.last else 1.0)
        times = self._times_of(task)
        if times is not None:
            return times.median
        return self._all.median if self._all.last else UNKNOWN_S

    def remaining_s(self, task: Task, elapsed_s: float, percent: int, pace: float) -> float:
        """Return how long a begun task is expected to take on.

        As it went on so far, if its holder reported progress. Else the median of what those take on that took longer
        than it has by now; if none did, as long again.
        """
        elapsed_s = max(elapsed_s, 0.0)
        if percent > 0:
            return elapsed_s * (100 - percent) / percent
        estimated = task.definition.estimated_hours is not None
        times = None if estimated else self._times_of(task)
        longer = [each * pace for each in times.rising if each * pace > elapsed_s] if times is not None else []
        if longer:
            return _median(longer) - elapsed_s
        expected_s = self.expected_s(task) * pace
        return expected_s - elapsed_s if elapsed_s < expected_s else elapsed_s

    def pace(self, agent_id: str) -> float:
        """Return how long an agent takes, as a multiple of what is expected; 1 while too little is known."""
        ratios = self._paces.get(agent_id)
        if ratios is None or len(ratios.last) < ENOUGH_FOR_PACE:
            return 1.0
        return min(max(ratios.median, PACES[0]), PACES[1])

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON has it; `loaded` takes it."""
        return {
            "all": list(self._all.last),
            "of_estimates": list(self._of_estimates.last),
            "by_kind": [[kind, list(times.last)] for kind, times in self._by_kind.items()],
            "by_label": [[label, list(times.last)] for label, times in self._by_label.items()],
            "paces": [[agent_id, list(ratios.last)] for agent_id, ratios in self._paces.items()],
            "ended_at_s": [[agent_id, at_s] for agent_id, at_s in self._ended_at_s.items()],
            "begun_at_s": self._begun_at_s.copy(),
        }

    @classmethod
    def loaded(cls, dumped: Mapping[str, Any]) -> WorkTimes:
        """Return what `dump` gave.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is something else.
        """
        found = cls()
        found._all = _Times(map(float, dumped["all"]))
        found._of_estimates = _Times(map(float, dumped["of_estimates"]))
        for (labels, capabilities), times in dumped["by_kind"]:
            found._by_kind[tuple(labels), tuple(capabilities)] = _Times(map(float, times))
        for label, times in dumped["by_label"]:
            found._by_label[str(label)] = _Times(map(float, times))
        for agent_id, ratios in dumped["paces"]:
            found._paces[str(agent_id)] = _Times(map(float, ratios), _PACE_WINDOW)
        found._ended_at_s.update((str(agent_id), float(at_s)) for agent_id, at_s in dumped["ended_at_s"])
        found._begun_at_s = {str(task_id): float(at_s) for task_id, at_s in dumped["begun_at_s"].items()}
        return found

    def _finished(self, recorded: Recorded, task: Task | None) -> None:
        event: Any = recorded.event
        begun_at_s = self._begun_at_s.pop(recorded.entity_id, None)
        agent_id, since_grant_s = event.agent_id, event.duration_s
        if event.late or agent_id is None or since_grant_s is None or task is None:
            return
        now_s = recorded.time.timestamp()
        if begun_at_s is None:
            begun_at_s = max(now_s - since_grant_s, self._ended_at_s.get(agent_id, 0.0))
        took_s = max(now_s - begun_at_s, 0.0)
        _keep(self._ended_at_s, agent_id, now_s)
        hours, times = task.definition.estimated_hours, self._times_of(task)
        usual_s = self.expected_s(task) if hours is not None or times is not None else 0.0
        if usual_s > 0:
            _window(self._paces, agent_id, _PACE_WINDOW).add(took_s / usual_s)
        if hours:
            self._of_estimates.add(took_s / (hours * 3600.0))
        self._all.add(took_s)
        _window(self._by_kind, _kind_of(task), DURATION_WINDOW).add(took_s)
        for label in task.definition.labels:
            _window(self._by_label, label, DURATION_WINDOW).add(took_s)

    def _times_of(self, task: Task) -> _Times | None:
        """Return the times of the tasks that are most like it, if there were any."""
        times = self._by_kind.get(_kind_of(task))
        if times is not None:
            return times
        of_labels = (self._by_label.get(label) for label in task.definition.labels)
        return next((each for each in of_labels if each is not None), None)


def _kind_of(task: Task) -> _Kind:
    return task.definition.labels, task.definition.required_capabilities


def _window(windows: OrderedDict[Any, _Times], key: object, window: int) -> _Times:
    times = windows.get(key)
    if times is None:
        times = _Times(window=window)
    _keep(windows, key, times)
    return times


def _keep(kept: OrderedDict[Any, Any], key: object, value: object) -> None:
    """Set what is kept of a key, at the end; drop the first beyond `MAX_KEPT`."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MAX_KEPT:
        kept.popitem(last=False)


def _median(rising: Sequence[float]) -> float:
    """Return the middle of values in rising order; of an even number the mean of the two."""
    middle = len(rising) // 2
    return rising[middle] if len(rising) % 2 else (rising[middle - 1] + rising[middle]) / 2
