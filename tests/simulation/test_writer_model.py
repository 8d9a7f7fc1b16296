"""A whole service under random callers, clocks, mishaps of the log and restarts; what callers are told is true."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.events.task import LateProgress, Leased, Renewed, Submitted
from domain.limits import MAX_PAGE
from domain.policies.lease import LeasePolicy
from domain.policies.load_balancing import StealConfig
from domain.rules import Rules
from domain.task import Task
from handlers.writer.writer import WriterLimits
from projections.state.pool_state import PoolState
from tests.support.log_faults import (
    EVERY_WRITE_SYNCED,
    SLOW_WRITES,
    SYNCED_LATER,
    AppendTimes,
    Conflict,
    DroppedLater,
    Fault,
    LoseAck,
    LoseRequest,
    Midway,
    Reject,
    StoredLater,
    Unavailable,
)
from tests.support.pool_harness import POOL, Asked, PoolHarness

EXAMPLES = int(os.environ.get("CUSTODY_WRITER_EXAMPLES", "200"))
"""How many random lives a run follows; the default is for every build, a thousand and more for a long night."""

T = TypeVar("T")
RULES = Rules(steal=StealConfig(cooldown_s=30.0), lost_after_s=400.0, rearm_jitter_s=5.0)
VIEWS = frozenset({"register", "heartbeat"})

agents = st.sampled_from("ABC")
tasks = st.sampled_from([f"T{number}" for number in range(6)])
command_ids = st.one_of(st.none(), st.sampled_from([f"id-{number}" for number in range(6)]))
moments = st.sampled_from([0.0, 0.0, 0.1, 0.3, 1.3, 6.0])
append_times = st.sampled_from([None, EVERY_WRITE_SYNCED, SYNCED_LATER, SLOW_WRITES])
"""The way that a group goes follows what both ways take. None: no time, so nothing is learned."""
ENOUGH_TO_LEARN = [1] * 5 + [8] * 5
"""Groups by which the service learns what a broker takes that it has just met."""
seconds = st.sampled_from([1.3, 40.0, 40.0, 130.0, 245.0, 500.0])
faults: st.SearchStrategy[Fault] = st.one_of(
    st.sampled_from([LoseAck(), LoseRequest(), Unavailable(), Reject()]),
    st.builds(StoredLater, st.integers(0, 6), st.booleans()),
    st.builds(DroppedLater, st.integers(0, 6)),
    st.builds(Midway, st.integers(1, 3), st.sampled_from([LoseAck(), LoseRequest(), Reject(), StoredLater(1)])),
)
SEQUENCES: list[list[Fault]] = [
    [LoseAck(), Unavailable()],
    [LoseAck(), Unavailable(), Unavailable()],
    [LoseAck(), Reject()],
    [LoseRequest(), Unavailable(), LoseAck()],
    [Midway(1, LoseRequest()), Unavailable(), LoseAck()],
    [Midway(1, LoseAck()), LoseAck(), Midway(1, LoseAck())],
]
"""What goes wrong again while the writer finds out what went wrong."""
holder_verbs = st.sampled_from(
    ["start", "progress", "progress", "complete", "release", "fail", "block", "lease", "silence"]
)
LEASED = f"custody.task.{Leased.name}.v1"
RENEWED = f"custody.task.{Renewed.name}.v1"
ops_verbs = st.sampled_from(["cancel", "requeue", "unblock", "revoke", "assign"])
EXTRA: dict[str, dict[str, Any]] = {
    "progress": {"percent": 30, "message": "so far"},
    "silence": {"for_s": 30.0, "reason": "build"},
    "fail": {"error": "no"},
    "block": {"reason": "no key"},
    "complete": {"result": [1]},
}


def _pool(*, takes_chains: bool) -> PoolHarness:
    return PoolHarness(RULES, limits=WriterLimits(queue_commands=40), takes_chains=takes_chains)


class WriterModel(RuleBasedStateMachine):
    """A pool that is asked, held up, misled and killed."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.pool = _pool(takes_chains=False)
        self.keys: dict[str, tuple[str, str, str]] = {}
        self.strangers = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(takes_chains=st.sampled_from([True, True, False]), times=append_times)
    def it_starts(self, takes_chains: bool, times: AppendTimes | None) -> None:  # noqa: FBT001 - drawn
        self.pool = _pool(takes_chains=takes_chains)
        self.pool.on_reply = self.check_reply
        self.run(self.pool.start())
        self.run(self.pool.register("A", "B", "C", capacity=4))
        self.run(self.pool.submit("T0", "T1", "T2"))
        self.run(self.pool.assign("A", "T0", "T1"))
        self.pool.log.times = times
        if times is not None:
            self.groups_come_one_after_the_other(ENOUGH_TO_LEARN)

    # What callers do

    def ask(self, subject: str, command_id: str | None, **body: Any) -> None:
        if command_id is not None:
            body["command_id"] = command_id
        asked = self.post(subject, body)
        if command_id is not None:
            actor, _, verb = subject.rpartition(".")
            actor = actor.replace("agent.", "agent/")
            self.keys[asked.inbox] = (actor, verb, command_id)

    def post(self, subject: str, body: dict[str, Any]) -> Asked:
        async def post() -> Asked:
            return self.pool.post(subject, body)

        return self.run(post())

    @rule(task_id=tasks, command_id=command_ids, deadline=st.booleans())
    def submits(self, task_id: str, command_id: str | None, deadline: bool) -> None:  # noqa: FBT001 - drawn
        self.ask("ops.submit", command_id, task_id=task_id, **({"deadline_s": 300.0} if deadline else {}))

    @rule(agent=agents, most=st.integers(1, 3), wait_s=st.sampled_from([0.0, 0.0, 5.0, 30.0]), command_id=command_ids)
    def claims(self, agent: str, most: int, wait_s: float, command_id: str | None) -> None:
        self.ask(f"agent.{agent}.claim", command_id, max=most, wait_s=wait_s)

    @rule(
        number=st.integers(0, 5),
        verb=holder_verbs,
        former=st.integers(0, 4).map(lambda number: number == 0),
        command_id=command_ids,
    )
    def works(self, number: int, verb: str, former: bool, command_id: str | None) -> None:  # noqa: FBT001 - drawn
        """A present or former holder sends a command on its task."""
        known = [task for task in self.pool.state.tasks.values() if (task.former if former else task.lease)]
        if not known:
            self.claims("A", 2, 5.0, command_id)
            return
        task = known[number % len(known)]
        lease = task.former[-1] if former or task.lease is None else task.lease
        body = {"task_id": task.task_id, "token": lease.token, **EXTRA.get(verb, {})}
        self.ask(f"agent.{lease.agent_id}.{verb}", command_id, **body)

    @rule(number=st.integers(0, 5), verb=holder_verbs, command_id=command_ids)
    def works_on(self, number: int, verb: str, command_id: str | None) -> None:
        self.works(number, verb, former=False, command_id=command_id)

    @rule(verbs=st.lists(holder_verbs, min_size=1, max_size=4), submitted=st.integers(0, 3))
    def several_come_at_once(self, verbs: list[str], submitted: int) -> None:
        held = [task for task in self.pool.state.tasks.values() if task.lease is not None]
        asked: list[tuple[str, dict[str, Any]]] = [("ops.submit", {"title": "one of several"})] * submitted
        for task, verb in zip(held, verbs, strict=False):
            if task.lease is not None:
                body = {"task_id": task.task_id, "token": task.lease.token, **EXTRA.get(verb, {})}
                asked.append((f"agent.{task.lease.agent_id}.{verb}", body))

        async def post() -> None:
            for subject, body in asked:
                self.pool.post(subject, body)

        self.run(post())

    @rule(groups=st.lists(st.integers(1, 10), min_size=3, max_size=8))
    def groups_come_one_after_the_other(self, groups: list[int]) -> None:
        async def come() -> None:
            for number in groups:
                for _ in range(number):
                    self.pool.post("ops.submit", {"title": "one of a group"})
                await self.pool.advance(0.2)

        self.run(come())

    @rule(agent=agents, verb=st.sampled_from(["register", "heartbeat"]), command_id=command_ids)
    def is_alive(self, agent: str, verb: str, command_id: str | None) -> None:
        self.ask(f"agent.{agent}.{verb}", command_id, **({"capacity": 4} if verb == "register" else {}))

    @rule(
        kind=st.sampled_from(["task", "task", "task", "steal", "steal", "resume", "pause", "drain", "deregister"]),
        verb=ops_verbs,
        task_id=tasks,
        pair=st.permutations("ABC"),
        command_id=command_ids,
    )
    def operates(self, kind: str, verb: str, task_id: str, pair: list[str], command_id: str | None) -> None:
        match kind:
            case "task":
                self.ask(f"ops.{verb}", command_id, task_id=task_id)
            case "steal":
                self.ask("ops.steal", command_id, **{"from": pair[0], "to": pair[1], "count": 2})
            case "deregister":
                self.ask(f"agent.{pair[0]}.deregister", command_id)
            case _:
                self.ask(f"ops.{kind}", command_id)

    @rule(view=st.sampled_from(["tasks", "tasks", "tasks", "statistics", "leases"]))
    def looks(self, view: str) -> None:
        self.post(f"query.{view}", {} if view == "statistics" else {"limit": MAX_PAGE})

    # What happens to them

    @rule(amount=moments)
    def a_moment_passes(self, amount: float) -> None:
        self.run(self.pool.advance(amount))

    @rule(amount=seconds)
    def time_passes(self, amount: float) -> None:
        self.run(self.pool.advance(amount))

    @rule(count=st.integers(1, 8))
    def the_loop_turns(self, count: int) -> None:
        async def turn() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.run(turn())

    @rule(several=st.one_of(st.lists(faults, min_size=1, max_size=3), st.sampled_from(SEQUENCES)))
    def appends_will_go_wrong(self, several: list[Fault]) -> None:
        self.pool.log.fail_next(*several)

    @rule(times=append_times)
    def the_disk_becomes_another(self, times: AppendTimes | None) -> None:
        self.pool.log.times = times

    @rule(kind=st.sampled_from(["reads fail", "held", "go on", "go on", "stall"]), count=st.integers(1, 4))
    def a_mishap(self, kind: str, count: int) -> None:
        match kind:
            case "reads fail":
                self.pool.log.fail_reads(count)
            case "held":
                self.pool.log.hold()
            case "go on":
                self.pool.log.release()
            case _:
                self.run(self.pool.clock.stall(60))

    @precondition(lambda self: not self.pool.log.undecided)
    @rule()
    def another_appends(self) -> None:
        self.strangers += 1
        stranger = Submitted(request_digest="x", title="by another", lease=LeasePolicy())
        self.pool.log.append_foreign(*self.pool.by_another((f"task/X{self.strangers}", stranger)))

    @precondition(lambda self: not self.pool.log.undecided)
    @rule(stored=st.integers(1, 3))
    def another_comes_between(self, stored: int) -> None:
        self.strangers += 1
        task = f"task/X{self.strangers}"
        stranger = Submitted(request_digest="x", title="by another", lease=LeasePolicy())
        self.pool.log.fail_next(Midway(stored, Conflict(lambda: self.pool.by_another((task, stranger)))))

    @rule(after_s=st.sampled_from([0.0, 1.0, 100.0]))
    def it_is_killed_and_starts_again(self, after_s: float) -> None:
        log = self.pool.log
        log.release()
        # Who may not even lead does not start at all.
        log.accept_everything()
        self.run(self.pool.restart(after_s=after_s))

    # What must be true

    def check_reply(self, asked: Asked) -> None:
        """What is told is in the log by then, and nothing else is told."""
        reply = asked.answer
        if not reply.ok:
            return
        log = self.pool.log.messages
        assert reply["position"] <= len(log), "told before it was acknowledged"
        for each in reply["events"]:
            recorded = self.pool.codec.decode(log[each["position"] - 1])
            assert recorded.event.type_name == each["type"]
        if asked.subject == "query.tasks":
            fold = PoolState(POOL, RULES)
            for message in log[: reply["position"]]:
                fold.fold(self.pool.codec.decode(message))
            known = [*fold.tasks.values(), *(each for each in fold.ended.recent.values() if isinstance(each, Task))]
            should = {
                task.task_id: (task.status.value, task.attempt, task.lease.token if task.lease else None)
                for task in known
            }
            shown = {row["task_id"]: (row["status"], row["attempt"], row["token"]) for row in reply.result["tasks"]}
            assert shown == should, "a query shows acknowledged state only"

    def teardown(self) -> None:
        """Let everything come to rest, then check it as a whole."""
        try:
            if self.pool.asked:
                self.run(self._settle())
                self.check_commands()
        finally:
            self.run(self._cancel_all())
            self.runner.close()

    async def _settle(self) -> None:
        pool = self.pool
        pool.log.recover()
        await pool.advance(40)
        # What another appended last is folded at the next append.
        await pool.request("ops.submit", {"title": "the last one"}, within_s=10)
        await pool.finish()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check_commands(self) -> None:
        """Every acknowledged command is in the log exactly once, and has one answer."""
        by_key: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        records = self.pool.records()
        for recorded in records:
            if recorded.keyed:
                by_key[recorded.actor, recorded.verb, recorded.causation_id].append(recorded.position)
        claimed: dict[int, object] = {}
        answers: dict[object, set[bytes]] = defaultdict(set)
        for asked in self.pool.asked:
            if not asked.replies or not asked.answer.ok or not asked.answer["events"]:
                continue
            key: object = self.keys.get(asked.inbox, asked.inbox)
            positions = [each["position"] for each in asked.answer["events"]]
            for position in positions:
                assert claimed.setdefault(position, key) == key, "one event answers two commands"
            if asked.subject.endswith("claim") and LEASED not in {each["type"] for each in asked.answer["events"]}:
                # A claim that granted nothing is no outcome, whatever it wrote on the side; a task that another's
                # command brought meanwhile is that command's outcome.
                continue
            if asked.subject.endswith(".lease"):
                # Decided anew each time: what it renews on the side is not its outcome.
                continue
            if isinstance(key, tuple):
                assert positions == by_key[key], "what was told is what is in the log"
                if key[1] not in VIEWS:
                    # Where nothing but renewals was written, the log does not say which task it was about.
                    renewals = {each["type"] for each in asked.answer["events"]} == {RENEWED}
                    about = json.loads(asked.body).get("task_id") if renewals else None
                    answers[key, about].add(asked.answer.raw)
        assert all(len(each) == 1 for each in answers.values()), "two answers to one command"
        self._check_refusals(by_key)

    def _check_refusals(self, by_key: dict[tuple[str, str, str], list[int]]) -> None:
        told: dict[tuple[str, str, str], set[str | None]] = defaultdict(set)
        for asked in self.pool.asked:
            key = self.keys.get(asked.inbox)
            if key is not None:
                told[key].add(asked.answer.code if asked.replies else "lost")
        records = self.pool.records()
        for key, codes in told.items():
            if codes & {None, "unavailable", "lost"}:
                continue
            events = [records[position - 1].event for position in by_key.get(key, [])]
            assert all(isinstance(event, LateProgress) for event in events), "a refused command appended something"


# Finding the smallest failing life takes longer than a test may.
pytestmark = [pytest.mark.simulation, pytest.mark.timeout(900)]

TestWriterModel = WriterModel.TestCase
TestWriterModel.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
