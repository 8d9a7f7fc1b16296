"""All that a service remembers of a pool: the state and the views over acknowledged events, rebuilt from the log."""

from __future__ import annotations

import gc
import logging
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from handlers.memory.outcomes import Outcomes
from handlers.ports import UnreadableEventError
from projections.state.directives import Directives
from projections.state.pool_state import PoolState
from projections.state.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domain.recorded import Recorded
    from domain.rules import Rules
    from handlers.ports import Codec, ReadableLog, StoredMessage

_LOG = logging.getLogger(__name__)
_NAMED_UNREADABLE = 20
_FOLDED_AT_ONCE = 128
"""Messages that are first all decoded, then all applied, then all observed: a fifth less than one after the other."""


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

    def fold(
        self,
        messages: Sequence[StoredMessage],
        seen: Callable[[Recorded], None] | None = None,
        skipped: Callable[[StoredMessage, str], None] | None = None,
    ) -> None:
        """Apply messages of the log in order; `seen` is told what was applied, `skipped` the rest, and why."""
        # Who is told of each event looks at the state as it is then; else each step is done for many at once.
        at_once = _FOLDED_AT_ONCE if seen is None and skipped is None else 1
        for start in range(0, len(messages), at_once):
            self._fold(messages[start : start + at_once], seen, skipped)

    def _fold(
        self,
        messages: Sequence[StoredMessage],
        seen: Callable[[Recorded], None] | None,
        skipped: Callable[[StoredMessage, str], None] | None,
    ) -> None:
        decode = self.codec.decode
        records: list[Recorded] = []
        reasons: dict[int, str] = {}
        for message in messages:
            try:
                records.append(decode(message))
            except UnreadableEventError as error:
                reasons[message.position] = str(error)
        for recorded, why in self.state.fold_all(records):
            reasons[recorded.position] = str(why)
        if reasons:
            records = [recorded for recorded in records if recorded.position not in reasons]
            self.state.skip(messages[-1].position)
            for message in messages:
                if (reason := reasons.get(message.position)) is not None:
                    self._skip(message, reason, skipped)
        # Its hash is looked at when somebody asks: reading the headers of every message is a tenth of a rebuild.
        self._tail = messages[-1]
        self.observe(records)
        if seen is not None:
            for recorded in records:
                seen(recorded)

    def observe(self, records: Sequence[Recorded]) -> None:
        """Let the views follow acknowledged events."""
        self.outcomes.observe(records)
        self.directives.observe(records)
        self.statistics.observe(records)

    def _skip(self, message: StoredMessage, reason: str, skipped: Callable[[StoredMessage, str], None] | None) -> None:
        self.unreadable_count += 1
        if len(self.unreadable) < _NAMED_UNREADABLE:
            self.unreadable.append(Unreadable(message.position, reason))
        _LOG.warning("skipped position %d: %s", message.position, reason)
        if skipped is not None:
            skipped(message, reason)


async def catch_up(
    memory: Memory,
    log: ReadableLog,
    *,
    until: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    seen: Callable[[Recorded], None] | None = None,
    indexed: bool = False,
) -> int:
    """Fold what the log holds beyond the memory's position; return the position reached.

    `until`: stop there instead of at the log's end. `progress` is told the position reached and the goal; `seen` each
    event that was applied; `indexed`: it looks at the state's indexes, so they are kept at every event. Raises
    LogUnavailableError.
    """
    state = memory.state
    goal = await log.last_position() if until is None else until
    if goal > state.position:
        # Making the indexes anew costs what is alive, and keeping them what happens.
        rebuilds = not indexed and goal - state.position > len(state.tasks) + len(state.agents)
        with rebuilding(state) if rebuilds else _uncollected() if indexed else nullcontext():
            async for chunk in log.read(after=memory.state.position, until=goal):
                memory.fold(chunk, seen)
                if progress is not None:
                    progress(memory.state.position, goal)
    return memory.state.position


@contextmanager
def rebuilding(state: PoolState) -> Iterator[None]:
    """Fold a long stretch of a log: the indexes come last."""
    state.begin_rebuild()
    try:
        with _uncollected():
            try:
                yield
            finally:
                _set_aside()
    finally:
        state.end_rebuild()


def _set_aside() -> None:
    """Let the collector take all that there is for old; else it first looks through all that a fold has made.

    That is a twentieth of a rebuild, for nothing: records hold no cycles.
    """
    frozen = gc.get_freeze_count() > 0
    gc.freeze()
    if not frozen:
        # What nobody set aside for good goes to the oldest generation.
        gc.unfreeze()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile, which takes a third of the time.

    What a fold makes is kept, or freed by counting.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
