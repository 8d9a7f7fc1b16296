"""What agents really did, extracted from the log as it is read: the same steps for every policy.

A step is what somebody outside the rules did: an agent was heard, spoke of a task or was granted one, an operator
stepped in, a probe found evidence, the pool could not hear. The rules' own verdicts (renewals, expiries, what follows
them) are no steps; they are what a replay decides anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.commands import Progress
from domain.due import due_at, not_due_before
from domain.events import Entity
from domain.events import agent as agent_ev
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.timestamps import after
from projections.state import PoolState
from projections.whatif.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from domain.commands import OnTask
    from domain.pool import Pool
    from domain.recorded import Recorded
    from domain.rules import Rules
    from domain.task import Task


class Attempt:
    """One recorded lease: who held what, and what is known of it so far."""

    __slots__ = ("agent_id", "granted_at", "kept_at", "last_sign", "lost", "task_id", "token")

    def __init__(self, token: int, task_id: str, agent_id: str, granted_at: datetime) -> None:
        self.token = token
        self.task_id = task_id
        self.agent_id = agent_id
        self.granted_at = granted_at
        self.last_sign = granted_at
        """When the holder was last heard in a way that counts for this lease."""
        self.kept_at = granted_at
        """When its work was last safe: at the last checkpoint, else at the grant."""
        self.lost = False
        """Whether the record took it from its holder for silence."""


class Granted(NamedTuple):
    """An agent was granted a task."""

    time: datetime
    attempt: Attempt
    task: Task
    """The recorded task, just granted."""
    coarseness_s: float
    """Signs of life that are closer than this were not all recorded, for they were not worth a renewal."""


class Heard(NamedTuple):
    """An agent was heard on some business: a sign of life for all that it holds."""

    time: datetime
    agent_id: str
    attempts: tuple[Attempt, ...]
    unjudged: frozenset[int]
    """Tokens that were due in the record, too, and that nobody had judged yet: the pool was behind."""


class Spoke(NamedTuple):
    """A holder, or one that had lost the lease, spoke of a task."""

    time: datetime
    attempt: Attempt
    command: OnTask
    also: tuple[Attempt, ...]
    """What else this was a sign of life for."""
    unjudged: frozenset[int]
    late: bool
    """Whether the lease was no longer the speaker's."""
    accepted: bool
    """Whether it completed the task all the same."""


class Lost(NamedTuple):
    """The record took a lease from a silent holder."""

    time: datetime
    attempt: Attempt


class Ended(NamedTuple):
    """Somebody else ended a lease: an operator, a steal, a deadline."""

    time: datetime
    attempt: Attempt
    of_stuck: bool
    """An operator freed a task that was stuck."""
    unjudged: frozenset[int]


class Pleaded(NamedTuple):
    """A probe found evidence for a lease that was due."""

    time: datetime
    attempt: Attempt
    probe: str
    evidence: tuple[str, ...]


class Deaf(NamedTuple):
    """The pool could not hear its agents from `since` to `time`, or judging was suspended or taken up again then."""

    time: datetime
    since: datetime
    pool: Pool
    """As the record has it from then on."""
    reason: str
    blind_s: float
    """0: this is about judging."""


class Forgiven(NamedTuple):
    """An operator gave a task a fresh start, or the task ended: its expiries in a row do not count on."""

    time: datetime
    task_id: str


Step = Granted | Heard | Spoke | Lost | Ended | Pleaded | Deaf | Forgiven

_Event = tuple["Recorded", "Task | None"]
_AGENT = "agent/"


def _signed(attempts: Iterable[Attempt], time: datetime) -> None:
    for attempt in attempts:
        attempt.last_sign = time


