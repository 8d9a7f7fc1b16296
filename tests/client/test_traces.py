"""Trace context, by a stand-in for the OpenTelemetry API, which is optional."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from custody_client import tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Api:
    """What is used of the API, both of its modules."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any, dict[str, Any]]] = []
        self.current: str | None = PARENT

    def inject(self, carrier: dict[str, str]) -> None:
        if self.current is not None:
            carrier["traceparent"] = self.current

    def extract(self, carrier: dict[str, str]) -> str:
        return f"context of {carrier['traceparent']}"

    def get_tracer(self, _: str) -> "Api":
        return self

    @contextmanager
    def start_as_current_span(self, name: str, *, context: Any, attributes: dict[str, Any]) -> Iterator[None]:
        self.spans.append((name, context, attributes))
        yield


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    monkeypatch.setattr(tracing, "_trace", api)
    monkeypatch.setattr(tracing, "_propagate", api)
    return api


def test_the_current_span_goes_with_a_command(api: Api) -> None:
    assert tracing.trace_headers() == {"traceparent": PARENT}
    api.current = None
    assert tracing.trace_headers() == {}


def test_a_handler_runs_in_a_child_of_the_submits_span(api: Api) -> None:
    with tracing.handler_span("report", {"custody.task_id": "T"}, PARENT):
        pass
    with tracing.handler_span("report", {}, None):
        pass
    assert api.spans == [
        ("custody.task report", f"context of {PARENT}", {"custody.task_id": "T"}),
        ("custody.task report", None, {}),
    ]


def test_without_the_api_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_trace", None)
    monkeypatch.setattr(tracing, "_propagate", None)
    assert tracing.trace_headers() == {}
    with tracing.handler_span("report", {}, PARENT):
        pass
