"""Which agent steals from which by the policy `threshold`, and the settings of both policies.

Source of this policy: the work-stealing coordinator. The other one is in `balancing`.

One pass: the agents that are overloaded at its start, in registration order, each move tasks to one target. Loads
are updated after each move and the underloaded agents are determined again, so one target is not flooded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from domain.limits import MAX_STEAL_TASKS
from domain.timestamps import after

TARGET_SCORE_ABOVE: Final = 0.5
DURATION_WINDOW: Final = 50
"""How many of the last finished tasks the average duration covers."""

_UNKNOWN_MATCH: Final = 0.5


class StealPolicy(StrEnum):
    """How it is decided which tasks move."""

    BALANCE = "balance"
    """By expected durations, when an agent has nothing to do."""
    THRESHOLD = "threshold"
    """By counts, in a pass at every interval."""


class LoadStatus(StrEnum):
    """The class of an agent's load."""

    OVERLOADED = "overloaded"
    NORMAL = "normal"
    UNDERLOADED = "underloaded"


@dataclass(frozen=True, slots=True)
class Load:
    """An agent's load as a pass sees it: tasks held, cpu in percent, how many tasks it may hold (None: no limit)."""

    agent_id: str
    tasks: int
    cpu: float = 0.0
    capabilities: frozenset[str] = frozenset()
    priority: float = 1.0
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class StealConfig:
    """The stealer's settings; a value out of range raises a ``ValueError`` that names the field."""

    steal_threshold: int = 3
    """Policy threshold: a move needs at least this difference in tasks between source and target."""
    max_steal_batch: int = 2
    """Policy threshold: a move takes at most this many tasks; so does an operator's that does not say how many."""
    min_tasks_to_steal: int = 1
    """Policy threshold: nothing is stolen from a source with fewer tasks."""
    interval_s: float = 10.0
    """Seconds from one pass to the next; the policy balance also plans in between, by events."""
    cooldown_s: float = 60.0
    """Seconds for which a stolen task is not stolen again."""
    enabled: bool = True
    policy: StealPolicy = StealPolicy.BALANCE
    move_cost_s: float = 1.0
    """Policy balance: what a move costs, in seconds. A task moves only if that lets it begin sooner by more than twice
    this, and is left alone for this long after it was assigned, for its holder may be about to begin it."""
    share: float = 0.5
    """Policy balance: the part of a level load that an agent gets at once which did not say how many tasks it wants."""
    overloaded_above_tasks: int = 8
    """An agent with more tasks than this is overloaded. Only the policy threshold asks."""
    overloaded_above_cpu: float = 80.0
    """An agent whose cpu is above this percentage is overloaded. By the policy balance it receives nothing."""
    underloaded_below_tasks: int = 2
    """Policy threshold: an agent with fewer tasks than this, and less cpu than below, is underloaded."""
    underloaded_below_cpu: float = 30.0
    """Policy threshold: an agent with less cpu than this percentage, and fewer tasks than above, is underloaded."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        object.__setattr__(self, "policy", StealPolicy(self.policy))
        for name, low, high in _STEAL_LIMITS:
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}")

    def load_status(self, tasks: int, cpu: float) -> LoadStatus:
        """Return the class of a load. Overloaded goes before underloaded, so no agent is both, whatever the limits."""
        if tasks > self.overloaded_above_tasks or cpu > self.overloaded_above_cpu:
            return LoadStatus.OVERLOADED
        if tasks < self.underloaded_below_tasks and cpu < self.underloaded_below_cpu:
            return LoadStatus.UNDERLOADED
        return LoadStatus.NORMAL

    def is_overloaded(self, tasks: int, cpu: float) -> bool:
        """Return whether a load is too much."""
        return self.load_status(tasks, cpu) is LoadStatus.OVERLOADED

    def is_underloaded(self, tasks: int, cpu: float) -> bool:
        """Return whether an agent with this load may be given more."""
        return self.load_status(tasks, cpu) is LoadStatus.UNDERLOADED


_STEAL_LIMITS: Final = (
    ("steal_threshold", 0, 1_000_000),
    ("max_steal_batch", 1, MAX_STEAL_TASKS),
    ("min_tasks_to_steal", 0, 1_000_000),
    ("interval_s", 0.1, 86_400.0),
    ("cooldown_s", 0.0, 86_400.0),
    ("move_cost_s", 0.0, 86_400.0),
    ("share", 0.01, 1.0),
    ("overloaded_above_tasks", 0, 1_000_000),
    ("overloaded_above_cpu", 0.0, 100.0),
    ("underloaded_below_tasks", 0, 1_000_000),
    ("underloaded_below_cpu", 0.0, 100.0),
)


@dataclass(frozen=True, slots=True)
class Move:
    """A move of `count` tasks, at least one, from one agent to another."""

    source: str
    target: str
    count: int


def loads_since(now: datetime, load_valid_s: float) -> datetime:
    """Return the moment since which a load must have been reported to count now."""
    return after(now, -load_valid_s)


def capability_match(source: Iterable[str], target: Iterable[str]) -> float:
    """Return the similarity of two agents, 0 to 1: shared capabilities over the larger set, 0.5 if either has none.

    Order and duplicates do not matter.
    """
    ours, theirs = frozenset(source), frozenset(target)
    if not ours or not theirs:
        return _UNKNOWN_MATCH
    return len(ours & theirs) / max(len(ours), len(theirs))


def target_score(source: Load, target: Load) -> float:
    """Return the score of `target` for a steal from `source`; only one above `TARGET_SCORE_ABOVE` is enough."""
    match = capability_match(source.capabilities, target.capabilities)
    return 0.4 * match + 0.4 * (source.tasks - target.tasks) + 0.1 * target.priority


def overloaded_sources(config: StealConfig, agents: Sequence[Load]) -> list[Load]:
    """Return the agents that a pass steals from, in the given order (registration); none if stealing is disabled."""
    if not config.enabled:
        return []
    return [a for a in agents if config.is_overloaded(a.tasks, a.cpu) and a.tasks >= config.min_tasks_to_steal]


def next_target(config: StealConfig, source: Load, agents: Sequence[Load]) -> Move | None:
    """Return the one move of a pass for `source`, or None if there is none.

    `agents` are the loads as they stand now, earlier moves of the pass included, in registration order. The
    target is the underloaded agent with room that scores highest, if enough; the first wins ties. If the
    difference to it is below the threshold nothing moves: no other agent is tried. See `move_count` for how many.
    """
    if not config.enabled:
        return None
    others = (a for a in agents if a.agent_id != source.agent_id)
    able = [a for a in others if config.is_underloaded(a.tasks, a.cpu) and _has_room(a)]
    target = max(able, key=lambda a: target_score(source, a), default=None)
    if target is None or target_score(source, target) <= TARGET_SCORE_ABOVE:
        return None
    count = move_count(config, source.tasks, target.tasks, target.capacity)
    return Move(source.agent_id, target.agent_id, count) if count > 0 else None


def steal_batch(config: StealConfig, source_tasks: int, target_tasks: int) -> int:
    """Return half the difference between two agents, rounded down, and at most a batch."""
    return min((source_tasks - target_tasks) // 2, config.max_steal_batch)


def move_count(config: StealConfig, source_tasks: int, target_tasks: int, target_capacity: int | None) -> int:
    """Return how many tasks a pass moves between two agents; 0 if the difference is below the threshold.

    The count is the least of half the difference (rounded down), the batch and the target's room.
    """
    if source_tasks - target_tasks < config.steal_threshold:
        return 0
    count = steal_batch(config, source_tasks, target_tasks)
    if target_capacity is not None:
        count = min(count, target_capacity - target_tasks)
    return max(count, 0)


def _has_room(agent: Load) -> bool:
    return agent.capacity is None or agent.tasks < agent.capacity


def average_duration_s(durations_s: Sequence[float]) -> float | None:
    """Return the mean of the last `DURATION_WINDOW` durations in seconds, or None if there are none."""
    window = durations_s[-DURATION_WINDOW:]
    return sum(window) / len(window) if window else None
