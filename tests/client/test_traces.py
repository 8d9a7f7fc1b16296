"""Traces, with OpenTelemetry itself: from a submit through the claim into the handler, and on with what that sends."""

import subprocess
import sys
import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from custody_client import Client, Event, HandOver, Held, Retry, SyncHeld, TaskFailed, tracing
from tests.client.conftest import Place, eventually

RESULT_S = 60.0
TRACER = trace.get_tracer("test")
EXPORTER = InMemorySpanExporter()


@pytest.fixture(scope="module")
def exported() -> InMemorySpanExporter:
    """What is exported. The provider of a process is set once, and what hangs on it stays."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    return EXPORTER


@pytest.fixture
def spans(exported: InMemorySpanExporter) -> InMemorySpanExporter:
    """What is exported within a test."""
    exported.clear()
    return exported


def traceparent(span: ReadableSpan | trace.Span) -> str:
    """A span as the header names it."""
    context = span.get_span_context()
    assert context is not None
    return f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-{context.trace_flags:02x}"


async def the_span(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    """The finished span of a name."""
    await eventually(lambda: any(each.name == name for each in spans.get_finished_spans()))
    (span,) = (each for each in spans.get_finished_spans() if each.name == name)
    return span


async def events(client: Client, task_id: str) -> dict[str, Event]:
    """The events of a task up to its end, by name."""
    seen = {}
    async for event in client.watch(task_id=task_id, after=0):
        seen[event.name] = event
        if event.name in {"completed", "failed"}:
            break
    return seen


@pytest.mark.parametrize("form", ["async def", "def"])
async def test_a_trace_goes_from_the_submit_into_the_handler_and_on(
    place: Place, client: Client, spans: InMemorySpanExporter, form: str
) -> None:
    worker = place.worker()
    inside: list[str] = []

    @worker.task("async def")
    async def in_loop(held: Held[int]) -> None:
        inside.append(traceparent(trace.get_current_span()))
        await held.progress(50, checkpoint=1)

    @worker.task("def")
    def in_thread(held: SyncHeld[int]) -> None:
        assert threading.current_thread() is not threading.main_thread()
        inside.append(traceparent(trace.get_current_span()))
        held.progress(50, checkpoint=1)

    with TRACER.start_as_current_span("of the submitter") as submitter:
        task = await client.submit(form)
    async with place.working(worker):
        await task.result(RESULT_S)
    span = await the_span(spans, f"custody.task {form}")
    assert span.parent is not None
    assert (span.parent.span_id, span.parent.trace_id) == (
        submitter.get_span_context().span_id,
        submitter.get_span_context().trace_id,
    )
    assert inside == [traceparent(span)]
    assert span.attributes is not None
    seen = await events(client, task.task_id)
    assert dict(span.attributes) == {
        "custody.task_id": task.task_id,
        "custody.token": seen["leased"].position,
        "custody.attempt": 1,
    }
    assert seen["submitted"].traceparent == traceparent(submitter)
    assert seen["progressed"].traceparent == traceparent(span)


async def test_what_a_handler_submits_is_of_its_trace(
    place: Place, client: Client, spans: InMemorySpanExporter
) -> None:
    worker = place.worker(slots=2)

    @worker.task("outer")
    async def outer() -> None:
        await (await client.submit("inner")).result(RESULT_S)

    @worker.task("inner")
    async def inner() -> None: ...

    async with place.working(worker):
        await (await client.submit("outer")).result(RESULT_S)
    within, without = await the_span(spans, "custody.task inner"), await the_span(spans, "custody.task outer")
    assert within.parent is not None
    assert without.parent is None, "its submit was in no span"
    assert without.context is not None
    assert (within.parent.trace_id, within.parent.span_id) == (without.context.trace_id, without.context.span_id)


async def test_a_failure_is_recorded_in_its_span_and_another_attempt_has_a_span_of_its_own(
    place: Place, client: Client, spans: InMemorySpanExporter
) -> None:
    worker = place.worker()

    @worker.task("fails")
    async def fails() -> None:
        raise ValueError("no disk")

    with TRACER.start_as_current_span("of the submitter") as submitter:
        task = await client.submit("fails", retry=Retry(2, delay_s=0))
    async with place.working(worker):
        with pytest.raises(TaskFailed):
            await task.result(RESULT_S)
    tried = [each for each in spans.get_finished_spans() if each.name == "custody.task fails"]
    assert [(each.attributes or {})["custody.attempt"] for each in tried] == [1, 2]
    for each in tried:
        assert each.parent is not None
        assert each.parent.span_id == submitter.get_span_context().span_id
        assert not each.status.is_ok
        assert [event.name for event in each.events] == ["exception"]


async def test_a_hand_over_is_no_error(place: Place, client: Client, spans: InMemorySpanExporter) -> None:
    worker = place.worker()

    @worker.task("later")
    async def later(held: Held[int]) -> None:
        if held.attempt == 1:
            raise HandOver("at night", delay_s=0.05)

    async with place.working(worker):
        await (await client.submit("later")).result(RESULT_S)
    tried = [each for each in spans.get_finished_spans() if each.name == "custody.task later"]
    assert [each.status.is_ok for each in tried] == [True, True]
    assert [len(each.events) for each in tried] == [0, 0]


async def test_outside_of_a_span_nothing_is_sent(place: Place, client: Client) -> None:
    assert tracing.trace_headers() == {}
    task = await client.submit("report")
    await task.cancel()
    async for event in client.watch(task_id=task.task_id, after=0):
        assert event.traceparent is None
        if event.name == "cancelled":
            break


def test_without_the_api_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    with TRACER.start_as_current_span("of the submitter") as span:
        parent = traceparent(span)
        monkeypatch.setattr(tracing, "_trace", None)
        monkeypatch.setattr(tracing, "_propagate", None)
        assert tracing.trace_headers() == {}
        with tracing.handler_span("report", {}, parent):
            assert trace.get_current_span() is span


def test_the_client_needs_no_opentelemetry() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import custody_client\n"
        "from custody_client.tracing import trace_headers\n"
        "assert trace_headers() == {}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
