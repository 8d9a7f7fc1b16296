"""The live views of a running service, compared with a fold of its log.

Each page is compared at its own position: the log is folded up to there first. So a pool can be verified while it
works.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handlers.memory.memory import Memory
from handlers.ports import LogTruncatedError
from infra.cli.session.rebuilding import fold_log
from infra.nats.contract_client import CustodyClient, CustodyError, CustodyRefusedError, NoServiceError
from projections.queries.cursors import ended_before
from projections.queries.pool_copy import copy_of
from projections.reports.agreement import LISTED_VIEWS, backlog_differences, page_differences, statistics_differences

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.cli.session.session import Session
    from infra.codec import CloudEventsCodec
    from infra.nats.connection import NatsConnection
    from infra.nats.event_log import NatsEventLog
    from projections.queries.pool_copy import PoolCopy

_PAGE = 1_000
_MAX_DIFFERENCES = 1_000


class _WrongPositionError(Exception):
    """An answer is older than the one before it, or newer than the log; the message is one line."""


@dataclass(slots=True)
class Agreement:
    """The result of the comparison."""

    position: int | None = None
    """Of the last answer that was compared."""
    rows: int = 0
    differences: list[str] = field(default_factory=list)
    not_compared: str | None = None
    """Why there was nothing to compare with."""

    def facts(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "compared_at": self.position,
            "compared_rows": self.rows,
            "not_compared": self.not_compared,
            "live_differences": self.differences,
        }

    def line(self) -> str:
        """Return it as a line."""
        if self.not_compared is not None:
            return f"live views: not compared: {self.not_compared}"
        agree = "differ from the log" if self.differences else "are what the log makes them"
        return f"live views: {self.rows} rows at position {self.position} {agree}"


async def compare_live_views(
    session: Session, connection: NatsConnection, log: NatsEventLog, codec: CloudEventsCodec
) -> Agreement:
    """Ask the pool's service for every view, and compare them with the log. Raises LogUnavailableError."""
    comparison = _Comparison(session, CustodyClient(connection.client, session.settings.pool), log, codec)
    found = comparison.found
    try:
        await comparison.run()
    except _WrongPositionError as error:
        found.differences.append(str(error))
    except CustodyRefusedError as error:
        found.not_compared = f"the service does not answer queries: {error}"
    except NoServiceError:
        found.not_compared = f"no service answers for pool {session.settings.pool}"
    except CustodyError as error:
        found.not_compared = str(error)
    return found


class _Comparison:
    def __init__(self, session: Session, client: CustodyClient, log: NatsEventLog, codec: CloudEventsCodec) -> None:
        self.found = Agreement()
        self._session = session
        self._client = client
        self._log = log
        self._memory = Memory(session.settings.pool, session.settings.rules(), codec, outcomes=0)

    async def run(self) -> None:
        await self._health()
        for view in LISTED_VIEWS:
            after: str | None = None
            while True:
                result, copy = await self._asked(view, {"limit": _PAGE, **({"after": after} if after else {})})
                if ended_before(result["next"]) is not None:
                    # From there on the service reads the log itself.
                    result["next"] = None
                self.found.rows += len(result[view])
                self._note(page_differences(view, result, after, copy))
                after = result["next"]
                if after is None:
                    break
        result, copy = await self._asked("backlog", {"limit": _PAGE})
        self._note(backlog_differences(result, copy))
        result, copy = await self._asked("statistics", {})
        self._note(statistics_differences(result, copy))

    async def _health(self) -> None:
        result, copy = await self._asked("health", {})
        ours = {
            "live_tasks": len(copy.tasks),
            "agents": len(copy.agents),
            "unreadable_events": self._memory.unreadable_count,
            "intake": copy.pool.intake.value,
        }
        self._note(
            f"health: the service says {name} {result.get(name)}, and the log makes it {value}"
            for name, value in ours.items()
            if result.get(name) != value
        )

    async def _asked(self, view: str, body: dict[str, Any]) -> tuple[dict[str, Any], PoolCopy]:
        """Return the service's answer, and a copy of the fold at its position."""
        reply = await self._client.request(f"query.{view}", body, timeout=self._session.timeout_s)
        position, memory = int(reply["position"]), self._memory
        if position < memory.state.position:
            raise _WrongPositionError(f"the service answers at position {position}, after {memory.state.position}")
        try:
            await fold_log(memory, self._log, self._session.out, until=position)
        except LogTruncatedError as error:
            raise _WrongPositionError(f"the service answers at position {position}: {error}") from None
        self.found.position = position
        now = memory.state.last_time
        return reply["result"], copy_of(memory.state, now, memory.statistics.totals(), lambda _: None)

    def _note(self, differences: Iterable[str]) -> None:
        for each in differences:
            if len(self.found.differences) < _MAX_DIFFERENCES:
                self.found.differences.append(each)
