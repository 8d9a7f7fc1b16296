"""W3C trace context: from submit through the claim to the handler's span, if the OpenTelemetry API is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from custody_client.errors import HandOver

HEADER = "traceparent"


def _api(name: str) -> Any:
    """Return a module of the OpenTelemetry API, or None if it is not installed."""
    try:
        return importlib.import_module(f"opentelemetry.{name}")
    except ImportError:
        return None


_trace, _propagate = _api("trace"), _api("propagate")


def trace_headers() -> dict[str, str]:
    """Return the headers that carry the current span; none without one."""
    headers: dict[str, str] = {}
    if _propagate is not None:
        carrier: dict[str, str] = {}
        _propagate.inject(carrier)
        if HEADER in carrier:
            headers[HEADER] = carrier[HEADER]
    return headers


@contextmanager
def handler_span(kind: str, attributes: dict[str, Any], traceparent: str | None) -> Iterator[None]:
    """Run a handler in a span of its own, a child of the span in which its task was submitted.

    What it raises is recorded as the span's error, but for `HandOver`, which is a wish.
    """
    if _trace is None or _propagate is None:
        yield
        return
    parent = _propagate.extract({HEADER: traceparent}) if traceparent else None
    tracer = _trace.get_tracer("custody_client")
    with tracer.start_as_current_span(
        f"custody.task {kind}",
        context=parent,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except HandOver:
            raise
        except Exception as error:
            span.record_exception(error)
            span.set_status(_trace.Status(_trace.StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise
