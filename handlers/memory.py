"""All that a service remembers of a pool: the state and the views over acknowledged events, rebuilt from the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from domain.errors import FoldError
from domain.lifecycles import IllegalTransitionError
from handlers.outcomes import Outcomes
from handlers.ports import UnreadableEventError
from projections.directives import Directives
from projections.state import PoolState
from projections.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.recorded import Recorded
    from domain.rules import Rules
    from handlers.ports import Codec, EventLog, StoredMessage

_LOG = logging.getLogger(__name__)
_NAMED_UNREADABLE = 20


class Unreadable(NamedTuple):
    """A message of the log that every fold skips."""

    position: int
    reason: str


class Memory:
    """A pool's state and views at one position."""

    def __init__(self, pool_id: str, rules: Rules, codec: Codec, *, outcomes: int) -> None:
        self.codec = codec
        self._pool_id = pool_id
        self._rules = rules
        self._outcomes = outcomes
        self.reset()

    def reset(self) -> None:
        """Forget everything, to be rebuilt from the log."""
        self.state = PoolState(self._pool_id, self._rules)
        self.outcomes = Outcomes(self._outcomes)
        self.directives = Directives()
        self.statistics = Statistics()
        self.tail_hash: str | None = None
        """Hash of the message at the state's position; None for an empty log."""
        self.unreadable_count = 0
        self.unreadable: list[Unreadable] = []
        """The first of them, for `query.health`."""

    def fold(self, message: StoredMessage) -> Recorded | None:
        """Apply one message of the log; return its event, or None where it was skipped."""
        self.tail_hash = self.codec.hash_of(message)
        try:
            recorded = self.codec.decode(message)
            self.state.fold(recorded)
        except (UnreadableEventError, FoldError, IllegalTransitionError) as error:
            self._skip(message.position, str(error))
            return None
        self.observe(recorded)
        return recorded

    def observe(self, recorded: Recorded) -> None:
        """Let the views follow one acknowledged event."""
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
        async for chunk in log.read(after=memory.state.position, until=goal):
            _fold_chunk(memory, chunk, seen)
            if progress is not None:
                progress(memory.state.position, goal)
    return memory.state.position


def _fold_chunk(memory: Memory, chunk: Sequence[StoredMessage], seen: Callable[[Recorded], None] | None) -> None:
    for message in chunk:
        recorded = memory.fold(message)
        if recorded is not None and seen is not None:
            seen(recorded)
