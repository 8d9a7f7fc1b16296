"""Which tasks move to agents that have nothing to do: the policy `balance`.

A load is the time that an agent's tasks are expected to take, not their number. A plan goes by turns: of the targets
the one that has the least to do takes a task from the source that would be at work the longest. It takes the task
that levels the two best, which is the longest one while the difference is large, so that few moves do; of equal ones
the latest assigned, which would wait the longest. A task moves only if it is expected to begin sooner for it, by more
than the move costs, and to end before its source would be through: a move that would only turn the difference round is
not made.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WORTH = 2.0
"""A task moves if it begins sooner by more than so many times what a move costs, for what is expected is uncertain."""
_VAIN = 16


class Unstarted(NamedTuple):
    """A task that its holder has not begun."""

    task_id: str
    expected_s: float
    """How long it takes an agent of the usual pace."""
    required: frozenset[str] = frozenset()
    """The capabilities that it requires."""
    not_for: frozenset[str] = frozenset()
    """Agents to which it does not move: it was stolen from them, or they failed it last."""


class Source(NamedTuple):
    """An agent that holds tasks which it has not begun, and what it has to do before them. Times are expected ones."""

    agent_id: str
    begun_s: float
    """What is left of all the tasks that it has begun."""
    unstarted: Sequence[Unstarted]
    """The tasks that may move, the latest assigned first."""
    others_s: float = 0.0
    """What the tasks take that it has not begun either and that do not move; they come first."""
    at_once: int = 1
    """On how many tasks it works at the same time."""
    pace: float = 1.0
    """How long it takes for a task, as a multiple of the usual time."""


class Target(NamedTuple):
    """An agent that has nothing to do."""

    agent_id: str
    wants: int
    """How many tasks it takes at most."""
    capabilities: frozenset[str] = frozenset()
    asked: bool = False
    """Whether it said how many it wants, with claims that wait; else it gets a share of a level load."""
    pace: float = 1.0
    priority: float = 1.0
    """Of targets that have as little to do the one with the highest priority comes first."""


class BalancingMove(NamedTuple):
    """Tasks that move from one agent to another, with the numbers that speak for it."""

    source: str
    target: str
    task_ids: tuple[str, ...]
    gain_s: float
    """By how much sooner the tasks are expected to begin, in all."""


def plan_moves(
    sources: Sequence[Source], targets: Sequence[Target], *, move_cost_s: float, share: float, most: int
) -> list[BalancingMove]:
    """Return the moves that level the loads, at most `most` tasks in all.

    No agent is both a source and a target. The first of equal sources and targets comes first. Targets that can do the
    same are given up together when `_VAIN` of them found nothing. The cost follows the tasks that move, times what is
    listed of a source where tasks differ.
    """
    lines = [_Line(source) for source in sources if source.unstarted]
    by_end = [(-line.ends_s, number) for number, line in enumerate(lines)]
    heapq.heapify(by_end)
    enough_s = share * _level_s(lines, len(targets))
    waiting = [(0.0, -target.priority, number, 0) for number, target in enumerate(targets) if target.wants > 0]
    heapq.heapify(waiting)
    moved: dict[tuple[str, str], list[_Taken]] = {}
    vain: Counter[frozenset[str]] = Counter()
    count = 0
    while waiting and by_end and count < most:
        busy_s, rank, number, received = heapq.heappop(waiting)
        target = targets[number]
        if vain[target.capabilities] >= _VAIN:
            continue
        taken = _take(lines, by_end, target, busy_s + move_cost_s, WORTH * move_cost_s)
        if taken is None:
            vain[target.capabilities] += 1
            continue
        count += 1
        moved.setdefault((taken.source, target.agent_id), []).append(taken)
        busy_s, received = busy_s + taken.expected_s * target.pace, received + 1
        if received < target.wants and (target.asked or busy_s < enough_s):
            heapq.heappush(waiting, (busy_s, rank, number, received))
    return [
        BalancingMove(source, target, tuple(each.task_id for each in taken), sum(each.gain_s for each in taken))
        for (source, target), taken in moved.items()
    ]


def _level_s(lines: Sequence[_Line], targets: int) -> float:
    """Return for how long all would be at work if the loads were level."""
    hands = targets + sum(line.at_once for line in lines)
    return sum(line.ends_s * line.at_once for line in lines) / hands if hands else 0.0


class _Taken(NamedTuple):
    source: str
    task_id: str
    expected_s: float
    gain_s: float


def _take(
    lines: Sequence[_Line], by_end: list[tuple[float, int]], target: Target, begins_s: float, worth_s: float
) -> _Taken | None:
    """Take a task for a target on which it would begin in `begins_s`, from the source with the most to do that has one.

    `worth_s`: by how much sooner it has to begin for that.
    """
    passed: list[tuple[float, int]] = []
    taken: _Taken | None = None
    while by_end and taken is None and -by_end[0][0] > begins_s:
        end, number = heapq.heappop(by_end)
        taken = lines[number].take(target, begins_s, worth_s)
        if taken is not None:
            end = -lines[number].ends_s
        passed.append((end, number))
    for each in passed:
        if lines[each[1]].left:
            heapq.heappush(by_end, each)
    return taken


class _Line:
    """What one source has to do, in the order in which it comes to it; tasks are taken out of it."""

    def __init__(self, source: Source) -> None:
        self.at_once = source.at_once
        self.left = len(source.unstarted)
        self._source = source
        self._work_s = (
            source.begun_s + source.others_s + sum(each.expected_s * source.pace for each in source.unstarted)
        )
        self._gone = [False] * self.left
        lengths: dict[float, list[int]] = {}
        for number in range(self.left - 1, -1, -1):
            lengths.setdefault(source.unstarted[number].expected_s, []).append(number)
        self._by_length = dict(sorted(lengths.items(), reverse=True))
        """By what they take, the longest first: the numbers of the tasks, the latest assigned last."""

    @property
    def ends_s(self) -> float:
        """In how many seconds it is through."""
        return self._work_s / self.at_once

    def take(self, target: Target, begins_s: float, worth_s: float) -> _Taken | None:
        """Take out the task that levels the two best, among those that begin and end sooner at the target by enough.

        That is the longest with which the target is through before the source, or the next longer one.
        """
        best: tuple[float, float, int] | None = None
        for length_s in self._by_length:
            target_ends_s = begins_s + length_s * target.pace
            if target_ends_s >= self.ends_s:
                continue
            place = self._place(length_s, target, begins_s + worth_s)
            if place is None:
                continue
            source_ends_s = (self._work_s - length_s * self._source.pace) / self.at_once
            later_s = max(target_ends_s, source_ends_s)
            if best is None or later_s < best[0]:
                best = (later_s, length_s, place)
            if target_ends_s <= source_ends_s:
                break
        return None if best is None else self._take_out(best[1], best[2], begins_s)

    def _take_out(self, length_s: float, place: int, begins_s: float) -> _Taken:
        numbers = self._by_length[length_s]
        number = numbers.pop(place)
        gain_s = self._begins_s(number) - begins_s
        if not numbers:
            del self._by_length[length_s]
        self._gone[number] = True
        self.left -= 1
        self._work_s -= length_s * self._source.pace
        return _Taken(self._source.agent_id, self._source.unstarted[number].task_id, length_s, gain_s)

    def _place(self, length_s: float, target: Target, later_than_s: float) -> int | None:
        """Return the place of the latest assigned task of a length that the target can do, and would wait for so long.

        Those assigned before it would wait for less.
        """
        numbers = self._by_length[length_s]
        for place in range(len(numbers) - 1, -1, -1):
            task = self._source.unstarted[numbers[place]]
            if task.required <= target.capabilities and target.agent_id not in task.not_for:
                return place if self._begins_s(numbers[place]) > later_than_s else None
        return None

    def _begins_s(self, number: int) -> float:
        """Return in how many seconds the source would begin a task: it and what is behind it come off the end."""
        unstarted, pace = self._source.unstarted, self._source.pace
        behind_s = sum(unstarted[each].expected_s for each in range(number + 1) if not self._gone[each])
        return (self._work_s - behind_s * pace) / self.at_once
