"""What a service counts of its own work, and the stages that it reports of each command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from domain.errors import RefusalCode
from domain.recorded import Recorded
from domain.refusal import Refusal
from domain.request import Request
from domain.task import Task
from handlers.telemetry import ProcessFigures, Telemetry
from tests.handlers.conftest import EITHER_WAY, MakePool
from tests.support.pool_harness import PoolHarness


@dataclass
class Stages:
    """The stages of one command, as they were reported."""

    verb: str
    stages: list[str] = field(default_factory=list)
    events: list[str] | None = None
    """Once it has ended."""
    refused: bool = False

    def queued(self) -> None:
        self.stages.append("queued")

    def deciding(self) -> None:
        self.stages.append("deciding")

    def decided(self) -> None:
        self.stages.append("decided")

    def sent(self, commands: int, events: int) -> None:
        self.stages.append(f"sent {commands}/{events}")

    def stored(self) -> None:
        self.stages.append("stored")

    def replying(self) -> None:
        self.stages.append("replying")

    def end(
        self,
        position: int,
        records: Sequence[Recorded],
        refusal: Refusal | None,
        task_of: Callable[[str], Task | None],
    ) -> None:
        assert self.events is None, "it ends once"
        assert task_of("no such task") is None
        assert position >= max((recorded.position for recorded in records), default=0)
        self.events, self.refused = [recorded.name for recorded in records], refusal is not None


class Recorder:
    """Keeps the stages of every command."""

    def __init__(self) -> None:
        self.traces: list[Stages] = []

    def begin(self, request: Request) -> Stages | None:
        if request.verb == "heartbeat":
            return None
        self.traces.append(Stages(request.verb))
        return self.traces[-1]

    def of(self, verb: str) -> Stages:
        (found,) = (each for each in self.traces if each.verb == verb)
        return found


@pytest.fixture
def figures() -> ProcessFigures:
    return ProcessFigures()


@pytest.fixture
def tracer() -> Recorder:
    return Recorder()


@pytest.fixture
async def pool(make_pool: MakePool, figures: ProcessFigures, tracer: Recorder) -> PoolHarness:
    pool = await make_pool()
    pool.telemetry = Telemetry(figures, tracer)
    await pool.restart()
    return pool


async def test_commands_are_counted_by_verb_and_refusals_by_code(pool: PoolHarness, figures: ProcessFigures) -> None:
    await pool.register("a")
    await pool.submit("T1", "T2")
    for subject, code in (
        ("agent.a.progress", "invalid_command"),
        ("agent.nobody.claim", "unknown_agent"),
        ("query.task", "invalid_command"),
        ("ops.no_such_verb", "invalid_command"),
    ):
        assert (await pool.request(subject)).code == code
    assert figures.commands == {"register": 1, "submit": 2, "claim": 1}, "what is ill-formed is no command"
    assert figures.refusals == {RefusalCode.INVALID_COMMAND: 3, RefusalCode.UNKNOWN_AGENT: 1}


async def test_each_answer_has_a_time_and_a_claim_that_waited_has_none(
    pool: PoolHarness, figures: ProcessFigures
) -> None:
    await pool.register("a")
    waiting = pool.post("agent.a.claim", {"wait_s": 20})
    await pool.advance(10)
    assert figures.command_s.count == 1
    await pool.submit("T")
    assert waiting.answer.result["leases"]
    assert (figures.commands["claim"], figures.command_s.count) == (1, 2)


async def test_a_repeat_is_a_command_too(pool: PoolHarness, figures: ProcessFigures, tracer: Recorder) -> None:
    body = {"task_id": "T", "command_id": "c"}
    first, again = [await pool.request("ops.submit", body) for _ in range(2)]
    assert first.result == again.result
    assert figures.commands["submit"] == 2
    assert [each.events is not None for each in tracer.traces if each.verb == "submit"] == [True, True]


@EITHER_WAY
async def test_appends_are_counted_with_their_commands(pool: PoolHarness, figures: ProcessFigures) -> None:
    before = figures.batch_commands.total
    for number in range(10):
        pool.post("ops.submit", {"task_id": f"T{number}"})
    await pool.rest()
    assert figures.batch_commands.total - before == 10
    assert figures.append_s.count == figures.batch_commands.count > 0


@EITHER_WAY
async def test_a_command_goes_through_every_stage_in_order(pool: PoolHarness, tracer: Recorder) -> None:
    assert (await pool.request("ops.submit", {"task_id": "T"})).ok
    trace = tracer.of("submit")
    assert trace.stages == ["queued", "deciding", "decided", "sent 1/1", "stored", "replying"]
    assert trace.events == ["submitted"]


async def test_a_refusal_is_not_appended(pool: PoolHarness, tracer: Recorder) -> None:
    assert (await pool.request("agent.nobody.claim")).code == "unknown_agent"
    trace = tracer.of("claim")
    assert trace.stages == ["queued", "deciding", "decided", "replying"]
    assert trace.refused


async def test_what_is_not_sampled_costs_no_stage(pool: PoolHarness, tracer: Recorder) -> None:
    await pool.register("a")
    assert (await pool.request("agent.a.heartbeat")).ok
    assert "heartbeat" not in {each.verb for each in tracer.traces}


async def test_the_services_own_commands_are_traced_but_not_counted(
    pool: PoolHarness, figures: ProcessFigures, tracer: Recorder
) -> None:
    await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 10, "grace_s": 0})
    await pool.advance(11)
    trace = tracer.of("judge")
    assert trace.events == ["expired", "requeued"]
    assert "judge" not in figures.commands


async def test_every_trace_ends_when_the_service_does(pool: PoolHarness, tracer: Recorder) -> None:
    await pool.register("a")
    pool.post("agent.a.claim", {"wait_s": 20})
    await pool.rest()
    await pool.stop()
    assert all(each.events is not None for each in tracer.traces)
