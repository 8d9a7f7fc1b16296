"""Latencies as figures."""

from __future__ import annotations

import statistics


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return `p50_ms`, `p99_ms` and `max_ms` of durations; a machine that stands still may leave one in a turn."""
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
    return {"p50_ms": cuts[49] * 1e3, "p99_ms": cuts[98] * 1e3, "max_ms": max(seconds) * 1e3}
