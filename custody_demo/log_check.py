"""Reads the whole log back from the broker, and compares it with the submitted tasks and the service's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from custody_demo.followed_tasks import AT_REST
from custody_demo.incidents import Tally
from domain.errors import FoldError
from domain.lifecycles import IllegalTransitionError, TaskStatus
from handlers.ports import UnreadableEventError
from projections.reports.verification import LogChecker
from projections.state.pool_state import PoolState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from domain.recorded import Recorded
    from domain.rules import Rules
    from handlers.ports import Codec, EventLog, StoredMessage

RULES = (
    "the hash chain is unbroken",
    "no task ever had two holders",
    "tokens only rise",
    "every task only moves forward",
    "every event fits onto the one before",
)
"""What `LogChecker` checks, in words."""


class Verdict(NamedTuple):
    """The result of the check."""

    findings: tuple[str, ...]
    """What is wrong; empty if the check passed."""
    events: int
    statuses: dict[str, TaskStatus]
    """Every task of the log, with its status after its last event."""
    tally: Tally

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def count(self, status: TaskStatus) -> int:
        """Return how many tasks have the status."""
        return sum(each is status for each in self.statuses.values())

    def still_open(self) -> list[str]:
        """Return the tasks whose status is not one of `AT_REST`."""
        return sorted(task_id for task_id, status in self.statuses.items() if status not in AT_REST)


class LogInspection:
    """Checks and folds the log message by message, then compares the result with what it should be."""

    def __init__(self, pool: str, rules: Rules, codec: Codec) -> None:
        self.fold = PoolState(pool, rules)
        self.statuses: dict[str, TaskStatus] = {}
        self.tally = Tally()
        self._checker = LogChecker(pool)
        self._codec = codec

    def take(self, stored: StoredMessage) -> None:
        """Check one message and fold it."""
        recorded: Recorded | None = None
        try:
            recorded = self._codec.decode(stored)
        except UnreadableEventError as error:
            self._checker.check(stored, None, reason=error.reason)
        else:
            self._checker.check(stored, recorded)
        try:
            if recorded is not None:
                self.fold.fold(recorded)
        except (FoldError, IllegalTransitionError):
            recorded = None
        if recorded is None:
            self.fold.skip(stored.position)
            return
        self.tally.observe(recorded)
        task = self.fold.task(recorded.entity_id)
        if task is not None:
            self.statuses[task.task_id] = task.status

    def verdict(self, submitted: Sequence[str], live: PoolState, *, unanswered: Collection[str] = ()) -> Verdict:
        """Compare the log with the tasks that were submitted and with the service's state.

        `unanswered`: tasks whose submission was sent and not answered. They may be in the log.
        """
        findings = [str(finding) for finding in self._checker.findings]
        findings += self._lost(submitted, unanswered)
        findings += self._differences(live)
        return Verdict(tuple(findings), self.fold.position, self.statuses, self.tally)

    def _lost(self, submitted: Sequence[str], unanswered: Collection[str]) -> list[str]:
        missing = [task_id for task_id in submitted if task_id not in self.statuses]
        unasked = sorted(self.statuses.keys() - {*submitted, *unanswered})
        return [f"task {task_id} was accepted, but is not in the log" for task_id in missing] + [
            f"task {task_id} is in the log, but was not submitted" for task_id in unasked
        ]

    def _differences(self, live: PoolState) -> list[str]:
        if live.position != self.fold.position:
            return [f"the service is at position {live.position}, and the log ends at {self.fold.position}"]
        served, folded = dict(live.entities()), dict(self.fold.entities())
        names = sorted(key for key in served.keys() | folded.keys() if served.get(key) != folded.get(key))
        return [f"the service's {kind.value} {name} differs from the fold of the log" for kind, name in names]


async def inspect_log(inspection: LogInspection, log: EventLog) -> None:
    """Read the log from its first message to its last. Raises LogUnavailableError."""
    end = await log.last_position()
    chunks: AsyncIterator[Sequence[StoredMessage]] = log.read(after=0, until=end)
    async for chunk in chunks:
        for stored in chunk:
            inspection.take(stored)
