"""All that a service remembers of a pool: the state and the views over acknowledged events, rebuilt from the log."""

from __future__ import annotations

import gc
import logging
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from domain.errors import FoldError
from domain.events import Entity
from domain.events.agent import Registered
from domain.lifecycles import IllegalTransitionError
from handlers.lookup import Lookup, fold_agent
from handlers.outcomes import Outcomes
from handlers.ports import UnreadableEventError
from projections.directives import Directives
from projections.state import PoolState
from projections.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domain.draft import EntityKey
    from domain.recorded import Recorded
    from domain.rules import Rules
    from handlers.ports import Codec, EventLog, StoredMessage

_LOG = logging.getLogger(__name__)
_NAMED_UNREADABLE = 20
_REGISTERED = f".{Registered.name}"


class Unreadable(NamedTuple):
    """A message of the log that every fold skips."""

    position: int
    reason: str


class Memory:
    """A pool's state and views at one position."""

    def __init__(self, pool_id: str, rules: Rules, codec: Codec, *, outcomes: int) -> None:
        self.codec = codec
        self.pool_id = pool_id
        self.rules = rules
        self._outcomes = outcomes
        self._tail: StoredMessage | None = None
        self._tail_hash: str | None = None
        self.reset()

    @property
    def tail_hash(self) -> str | None:
        """Hash of the message at the state's position; None for an empty log."""
        if self._tail is not None:
            self._tail_hash = self.codec.hash_of(self._tail)
            self._tail = None
        return self._tail_hash

    @tail_hash.setter
    def tail_hash(self, tail_hash: str | None) -> None:
        self._tail_hash = tail_hash
        self._tail = None

    def reset(self) -> None:
        """Forget everything, to be rebuilt from the log."""
        self.state = PoolState(self.pool_id, self.rules)
        self.outcomes = Outcomes(self._outcomes)
        self.directives = Directives()
        self.statistics = Statistics()
        self.tail_hash = None
        self.unreadable_count = 0
        self.unreadable: list[Unreadable] = []
        """The first of them, for `query.health`."""

    def adopt(
        self,
        state: PoolState,
        statistics: Statistics,
        directives: Directives,
        tail_hash: str | None,
        unreadable: tuple[int, list[Unreadable]],
    ) -> None:
        """Take over what a snapshot holds, the outcomes apart."""
        self.state, self.statistics, self.directives, self.tail_hash = state, statistics, directives, tail_hash
        self.unreadable_count, self.unreadable = unreadable

    def fold(self, message: StoredMessage) -> Recorded | None:
        """Apply one message of the log; return its event, or None where it was skipped."""
        # Its hash is looked at when somebody asks: reading the headers of every message is a tenth of a rebuild.
        self._tail = message
        try:
            recorded = self.codec.decode(message)
            self.state.fold(recorded)
        except (UnreadableEventError, FoldError, IllegalTransitionError) as error:
            self._skip(message.position, str(error))
            return None
        self.observe(recorded)
        return recorded

    def forgotten(self, message: StoredMessage) -> EntityKey | None:
        """Return the agent that a message registers, if it may be one that ended and left memory; else None."""
        if not self.state.evicted_through or not message.subject.endswith(_REGISTERED):
            return None
        key = (Entity.AGENT, message.subject.removesuffix(_REGISTERED).rpartition(".")[2])
        return None if self.state.knows(key) else key

    def observe(self, recorded: Recorded) -> None:
        """Let the views follow one acknowledged event."""
        if recorded.keyed:
            self.outcomes.observe(recorded)
        self.directives.apply(recorded)
        self.statistics.observe(recorded)

    def _skip(self, position: int, reason: str) -> None:
        self.state.skip(position)
        self.unreadable_count += 1
        if len(self.unreadable) < _NAMED_UNREADABLE:
            self.unreadable.append(Unreadable(position, reason))
        _LOG.warning("skipped position %d: %s", position, reason)


async def catch_up(
    memory: Memory,
    log: EventLog,
    *,
    until: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    seen: Callable[[Recorded], None] | None = None,
) -> int:
    """Fold what the log holds beyond the memory's position; return the position reached.

    `until`: stop there instead of at the log's end. `progress` is told the position reached and the goal; `seen` each
    event that was applied. Raises LogUnavailableError.
    """
    goal = await log.last_position() if until is None else until
    if goal > memory.state.position:
        with _rebuilding(memory.state) if memory.state.position == 0 else nullcontext():
            async for chunk in log.read(after=memory.state.position, until=goal):
                await _fold_chunk(memory, log, chunk, seen)
                if progress is not None:
                    progress(memory.state.position, goal)
    return memory.state.position


@contextmanager
def _rebuilding(state: PoolState) -> Iterator[None]:
    """Fold a whole log: the indexes come last, and no garbage is looked for, which takes a third of the time.

    What a fold makes is kept, or freed by counting.
    """
    collecting = gc.isenabled()
    state.begin_rebuild()
    gc.disable()
    try:
        yield
    finally:
        state.end_rebuild()
        if collecting:
            gc.enable()


async def _fold_chunk(
    memory: Memory, log: EventLog, chunk: Sequence[StoredMessage], seen: Callable[[Recorded], None] | None
) -> None:
    for message in chunk:
        key = memory.forgotten(message)
        if key is not None:
            await _recall(memory, log, key, message.position)
        recorded = memory.fold(message)
        if recorded is not None and seen is not None:
            seen(recorded)


async def _recall(memory: Memory, log: EventLog, key: EntityKey, position: int) -> None:
    """Bring an ended agent back to memory that registers again, as it was before `position`."""
    lookup = Lookup(memory.pool_id, log, memory.codec)
    agent = fold_agent(await lookup.records(key), until=position - 1)
    if agent is not None:
        memory.state.load(key, agent)
