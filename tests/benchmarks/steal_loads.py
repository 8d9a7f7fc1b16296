"""Loads for the comparison of ways to level work: tasks with their true durations, and the agents' paces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple


class Work(NamedTuple):
    """A task as its submitter describes it, and how long it really takes an agent of the usual pace, in seconds."""

    definition: dict[str, Any]
    takes_s: float


class Load(NamedTuple):
    """Tasks that are given to few agents, what was done before, and how long each agent takes, as a multiple."""

    tasks: Sequence[Work]
    before: Sequence[Work]
    paces: Sequence[float]

    @property
    def lower_bound_s(self) -> float:
        """No way to share the tasks is quicker: all agents at work all the time, or the longest on the quickest."""
        shared_s = sum(task.takes_s for task in self.tasks) / sum(1 / pace for pace in self.paces)
        return max(shared_s, max(task.takes_s for task in self.tasks) * min(self.paces))


BEFORE = 60
"""Tasks that were done before, so that durations are known where anything tells them."""


def _heavy(random: Random) -> Work:
    return Work({}, 60 * math.exp(random.gauss(0, 1)))


def _estimated(random: Random) -> Work:
    takes_s = 60 * math.exp(random.gauss(0, 1))
    return Work({"estimated_hours": max(takes_s * math.exp(random.gauss(0, 0.5)) / 3600, 0.001)}, takes_s)


def _labelled(random: Random) -> Work:
    size = random.random()
    label, usual_s = ("small", 20) if size < 0.6 else ("medium", 80) if size < 0.9 else ("large", 320)
    return Work({"labels": [label]}, usual_s * math.exp(random.gauss(0, 0.3)))


def _two_kinds(random: Random) -> Work:
    label, usual_s = ("test", 20) if random.random() < 0.8 else ("build", 200)
    return Work({"labels": [label]}, usual_s * random.uniform(0.8, 1.2))


def _uniform(random: Random) -> Work:
    return Work({}, random.uniform(30, 90))


class Kind(NamedTuple):
    """A kind of load: what it is, and how its tasks are made."""

    title: str
    task: Callable[[Random], Work]
    paces: Sequence[float] = (1.0,)


KINDS = {
    "labelled": Kind("heavy-tailed, sizes known by label", _labelled),
    "estimated": Kind("heavy-tailed, with estimates (half as long to twice as long)", _estimated),
    "unknown": Kind("heavy-tailed, nothing known", _heavy),
    "two_kinds": Kind("two kinds, 20 s and 200 s, known by label", _two_kinds),
    "uniform": Kind("uniform, 30 to 90 s", _uniform),
    "paces": Kind("two kinds, agents that take 0.7, 1 or 1.6 times as long", _two_kinds, (0.7, 1.0, 1.6)),
}


def make_load(kind: str, agents: int, tasks: int, seed: int) -> Load:
    """Return a load; the same seed makes the same one."""
    random, made = Random(f"{kind} {seed}"), KINDS[kind]
    work = [made.task(random) for _ in range(tasks)]
    before = [made.task(random) for _ in range(BEFORE)]
    return Load(work, before, [random.choice(made.paces) for _ in range(agents)])
