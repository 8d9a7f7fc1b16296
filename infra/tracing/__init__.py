"""Traces by OpenTelemetry's API: spans for the way of each command, where the process has a tracer provider."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handlers.telemetry import CommandTracer

_API = "opentelemetry.trace"
_PROVIDER_VARIABLE = "OTEL_PYTHON_TRACER_PROVIDER"


def command_tracer(pool: str) -> CommandTracer | None:
    """Return what traces a pool's commands; None where no tracer provider is configured.

    A provider is set by a program that has loaded the API, `opentelemetry-instrument` for one, or named in the
    environment. Without either the API is not even loaded.
    """
    if _API not in sys.modules and _PROVIDER_VARIABLE not in os.environ:
        return None
    found: CommandTracer | None = import_module("infra.tracing.span_tracer").configured(pool)
    return found
