"""A service with metrics, JSON logs and traces: what an operator sees of it from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from infra.broker.embedded import EmbeddedBroker
from infra.service import serving
from infra.tracing.span_tracer import SpanTracer
from tests.support.broker import Connect
from tests.support.ports import reserved_port
from tests.support.until import until
from tests.system.caller import Caller
from tests.system.conftest import Serve
from tests.system.processes import operator
from tests.system.processes import serve as serve_process

pytestmark = pytest.mark.system


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as found:
        yield found


async def scraped(url: str) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        " ".join([sample.name, *(value for name, value in sample.labels.items() if name != "pool")]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_metrics_and_json_logs_over_a_restart(
    broker: EmbeddedBroker, pool: str, tmp_path: Path, port: int
) -> None:
    async with serve_process(broker, tmp_path, pool=pool, metrics_port=port, log_format="json") as service:
        await service.ready()
        url = (await service.line(r"^metrics ")).split()[1]
        assert url == f"http://127.0.0.1:{port}/metrics"
        async with operator(broker) as nc:
            ask = Caller(nc, pool)
            lease = await ask.lease(task_id="T1")
            await ask.done("agent.a1.complete", {"task_id": "T1", "token": lease["token"]})
            before = await scraped(url)
            assert before["custody_leases_ended_total completed"] == 1
            assert before["custody_leader"] == 1
            assert before["custody_append_seconds_count"] >= 3
            assert before["custody_snapshot_age_events"] == before["custody_position"]
            assert await service.stop() == 0
            await service.start()
            await service.ready()
            after = await scraped(url)
            assert after["custody_leases_ended_total completed"] == 1
            assert after["custody_hold_seconds_sum"] == before["custody_hold_seconds_sum"]
            assert after["custody_commands_total complete"] == 0
        async with serve_process(broker, tmp_path, pool=pool, log_format="json") as second:
            assert await second.ended() == 1
            (line,) = second.logged
            assert "is already being served" in json.loads(line)["message"]
        assert await service.stop() == 0
        assert all(json.loads(line)["level"] for line in service.logged)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Where the spans of the services go that the test starts."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(serving, "command_tracer", lambda pool: SpanTracer(pool, provider.get_tracer("test")))
    yield exporter
    provider.shutdown()


async def test_a_command_of_a_bare_client_is_traced_on_its_way(
    serve: Serve, connect: Connect, pool: str, exporter: InMemorySpanExporter
) -> None:
    await serve()
    nc = await connect()
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    subject = f"custody.{pool}.ops.submit"
    reply = await nc.request(subject, b'{"task_id": "T1"}', timeout=10, headers=headers)
    assert json.loads(reply.data)["ok"]
    spans: dict[str, ReadableSpan] = {}

    async def ended() -> bool:
        found = (span for span in exporter.get_finished_spans() if span.context)
        spans.update(
            (each.name, each) for each in found if f"{each.context.trace_id:032x}" == headers["traceparent"][3:35]
        )
        return "custody/submit" in spans

    # The reply is on its way before the span around it ends.
    await until("the command's span", ended, spans.keys)
    assert spans.keys() == {"custody/submit", "custody.queue", "custody.decide", "custody.append", "custody.reply"}
    durations_ns = {name: (span.end_time or 0) - (span.start_time or 0) for name, span in spans.items()}
    assert durations_ns["custody.append"] < durations_ns["custody/submit"] < 10 * 10**9
