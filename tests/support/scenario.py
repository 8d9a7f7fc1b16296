"""Given, when, then on the pure core: one pool, a clock that only the test moves, and the log so far."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self, TypeVar

from domain.agent import Agent, evolve_agent
from domain.commands.agent_commands import AGENT_COMMANDS, is_sign_of_life
from domain.commands.command_digest import body_digest
from domain.commands.operator_commands import OPS_COMMANDS
from domain.commands.service_commands import Judge, ServiceCommand
from domain.decision import Decision
from domain.decisions.dispatch import decide
from domain.events import Entity, Event
from domain.hash_chain import GENESIS_HASH
from domain.recorded import Recorded
from domain.refusal import Refusal
from domain.request import Request
from domain.rules import Rules
from domain.task import Lease, Task, evolve_task
from handlers.ports import StoredMessage
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState
from tests.support.invariants import AppendRules, check_equal, check_indexes

E = TypeVar("E", bound=Event)

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
OPS = "ops"


class Step(NamedTuple):
    """What one command came to, its follow-ups included."""

    records: list[Recorded]
    refusal: Refusal | None
    result: dict[str, Any]
    waits: bool
    appends: tuple[int, ...]
    """How many events each append had."""

    @property
    def names(self) -> list[str]:
        return [recorded.name for recorded in self.records]

    def then(self, *names: str) -> Self:
        """The command was accepted, and these events were appended."""
        assert self.refusal is None, self.refusal
        assert self.names == list(names)
        return self

    def refused(self, code: str, *names: str) -> Refusal:
        """The command was refused; `names` are the late reports that were kept all the same."""
        assert self.refusal is not None, f"accepted: {self.names} {self.result}"
        assert self.refusal.code == code, self.refusal
        assert self.names == list(names)
        return self.refusal

    def event(self, kind: type[E]) -> E:
        """Return the only event of this kind."""
        (event,) = (recorded.event for recorded in self.records if isinstance(recorded.event, kind))
        return event


class Scenario:
    """A pool on the pure core.

    What is decided is applied and committed; the same events, encoded and decoded, are folded into a second state.
    After every step both are equal and every invariant holds.
    """

    def __init__(self, rules: Rules | None = None, *, pool_id: str = "default") -> None:
        self.rules = rules or Rules()
        self.codec = CloudEventsCodec(pool_id)
        self.state = PoolState(pool_id, self.rules)
        self.shadow = PoolState(pool_id, self.rules)
        self.now = START
        self.log: list[Recorded] = []
        self.messages: list[StoredMessage] = []
        self.tail_hash = GENESIS_HASH
        self.append_rules = AppendRules()
        self.heard: dict[str, datetime] = {}
        """When each agent sent a command, as the writer remembers it."""
        self._ids = 0

    def at(self, seconds: float) -> Self:
        """Move the clock to so many seconds after the start."""
        return self.wait(seconds - (self.now - START).total_seconds())

    def wait(self, seconds: float) -> Self:
        """Let time pass."""
        assert seconds >= 0, "time does not go backwards"
        self.now += timedelta(seconds=seconds)
        return self

    def given(self, who: str, verb: str, **body: Any) -> Step:
        """Send a command that must succeed."""
        step = self.when(who, verb, **body)
        assert step.refusal is None, step.refusal
        return step

    def when(self, who: str, verb: str, *, at: float | None = None, **body: Any) -> Step:
        """Send a command: `who` is `ops` or an agent's name, `from_` stands for `from`."""
        if at is not None:
            self.at(at)
        return self.send(self.request(who, verb, **body))

    def asks(self, command: ServiceCommand, *, actor: str = "sweeper") -> Step:
        """Let the service ask something of itself."""
        return self.send(Request(command, actor, self._id(), verb=type(command).__name__.lower()))

    def sweep(self, at: float | None = None) -> Step:
        """Judge whatever is due."""
        if at is not None:
            self.at(at)
        return self.asks(Judge(tuple(self.state.due(self.now, 400))))

    def request(self, who: str, verb: str, **body: Any) -> Request:
        """Return a command as the service makes it of a request."""
        body = {"from" if name == "from_" else name: value for name, value in body.items()}
        agent_id = None if who == OPS or who.startswith("ops/") else who
        kind = OPS_COMMANDS[verb] if agent_id is None else AGENT_COMMANDS[verb]
        command_id = body.get("command_id")
        command = kind.model_validate_json(json.dumps(body))
        return Request(
            command=command,
            actor=who if agent_id is None else f"agent/{agent_id}",
            causation_id=command_id or self._id(),
            agent_id=agent_id,
            new_id=f"new-{self._ids}",
            verb=verb,
            keyed=command_id is not None,
            digest="" if command_id is None else body_digest(command),
        )

    def send(self, request: Request) -> Step:
        """Decide a command and its follow-ups, each in an append of its own."""
        records: list[Recorded] = []
        appends: list[int] = []
        while True:
            decision = self.decide(request)
            self.state.apply(decision)
            self.store(decision.records)
            records += decision.records
            appends.append(len(decision.records))
            if decision.follow_up is None:
                return Step(records, decision.refusal, decision.result or {}, decision.waits, tuple(appends))
            request = decision.follow_up

    def decide(self, request: Request) -> Decision:
        """Decide a command on the state as it is; nothing is applied."""
        self._recall(request)
        self.state.silence_of = self._silence_of
        if request.agent_id is not None and is_sign_of_life(request.command):
            self.heard[request.agent_id] = self.now
        return decide(self.state, request, self.now, self.rules)

    def _silence_of(self, agent_id: str) -> float | None:
        heard = self.heard.get(agent_id)
        return None if heard is None else (self.now - heard).total_seconds()

    def _recall(self, request: Request) -> None:
        """Load what the command names and memory no longer holds, as a service does before it decides."""
        command = request.command
        names = {(Entity.TASK, getattr(command, "task_id", None))}
        names |= {(Entity.TASK, task_id) for task_id in getattr(command, "task_ids", None) or ()}
        agents = ("agent_id", "from_agent", "to_agent", "source", "target")
        names |= {(Entity.AGENT, getattr(command, name, None)) for name in agents} | {(Entity.AGENT, request.agent_id)}
        for entity, entity_id in names:
            if entity_id is None or self.state.knows((entity, entity_id)) or not self.state.ended.evicted_through:
                continue
            records = [
                recorded for recorded in self.log if (recorded.entity, recorded.entity_id) == (entity, entity_id)
            ]
            task, agent = None, None
            for recorded in records:
                if entity is Entity.TASK:
                    task = evolve_task(task, recorded)
                else:
                    agent = evolve_agent(agent, recorded)
            found = task or agent
            if found is not None:
                self.state.load((entity, entity_id), found)

    def store(self, records: list[Recorded], *, changes: int | None = None) -> None:
        """Acknowledge what was applied first: it is in the log now.

        `changes`: so many entities were replaced by it, and what was applied after it stays tentative.
        """
        messages, self.tail_hash = self.codec.encode(records, self.tail_hash)
        for recorded, message in zip(records, messages, strict=True):
            stored = StoredMessage(recorded.position, message.subject, message.body, message.headers)
            decoded = self.codec.decode(stored)
            assert decoded == recorded, "an event survives its encoding"
            self.messages.append(stored)
            self.log.append(decoded)
            self.shadow.fold(decoded)
        self.append_rules.check(records, self.shadow)
        if changes is None:
            self.state.commit()
            self.check()
        else:
            self.state.commit(changes, self.shadow.position, self.shadow.last_time)

    def check(self) -> None:
        """Check every invariant of the state and its indexes."""
        check_equal(self.state, self.shadow)
        check_indexes(self.state, self.now)

    def task(self, task_id: str) -> Task:
        task = self.state.task(task_id)
        assert task is not None, f"there is no task {task_id}"
        return task

    def lease(self, task_id: str) -> Lease:
        lease = self.task(task_id).lease
        assert lease is not None, f"no agent holds {task_id}"
        return lease

    def token(self, task_id: str) -> int:
        return self.lease(task_id).token

    def agent(self, agent_id: str) -> Agent:
        agent = self.state.agent(agent_id)
        assert agent is not None, f"there is no agent {agent_id}"
        return agent

    def seconds_until(self, moment: datetime) -> float:
        """Return a moment as seconds after the start."""
        return (moment - START).total_seconds()

    def holds(self, agent_id: str, *task_ids: str, capacity: int = 100, **definition: Any) -> int:
        """Given: the agent is registered and was assigned these new tasks. Returns the last token."""
        if self.state.agent(agent_id) is None:
            self.given(agent_id, "register", capacity=capacity)
        for task_id in task_ids:
            self.given(OPS, "submit", task_id=task_id, **definition)
            self.given(OPS, "assign", task_id=task_id, agent_id=agent_id)
        return self.token(task_ids[-1])

    def _id(self) -> str:
        self._ids += 1
        return f"command-{self._ids}"
