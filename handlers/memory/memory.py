"""All that a service remembers of a pool: the state and the views over acknowledged events, rebuilt from the log.

This is the only place that changes the pool's state:
- `fold` applies what the log holds;
- `apply` applies a decision, tentatively;
- `commit` makes what was applied first final, once the log has acknowledged it, and lets the views follow;
- `undo` takes back all that is tentative;
- `load_ended` brings an ended entity back that was read from the log;
- `adopt` takes over what a snapshot holds.

Two things follow what is no event: agents' signs of life, which `set_silence` looks up, and the backlog's tasks whose
time has come, which every reader of the backlog moves to its own `now`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from handlers.memory.outcomes import Outcomes
from handlers.ports import UnreadableEventError
from projections.state.directives import Directives
from projections.state.ended_entities import is_over
from projections.state.last_heard import LastHeard
from projections.state.pool_state import PoolState
from projections.state.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.decision import Decision
    from domain.entities import EntityKey, EntityState
    from domain.recorded import Recorded
    from domain.rules import Rules
    from handlers.ports import Codec, StoredMessage

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
        """`outcomes`: how many commands' outcomes are remembered."""
        self.codec = codec
        self.pool_id = pool_id
        self.rules = rules
        self._tail: StoredMessage | None = None
        self._tail_hash: str | None = None
        self.state = PoolState(pool_id, rules)
        self.outcomes = Outcomes(outcomes)
        self.directives = Directives()
        self.last_heard = LastHeard()
        self.statistics = Statistics()
        self.unreadable_count = 0
        self.unreadable: list[Unreadable] = []
        """The first of them, for `query.health`."""

    @property
    def tail_hash(self) -> str | None:
        """Hash of the message at the acknowledged position; None for an empty log."""
        if self._tail is not None:
            self._tail_hash = self.codec.hash_of(self._tail)
            self._tail = None
        return self._tail_hash

    def adopt(
        self,
        state: PoolState,
        statistics: Statistics,
        directives: Directives,
        last_heard: LastHeard,
        tail_hash: str | None,
        unreadable: tuple[int, list[Unreadable]],
    ) -> None:
        """Take over what a snapshot holds, except the outcomes."""
        self.state, self.statistics, self.directives, self.last_heard = state, statistics, directives, last_heard
        self._set_tail_hash(tail_hash)
        self.unreadable_count, self.unreadable = unreadable

    def fold(
        self,
        messages: Sequence[StoredMessage],
        seen: Callable[[Recorded], None] | None = None,
        skipped: Callable[[StoredMessage, str], None] | None = None,
        taken: Callable[[list[Recorded]], None] | None = None,
    ) -> None:
        """Apply messages of the log in order; `seen` is called with what was applied, `skipped` with the rest.

        `taken` is called with what was applied of some messages together, after all of them: it costs much less.
        """
        # `seen` and `skipped` read the state as it is after each event; without them each step is done for many.
        at_once = _FOLDED_AT_ONCE if seen is None and skipped is None else 1
        for start in range(0, len(messages), at_once):
            self._fold(messages[start : start + at_once], seen, skipped, taken)

    def apply(self, decision: Decision) -> None:
        """Apply what was decided on this state, tentatively."""
        self.state.apply(decision)

    def set_silence(self, silence_of: Callable[[str], float | None]) -> None:
        """Tell the decisions that follow how long each agent has been silent."""
        self.state.silence_of = silence_of

    def commit(
        self,
        decisions: Sequence[Decision],
        changes: int,
        position: int,
        last_time: datetime,
        tail_hash: str | None,
    ) -> None:
        """Make the decisions that were applied first final: the log has acknowledged their events.

        They replaced `changes` entities; their last event has `position`, `last_time` and `tail_hash`.
        """
        self.state.commit(changes, position, last_time)
        self._set_tail_hash(tail_hash)
        self._observe([recorded for decision in decisions for recorded in decision.records])

    def directive_obeyed(self, agent_id: str, task_id: str, position: int) -> None:
        """Drop the directive to an agent on a task: a command on it, acknowledged at `position`, has its answer."""
        self.directives.obeyed(agent_id, task_id, position)

    def undo(self) -> None:
        """Take back everything that was applied and is not acknowledged."""
        self.state.undo()

    def load_ended(self, key: EntityKey, entity: EntityState) -> bool:
        """Bring an ended entity back that a look-up found in the log; return whether it is in memory now.

        Live entities, and those changed beyond the acknowledged position, come to memory by folding only.
        """
        if entity.position <= self.state.committed_position and is_over(entity):
            self.state.load(key, entity)
        return self.state.knows(key)

    def _set_tail_hash(self, tail_hash: str | None) -> None:
        self._tail_hash, self._tail = tail_hash, None

    def _fold(
        self,
        messages: Sequence[StoredMessage],
        seen: Callable[[Recorded], None] | None,
        skipped: Callable[[StoredMessage, str], None] | None,
        taken: Callable[[list[Recorded]], None] | None,
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
        # The hash is read on demand: reading the headers of every message is a tenth of a rebuild.
        self._tail = messages[-1]
        self._observe(records)
        if seen is not None:
            for recorded in records:
                seen(recorded)
        if taken is not None:
            taken(records)

    def _observe(self, records: Sequence[Recorded]) -> None:
        """Let the views follow acknowledged events."""
        self.outcomes.observe(records)
        self.directives.observe(records)
        self.last_heard.observe(records)
        self.statistics.observe(records)
        self.statistics.work_times.observe(records, self.state.ended_task)

    def _skip(self, message: StoredMessage, reason: str, skipped: Callable[[StoredMessage, str], None] | None) -> None:
        self.unreadable_count += 1
        if len(self.unreadable) < _NAMED_UNREADABLE:
            self.unreadable.append(Unreadable(message.position, reason))
        _LOG.warning("skipped position %d: %s", message.position, reason)
        if skipped is not None:
            skipped(message, reason)