class Behaviour:
    """Reads the log event by event and tells the steps. Memory follows what is live."""

    def __init__(self, pool_id: str, rules: Rules, *, since: int = 1) -> None:
        self.record = PoolState(pool_id, rules)
        """What the log itself says."""
        self._rules = rules
        self._since = since
        self._attempts: dict[int, Attempt] = {}
        self._holding: dict[str, dict[int, Attempt]] = {}
        self._group: list[_Event] = []
        self._unjudged: frozenset[int] = frozenset()

    def take(self, recorded: Recorded) -> Iterator[Step]:
        """Fold one event; yield the steps of the command before it, if it begins a new one.

        Raises:
            FoldError, IllegalTransitionError: the event does not apply; nothing is changed.
        """
        group = self._group
        if group and (group[0][0].causation_id, group[0][0].actor) != (recorded.causation_id, recorded.actor):
            yield from self.flush()
        if not self._group:
            self._unjudged = self._behind(recorded)
        before = self.record.task(recorded.entity_id) if recorded.entity is Entity.TASK else None
        self.record.fold(recorded)
        self._group.append((recorded, before))

    def flush(self) -> Iterator[Step]:
        """Yield the steps of the last command."""
        group, self._group = self._group, []
        if not group:
            return
        if group[0][0].actor.startswith(_AGENT):
            yield from self._by_agent(group[0][0].actor.removeprefix(_AGENT), group)
        else:
            for recorded, before in group:
                yield from self._by_others(recorded, before)

    def attempt(self, token: int) -> Attempt | None:
        """Return the lease with this token, unless its holder ended it or it is not looked at."""
        return self._attempts.get(token)

    def open_tokens(self) -> frozenset[int]:
        """Return the leases that are held where the log ends."""
        return frozenset(token for held in self._holding.values() for token in held)

    def _behind(self, recorded: Recorded) -> frozenset[int]:
        """Return the agent's leases that were due before it was heard, and were not judged."""
        if not recorded.actor.startswith(_AGENT):
            return frozenset()
        held = self._holding.get(recorded.actor.removeprefix(_AGENT), {}).values()
        tasks = ((each.token, self.record.tasks.get(each.task_id)) for each in held)
        return frozenset(token for token, task in tasks if self._is_due(task, recorded.time))

    def _is_due(self, task: Task | None, now: datetime) -> bool:
        bound = not_due_before(task, self._rules) if task is not None else None
        if task is None or bound is None or bound > now:
            return False
        due = due_at(task, self.record.pool, self._rules)
        return due is not None and due <= now

    def _by_agent(self, agent_id: str, group: list[_Event]) -> Iterator[Step]:
        time = group[0][0].time
        held = tuple(self._holding.get(agent_id, {}).values())
        words = words_of(group)
        if not words:
            yield Heard(time, agent_id, held, self._unjudged)
            _signed(held, time)
        leaves = any(isinstance(recorded.event, agent_ev.Deregistered) for recorded, _ in group)
        for recorded, _ in group:
            if isinstance(recorded.event, ev.Leased):
                yield from self._granted(recorded, recorded.event)
            word = words.get(recorded.position)
            attempt = self._attempts.get(word.command.token) if word is not None else None
            if word is None or attempt is None:
                continue
            late = attempt.token not in self._holding.get(agent_id, {})
            # A report counts for its own lease alone, and what was refused, or was the last word to all, for none.
            alone = (late and not word.accepted_late) or leaves or isinstance(word.command, Progress)
            also = () if alone else tuple(each for each in held if each is not attempt)
            yield Spoke(time, attempt, word.command, also, self._unjudged, late, word.accepted_late)
            _signed((attempt, *also), time)
            if word.keeps:
                attempt.kept_at = time
            if word.last and not late:
                self._let_go(attempt)
                del self._attempts[attempt.token]
            if isinstance(recorded.event, ev.Completed | ev.Failed):
                yield Forgiven(time, recorded.entity_id)

    def _by_others(self, recorded: Recorded, before: Task | None) -> Iterator[Step]:
        event, time = recorded.event, recorded.time
        if isinstance(event, pool_ev.Rearmed):
            yield Deaf(time, after(time, -event.blind_s), self.record.pool, event.reason, event.blind_s)
        elif isinstance(event, pool_ev.ExpiryHeld | pool_ev.ExpiryResumed):
            yield Deaf(time, time, self.record.pool, event.name, 0.0)
        elif isinstance(event, ev.Extended):
            if (attempt := self._attempts.get(event.token)) is not None:
                yield Pleaded(time, attempt, event.probe, event.evidence)
        elif isinstance(event, ev.Leased):
            yield from self._granted(recorded, event)
        elif isinstance(event, ev.Stolen):
            yield from self._ended(recorded, event.previous_token, before)
            yield from self._granted(recorded, event)
        elif isinstance(event, ev.Expired):
            if (attempt := self._attempts.get(event.token)) is not None:
                attempt.lost = True
                self._let_go(attempt)
                yield Lost(time, attempt)
        elif isinstance(event, ev.Revoked | ev.Cancelled | ev.Failed | ev.Requeued | ev.Quarantined):
            yield from self._taken(recorded, event, before)

    def _taken(self, recorded: Recorded, event: ev.TaskEvent, before: Task | None) -> Iterator[Step]:
        token = before.lease.token if before is not None and before.lease is not None else None
        if token is not None:
            yield from self._ended(recorded, token, before)
        if isinstance(event, ev.Cancelled | ev.Failed) or getattr(event, "cause", None) is ev.Cause.OPERATOR:
            yield Forgiven(recorded.time, recorded.entity_id)

    def _granted(self, recorded: Recorded, event: ev.Leased | ev.Stolen) -> Iterator[Step]:
        if recorded.position < self._since:
            return
        task = self.record.task(recorded.entity_id)
        if task is None:
            return
        attempt = Attempt(event.token, recorded.entity_id, event.agent_id, recorded.time)
        self._attempts[event.token] = attempt
        self._holding.setdefault(event.agent_id, {})[event.token] = attempt
        yield Granted(recorded.time, attempt, task, self._rules.renewal_worth * event.lease_s)

    def _ended(self, recorded: Recorded, token: int, before: Task | None) -> Iterator[Step]:
        attempt = self._attempts.get(token)
        if attempt is None:
            return
        of_stuck = isinstance(recorded.event, ev.Revoked) and before is not None and before.status is TaskStatus.STUCK
        # A deadline falls due like a lease does, and is no sign that the pool was behind.
        behind = not isinstance(recorded.event, ev.Failed) and self._is_due(before, recorded.time)
        attempt.lost = of_stuck
        self._let_go(attempt)
        yield Ended(recorded.time, attempt, of_stuck, frozenset({token}) if behind else frozenset())

    def _let_go(self, attempt: Attempt) -> None:
        held = self._holding.get(attempt.agent_id)
        if held is not None:
            held.pop(attempt.token, None)
            if not held:
                del self._holding[attempt.agent_id]
