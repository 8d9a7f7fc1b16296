"""A folded state as lines of JSON, and back: what a snapshot of a pool consists of.

A line is a kind, a space and a JSON value. Indexes are not written; they follow from the entities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError

from domain.agent import Agent
from domain.events import EVENT_TYPES, Entity
from domain.events.steal import StealCompleted, StealEnded, StealFailed
from domain.pool import Pool
from domain.rules import Rules
from domain.steal import Steal
from domain.task import Task
from domain.timestamps import format_timestamp, parse_timestamp
from domain.untrusted_json import parse_json
from projections.state.directives import Directives, Stop
from projections.state.last_heard import LastHeard
from projections.state.pool_state import Live, PoolState
from projections.state.shared_values import SharedReader, SharedWriter, checked
from projections.state.statistics import Statistics

LINE_ENTITIES = 100
"""Entities in one line: writing it holds the interpreter for half a millisecond, so the writer hardly notices."""


_LISTS: dict[str, Any] = {"task": list[Task], "agent": list[Agent], "steal": list[Steal]}
_STEAL_ENDED: TypeAdapter[StealEnded] = TypeAdapter(StealCompleted | StealFailed)
_RECENT = "recent-"
_SHARED = "shared"


DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading an image raises if its values are not what this version writes."""


class SnapshotError(ValueError):
    """The snapshot cannot be used by this version; its message says why in one line."""


class StateImage(NamedTuple):
    """A state, its views' counts and directives at one position; entities are immutable, so it is a shallow copy."""

    position: int
    last_time: datetime
    evicted_through: int
    ended_through: int
    pool: Pool
    tasks: Sequence[Task]
    agents: Sequence[Agent]
    steals: Sequence[Steal]
    recent: Sequence[Task | Agent | Steal]
    """Ended entities, in the order in which they ended or were loaded."""
    statistics: dict[str, Any]
    directives: dict[str, dict[str, Stop]]
    last_heard: dict[str, str]
    """Actor of each agent -> when it was heard last, by the log."""


def capture(
    state: PoolState,
    statistics: Statistics,
    directives: Directives,
    last_heard: LastHeard,
    tasks: Sequence[Task] | None = None,
) -> StateImage:
    """Return the image of a state that is acknowledged as a whole. `tasks`: instead of the live ones."""
    return StateImage(
        state.position,
        state.last_time,
        state.ended.evicted_through,
        state.ended.ended_through,
        state.pool,
        list(state.tasks.values()) if tasks is None else tasks,
        list(state.agents.values()),
        list(state.steals.values()),
        [*(each for each in state.ended.recent.values() if not isinstance(each, Pool)), *state.ended.steals.values()],
        statistics.dump(),
        directives.dump(),
        last_heard.dump(),
    )


def lines(image: StateImage) -> Iterator[bytes]:
    """Write an image."""
    shared = SharedWriter()

    def write_model(model: BaseModel) -> Any:
        number = shared.number(model)
        return msgspec.Raw(model.model_dump_json().encode()) if number is None else number

    write = msgspec.json.Encoder(enc_hook=write_model).encode

    def entities_line(kind: str, entities: Sequence[Task | Agent | Steal]) -> Iterator[bytes]:
        line = kind.encode() + b" " + write(entities)
        new = shared.take_new()
        if new:
            yield _SHARED.encode() + b" " + write(new)
        yield line

    yield _line(
        "state",
        {
            "position": image.position,
            "last_time": format_timestamp(image.last_time),
            "evicted_through": image.evicted_through,
            "ended_through": image.ended_through,
        },
    )
    yield b"pool " + write(image.pool)
    for kind, entities in (("task", image.tasks), ("agent", image.agents), ("steal", image.steals)):
        for start in range(0, len(entities), LINE_ENTITIES):
            yield from entities_line(kind, entities[start : start + LINE_ENTITIES])
    for entity in image.recent:
        yield from entities_line(_RECENT + _kind(entity), [entity])
    yield _line("statistics", image.statistics)
    yield _line("directives", image.directives)
    yield _line("last_heard", image.last_heard)


