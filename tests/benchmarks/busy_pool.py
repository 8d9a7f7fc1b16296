"""A pool at work without a service: decisions on the pure core, for benchmarks that need a state or a log."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.decision import Decision
from domain.decisions.dispatch import decide
from domain.request import Request
from domain.rules import Rules
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handlers.ports import NewMessage

POOL = "bench"
START = datetime(2026, 11, 21, 8, tzinfo=UTC)
EVENT_S = 0.02
"""Between two commands: 2,000 tasks, each reported on about once a minute."""
REPORTS = 25
"""Before a task is done."""
HEARTBEATS = 0.003
"""Of all commands; each renews what its agent holds and has not reported on lately."""
NOTES = (
    "compiling",
    "running the tests",
    "reading the issue",
    "resolving a conflict",
)


class BusyPool:
    """Agents that hold tasks and report on them; `records` since the last `take`."""

    def __init__(
        self, *, agents: int, tasks: int, lease: dict[str, Any] | None = None, start: datetime = START
    ) -> None:
        self.rules = Rules()
        self.codec = CloudEventsCodec(POOL)
        self.state = PoolState(POOL, self.rules)
        self.now = start
        self.events: Counter[str] = Counter()
        self.held: list[tuple[str, str, int]] = []
        """Agent, task and token of every lease."""
        self._random = random.Random(7)
        self._commands = 0
        self._submitted = 0
        self._lease = lease
        self._hash: str | None = None
        self._pending: list[NewMessage] = []
        self._reports: Counter[str] = Counter()
        self._agents = [f"agent-{number}" for number in range(agents)]
        for agent_id in self._agents:
            self.ask(agent_id, "register", {"capacity": 1 + tasks // agents, "capabilities": ["code", "python"]})
        while len(self.held) < tasks:
            self._another_task(self._agents[len(self.held) % agents])

    def request(self, who: str, verb: str, body: dict[str, Any]) -> Request:
        """Return a command of an agent, or of `ops`."""
        self._commands += 1
        command_id = f"c{self._commands}"
        if who == "ops":
            return Request(OPS_COMMANDS[verb](**body), "ops/plan", command_id, None, command_id, verb, keyed=True)
        return Request(AGENT_COMMANDS[verb](**body), f"agent/{who}", command_id, who, "", verb, keyed=True)

    def ask(self, who: str, verb: str, body: dict[str, Any]) -> Decision:
        """Decide a command, and make it final."""
        self.now += timedelta(seconds=EVENT_S)
        decision = decide(self.state, self.request(who, verb, body), self.now, self.rules)
        if decision.refusal is not None:
            raise RuntimeError(str(decision.refusal))
        self.state.apply(decision)
        self.state.commit()
        messages, self._hash = self.codec.encode(decision.records, self._hash)
        self._pending += messages
        self.events.update(recorded.name for recorded in decision.records)
        return decision

    def hold(self, agent_id: str, count: int, lease: dict[str, Any]) -> None:
        """Have one agent hold so many new tasks on these terms, and no others."""
        self.ask(agent_id, "register", {"capacity": count, "capabilities": ["code", "python"]})
        for _ in range(count):
            self._another_task(agent_id, lease)
        self.take()

    def take(self) -> list[NewMessage]:
        """Return the messages of everything since the last call."""
        taken, self._pending = self._pending, []
        return taken

    def messages(self, count: int) -> Iterator[NewMessage]:
        """Work until so many events are in the log; yield all of them."""
        yielded = 0
        while yielded < count:
            if self._random.random() < HEARTBEATS:
                self.ask(self._random.choice(self._agents), "heartbeat", {"load": {"cpu": 40.0, "memory": 30.0}})
            else:
                self._report(self._random.randrange(len(self.held)))
            batch = self.take()[: count - yielded]
            yielded += len(batch)
            yield from batch

    def _report(self, index: int) -> None:
        agent_id, task_id, token = self.held[index]
        self._reports[task_id] += 1
        on_task = {"task_id": task_id, "token": token}
        if self._reports[task_id] < REPORTS:
            percent = 100 * self._reports[task_id] // REPORTS
            self.ask(agent_id, "progress", on_task | {"percent": percent, "message": self._random.choice(NOTES)})
            return
        self.ask(agent_id, "complete", on_task | {"result": {"branch": f"custody/{task_id}", "tests": "passed"}})
        self.held[index] = self.held[-1]
        self.held.pop()
        self._another_task(agent_id)

    def _another_task(self, agent_id: str, lease: dict[str, Any] | None = None) -> None:
        self._submitted += 1
        task_id = f"T{self._submitted}"
        definition = {"title": f"Mend {task_id}", "payload": {"repo": "example/app", "issue": self._submitted}}
        lease = lease or self._lease
        self.ask(
            "ops",
            "submit",
            {"task_id": task_id, "required_capabilities": ["code"]} | definition | ({"lease": lease} if lease else {}),
        )
        granted = self.ask(agent_id, "claim", {}).result or {}
        for each in granted["leases"]:
            self.held.append((agent_id, each["task_id"], each["token"]))
            self.ask(agent_id, "start", {"task_id": each["task_id"], "token": each["token"]})
