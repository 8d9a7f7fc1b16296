"""The spans of commands: their stages, their callers' traces, and the links along a task's way."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from handlers.telemetry import Telemetry
from handlers.writer.writer import WriterLimits
from infra import tracing
from infra.tracing import span_tracer as module
from infra.tracing.span_tracer import SpanTracer
from tests.support.checkout import ROOT
from tests.support.pool_harness import PoolHarness

SUBMITTER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WORKER = "00-11111111111111111111111111111111-2222222222222222-01"
NOT_SAMPLED = WORKER[:-2] + "00"


class Traced:
    """A pool whose commands are traced."""

    def __init__(self, pool: PoolHarness, exporter: InMemorySpanExporter) -> None:
        self.pool = pool
        self.exporter = exporter

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        """The last one of the name."""
        return self.spans(name)[-1]

    async def ask(self, subject: str, traceparent: str = "", **body: Any) -> Any:
        headers = {"traceparent": traceparent} if traceparent else {}
        return await self.pool.request(subject, body, headers=headers)


def context(span: ReadableSpan) -> trace.SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def links(span: ReadableSpan) -> set[tuple[str, str]]:
    """What it links to: the kind of each link, and the task with the id of the span."""
    return {(str((link.attributes or {})["custody.link"]), f"{link.context.span_id:016x}") for link in span.links}


def span_id(span: ReadableSpan) -> str:
    return f"{context(span).span_id:016x}"


@pytest.fixture
async def traced() -> AsyncIterator[Traced]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler=ParentBased(TraceIdRatioBased(1.0)))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    pool = PoolHarness()
    pool.telemetry = Telemetry(tracer=SpanTracer("p", provider.get_tracer("test")))
    await pool.start()
    exporter.clear()
    yield Traced(pool, exporter)
    await pool.finish()
    provider.shutdown()


async def test_a_command_is_a_span_with_one_for_each_stage(traced: Traced) -> None:
    assert (await traced.ask("ops.submit", SUBMITTER, task_id="T")).ok
    span = traced.span("custody/submit")
    assert span.kind is SpanKind.SERVER
    assert (f"{context(span).trace_id:032x}", f"{span.parent.span_id:016x}" if span.parent else "") == (
        SUBMITTER[3:35],
        SUBMITTER[36:52],
    )
    stages = [each for each in traced.exporter.get_finished_spans() if each.parent == span.get_span_context()]
    assert [each.name for each in stages] == ["custody.queue", "custody.decide", "custody.append", "custody.reply"]
    moments = [span.start_time, *itertools.chain(*((each.start_time, each.end_time) for each in stages)), span.end_time]
    assert moments == sorted(moments, key=lambda moment: moment or 0), "one after the other"
    assert attributes(stages[2]) == {
        "messaging.system": "nats",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 1,
        "custody.batch.commands": 1,
    }


async def test_a_span_says_what_was_asked_by_whom_and_what_came_of_it(traced: Traced) -> None:
    await traced.pool.holds("a", "T")
    token = traced.pool.lease("T").token
    await traced.ask("agent.a.progress", task_id="T", token=token, percent=5, command_id="c-1")
    assert attributes(traced.span("custody/progress")) == {
        "rpc.system.name": "nats",
        "rpc.method": "custody/progress",
        "rpc.response.status_code": "ok",
        "custody.pool": "p",
        "custody.actor": "agent/a",
        "custody.agent.id": "a",
        "custody.task.id": "T",
        "custody.command.id": "c-1",
        "custody.position": traced.pool.position,
        "custody.events": ("task.progressed",),
    }


async def test_a_refusal_is_the_callers_and_no_error_of_the_service(traced: Traced) -> None:
    assert (await traced.ask("agent.nobody.claim")).code == "unknown_agent"
    span = traced.span("custody/claim")
    assert attributes(span)["error.type"] == attributes(span)["rpc.response.status_code"] == "unknown_agent"
    assert span.status.status_code is StatusCode.UNSET
    assert not [each for each in traced.spans("custody.append") if each.parent == span.get_span_context()]


async def test_what_the_service_could_not_do_is_its_error(traced: Traced) -> None:
    traced.pool.limits = WriterLimits(queue_commands=1)
    await traced.pool.restart()
    for task_id in "TU":
        traced.pool.post("ops.submit", {"task_id": task_id})
    await traced.pool.rest()
    spans = {attributes(span)["custody.task.id"]: span for span in traced.spans("custody/submit")}
    assert spans["T"].status.status_code is StatusCode.UNSET
    assert spans["U"].status.status_code is StatusCode.ERROR
    assert attributes(spans["U"])["error.type"] == "overloaded"


async def test_an_outcome_that_became_known_late_is_the_outcome(traced: Traced) -> None:
    with traced.pool.log.held():
        asked = traced.pool.post("ops.submit", {"task_id": "T"})
        await traced.pool.advance(6)
        assert asked.answer.code == "unavailable"
    await traced.pool.advance(30)
    assert attributes(traced.span("custody/submit"))["rpc.response.status_code"] == "ok"


async def test_a_tasks_way_is_linked_from_its_submission_through_grants_and_hand_offs(traced: Traced) -> None:
    await traced.pool.register("a", "b")
    await traced.ask("ops.submit", SUBMITTER, task_id="T", lease={"mode": "fixed", "lease_s": 10, "grace_s": 0})
    submitted, caller = span_id(traced.span("custody/submit")), SUBMITTER[36:52]

    claimed = await traced.ask("agent.a.claim", WORKER)
    claim = traced.span("custody/claim")
    assert links(claim) == {("submitted", caller), ("previous", submitted)}

    token = claimed.result["leases"][0]["token"]
    await traced.ask("agent.a.progress", task_id="T", token=token, percent=1)
    assert links(traced.span("custody/progress")) == {("submitted", caller), ("previous", span_id(claim))}

    await traced.pool.advance(11)
    judged = traced.span("custody/judge")
    assert judged.kind is SpanKind.INTERNAL
    assert judged.parent is None
    assert ("previous", span_id(claim)) in links(judged), "a report moves no task"

    again = await traced.ask("agent.b.claim", WORKER)
    second = traced.span("custody/claim")
    assert ("previous", span_id(judged)) in links(second)
    await traced.ask("agent.b.complete", task_id="T", token=again.result["leases"][0]["token"])
    assert ("previous", span_id(second)) in links(traced.span("custody/complete"))


async def test_a_restart_knows_the_submission_still(traced: Traced) -> None:
    await traced.pool.register("a")
    await traced.ask("ops.submit", SUBMITTER, task_id="T")
    tracer = traced.pool.telemetry.tracer
    assert isinstance(tracer, SpanTracer)
    tracer._last_steps.clear()  # noqa: SLF001 - what a process forgets
    await traced.ask("agent.a.claim")
    assert links(traced.span("custody/claim")) == {("submitted", SUBMITTER[36:52])}


async def test_in_the_submitters_own_trace_no_link_repeats_what_is_above(traced: Traced) -> None:
    await traced.pool.register("a")
    await traced.ask("ops.submit", SUBMITTER, task_id="T")
    await traced.ask("agent.a.claim", SUBMITTER)
    assert {kind for kind, _ in links(traced.span("custody/claim"))} == {"previous"}


async def test_a_claim_of_many_tasks_links_to_some_and_forgets_the_oldest(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LINKED_TASKS", 3)
    monkeypatch.setattr(module, "MAX_REMEMBERED", 4)
    await traced.pool.register("a")
    await traced.pool.submit(*(f"T{number}" for number in range(6)))
    await traced.ask("agent.a.claim", max=6)
    assert len(traced.span("custody/claim").links) <= 3
    tracer = traced.pool.telemetry.tracer
    assert isinstance(tracer, SpanTracer)
    assert len(tracer._last_steps) == 4  # noqa: SLF001 - that memory is bounded


async def test_what_the_caller_does_not_sample_makes_no_span(traced: Traced) -> None:
    await traced.ask("ops.submit", NOT_SAMPLED, task_id="T")
    assert traced.spans("custody/submit") == []
    assert traced.pool.task("T").traceparent == NOT_SAMPLED, "it goes through all the same"


async def test_a_command_decided_anew_shows_its_last_decision(traced: Traced) -> None:
    traced.pool.log.append_foreign(*traced.pool.by_another())
    await traced.ask("ops.submit", task_id="T")
    assert len(traced.spans("custody.append")) == 1


@pytest.fixture
def no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.delenv("OTEL_PYTHON_TRACER_PROVIDER", raising=False)


@pytest.mark.usefixtures("no_provider")
def test_without_a_provider_there_is_no_tracer() -> None:
    assert tracing.command_tracer("p") is None


@pytest.mark.usefixtures("no_provider")
def test_with_one_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())
    assert isinstance(tracing.command_tracer("p"), SpanTracer)


def ran(code: str) -> Sequence[str]:
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return printed.stdout.split()


def test_a_service_without_tracing_does_not_load_the_api() -> None:
    code = """
import sys
from infra.service import serving
print(serving.command_tracer("p"), "opentelemetry" in sys.modules, "prometheus_client" in sys.modules)
"""
    assert ran(code) == ["None", "False", "False"]