class ImageReader:
    """Takes the lines of an image, in the order in which they were written; `image` is what they make."""

    def __init__(self) -> None:
        self._single: dict[str, Any] = {}
        self._live: dict[str, list[Any]] = {kind: [] for kind in _LISTS}
        self._recent: list[Task | Agent | Steal] = []
        self._shared = SharedReader()
        self._read_pool = msgspec.json.Decoder(Pool).decode
        self._read_list: dict[str, Callable[[bytes], list[Any]]] = {
            name: msgspec.json.Decoder(kind, dec_hook=self._read_model).decode for name, kind in _LISTS.items()
        }

    def _read_model(self, kind: type[BaseModel], value: Any) -> BaseModel:
        if type(value) is int:
            return self._shared.get(kind, value)
        return _steal_end(value) if kind is StealEnded else checked(kind, value)

    def take(self, kind: str, value: bytes) -> bool:
        """Read one line; return whether its kind is an image's.

        Raises:
            SnapshotError: the value is not of its kind.
        """
        try:
            if kind in self._live:
                self._live[kind].extend(self._read_list[kind](value))
            elif kind.startswith(_RECENT) and kind.removeprefix(_RECENT) in self._read_list:
                self._recent.extend(self._read_list[kind.removeprefix(_RECENT)](value))
            elif kind == _SHARED:
                self._shared.add(parse_json(value))
            elif kind == "pool":
                self._single[kind] = self._read_pool(value)
            elif kind in {"state", "statistics", "directives", "last_heard"}:
                self._single[kind] = parse_json(value)
            else:
                return False
        except DAMAGE as error:
            raise SnapshotError(f"{kind}: {error}") from error
        return True

    def image(self) -> StateImage:
        """Return the image.

        Raises:
            SnapshotError: something is missing or ill-formed.
        """
        try:
            state = self._single["state"]
            return StateImage(
                int(state["position"]),
                parse_timestamp(state["last_time"]),
                int(state["evicted_through"]),
                int(state["ended_through"]),
                self._single["pool"],
                self._live["task"],
                self._live["agent"],
                self._live["steal"],
                self._recent,
                self._single["statistics"],
                self._single["directives"],
                self._single["last_heard"],
            )
        except DAMAGE as error:
            raise SnapshotError(f"incomplete: {type(error).__name__} {error}") from error


def restored(image: StateImage, rules: Rules) -> PoolState:
    """Return the state of an image, its indexes made anew by these rules; raises SnapshotError."""
    try:
        return PoolState.restored(
            image.pool,
            rules,
            live=Live(image.tasks, image.agents, image.steals),
            recent={_key(each): each for each in image.recent},
            committed=(image.position, image.last_time),
            evicted_through=image.evicted_through,
            ended_through=image.ended_through,
        )
    except DAMAGE as error:
        raise SnapshotError(f"its entities contradict each other: {type(error).__name__} {error}") from error


def statistics_of(image: StateImage) -> Statistics:
    """Return the counts of an image; raises SnapshotError."""
    try:
        return Statistics.loaded(image.statistics, EVENT_TYPES, image.tasks)
    except DAMAGE as error:
        raise SnapshotError(f"statistics: {type(error).__name__} {error}") from error


def directives_of(image: StateImage) -> Directives:
    """Return the directives of an image; raises SnapshotError."""
    try:
        return Directives.loaded(image.directives)
    except DAMAGE as error:
        raise SnapshotError(f"directives: {error}") from error


def last_heard_of(image: StateImage) -> LastHeard:
    """Return when agents were heard last, by an image; raises SnapshotError."""
    try:
        return LastHeard.loaded(image.last_heard)
    except DAMAGE as error:
        raise SnapshotError(f"last_heard: {error}") from error


def _steal_end(value: Any) -> StealEnded:
    try:
        return _STEAL_ENDED.validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from error


def _line(kind: str, value: Any) -> bytes:
    # The standard library's encoder holds the interpreter for ten times as long: 0.2 s with 100,000 leases.
    return kind.encode() + b" " + msgspec.json.encode(value)


def _kind(entity: Task | Agent | Steal) -> str:
    return _key(entity)[0].value


def _key(entity: Task | Agent | Steal) -> tuple[Entity, str]:
    if isinstance(entity, Task):
        return (Entity.TASK, entity.task_id)
    if isinstance(entity, Agent):
        return (Entity.AGENT, entity.agent_id)
    return (Entity.STEAL, entity.operation_id)
