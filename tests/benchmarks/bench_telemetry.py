"""What metrics and traces cost a command: python -m tests.benchmarks.bench_telemetry [--rounds 40].

CPU of a progress report through the whole service, without the broker, as `bench_decide` measures it: with neither,
with metrics, with an OpenTelemetry SDK that samples nothing, and with one that keeps every span. They take turns in one
process, so that what else the machine does hits all alike. Then the time of a scrape, in a pool of 500 held tasks.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from handlers.telemetry import NO_TELEMETRY, ProcessFigures, Telemetry
from infra.metrics.pool_metrics import PoolMetrics
from infra.tracing.span_tracer import SpanTracer
from tests.benchmarks.arguments import positive
from tests.benchmarks.bench_decide import TASKS, Load


class Dropped(SpanExporter):
    """Exports spans to nowhere."""

    def export(self, _: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop them."""
        return SpanExportResult.SUCCESS


def traced(sampler: Sampler) -> Telemetry:
    """Return telemetry with spans."""
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(Dropped()))
    return Telemetry(tracer=SpanTracer("bench", provider.get_tracer("bench")))


async def measure(rounds: int) -> None:
    """Print the CPU of a command in each way, and the time of a scrape."""
    kinds = {
        "off": NO_TELEMETRY,
        "off again": NO_TELEMETRY,
        "metrics": Telemetry(ProcessFigures()),
        "traces, none sampled": traced(ALWAYS_OFF),
        "traces, all sampled": traced(ALWAYS_ON),
    }
    loads = {kind: Load(keyed=False, telemetry=telemetry) for kind, telemetry in kinds.items()}
    for load in loads.values():
        await load.prepare()
    gc.collect()
    gc.freeze()
    costs_us: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, load in loads.items():
            start = time.process_time()
            await load.report()
            costs_us[kind].append((time.process_time() - start) / TASKS * 1e6)
    off_us = statistics.median(costs_us["off"])
    for kind, costs in costs_us.items():
        each = statistics.median(costs)
        print(f"{kind:>20}: {each:6.1f} µs a command ({each / off_us - 1:+.1%}; at best {min(costs):.1f})")
    metrics = PoolMetrics(loads["metrics"].pool, ProcessFigures())
    scrapes_ms = []
    for number in range(20):
        start = time.perf_counter()
        await metrics.page(f"application/openmetrics-text;version=1.0.{number}")
        scrapes_ms.append((time.perf_counter() - start) * 1e3)
    print(f"{'a scrape':>20}: {statistics.median(scrapes_ms):6.1f} ms")
    for load in loads.values():
        await load.pool.stop()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="What metrics and traces cost a command.")
    parser.add_argument("--rounds", type=positive, default=40)
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
