"""A span for each command, with one for each stage of its way, and links along the way of each task.

The span of a command is the child of the caller's, by `traceparent`. Commands on one task come from several callers, so
their spans belong to several traces: each has a link to the span that the task was submitted in, and to the one of the
last command that moved the task: its submission, its grant, what ended an attempt, in the order in which they happened.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from domain.errors import RefusalCode
from domain.events import Entity
from domain.events import task as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from domain.recorded import Recorded
    from domain.refusal import Refusal
    from domain.request import Request
    from domain.task import Task

MAX_LINKED_TASKS = 50
"""Tasks of one command that get links; a claim can have a hundred, and an exporter keeps 128 links of a span."""
MAX_REMEMBERED = 10_000
"""Tasks of which the last step is remembered, those that moved last."""
_QUIET: Final = frozenset(
    {
        ev.Progressed, ev.Renewed, ev.Silenced, ev.Extended, ev.Escalated, ev.Stalled, ev.Noted, ev.LateProgress,
        ev.Updated, ev.Started, ev.Stuck, ev.Recovered,
    }
)  # fmt: skip
"""Events that leave a task where it is: queued, with its holder, or set aside."""
_FAULTS: Final = frozenset({RefusalCode.OVERLOADED, RefusalCode.NOT_WRITER, RefusalCode.UNAVAILABLE})
"""Refusals that are no mistake of the caller."""
_W3C = TraceContextTextMapPropagator()


def configured(pool: str) -> SpanTracer | None:
    """Return a tracer of a pool's commands; None where no tracer provider is configured."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return SpanTracer(pool, provider.get_tracer("custody", importlib.metadata.version("custody")))


class SpanTracer:
    """Makes the spans of one pool's commands."""

    def __init__(self, pool: str, tracer: Tracer) -> None:
        self._pool = pool
        self._tracer = tracer
        self._last_steps: OrderedDict[str, SpanContext] = OrderedDict()
        """By task: the span of the last command that moved it."""

    def begin(self, request: Request) -> CommandSpan | None:
        """Return the trace of a command; None if its trace is not sampled."""
        of_caller = _is_of_caller(request)
        span = self._tracer.start_span(
            f"custody/{request.verb}",
            _context(request.traceparent),
            SpanKind.SERVER if of_caller else SpanKind.INTERNAL,
            dict(self._attributes(request, of_caller=of_caller)),
        )
        return CommandSpan(self, self._tracer, span) if span.is_recording() else None

    def links(
        self, records: Sequence[Recorded], task_of: Callable[[str], Task | None], own: SpanContext
    ) -> Iterator[Link]:
        """Yield the links of a command's span to the earlier steps of its tasks, and remember it as their last."""
        task_ids = dict.fromkeys(each.entity_id for each in records if each.entity is Entity.TASK)
        for task_id in islice(task_ids, MAX_LINKED_TASKS):
            task, last = task_of(task_id), self._last_steps.get(task_id)
            submitted = None if task is None or task.traceparent is None else _span_of(task.traceparent)
            if submitted is not None and submitted.trace_id != own.trace_id:
                yield Link(submitted, {"custody.task.id": task_id, "custody.link": "submitted"})
            if last is not None and last.span_id != own.span_id:
                yield Link(last, {"custody.task.id": task_id, "custody.link": "previous"})
        for recorded in records:
            if recorded.entity is Entity.TASK and type(recorded.event) not in _QUIET:
                self._remember(recorded.entity_id, own)

    def _remember(self, task_id: str, step: SpanContext) -> None:
        self._last_steps[task_id] = step
        self._last_steps.move_to_end(task_id)
        if len(self._last_steps) > MAX_REMEMBERED:
            self._last_steps.popitem(last=False)

    def _attributes(self, request: Request, *, of_caller: bool) -> Iterator[tuple[str, AttributeValue]]:
        if of_caller:
            yield "rpc.system.name", "nats"
            yield "rpc.method", f"custody/{request.verb}"
        yield "custody.pool", self._pool
        yield "custody.actor", request.actor
        if request.agent_id is not None:
            yield "custody.agent.id", request.agent_id
        task_id = getattr(request.command, "task_id", None)
        if isinstance(task_id, str):
            yield "custody.task.id", task_id
        if request.keyed:
            yield "custody.command.id", request.causation_id


class CommandSpan:
    """The span of one command; its stages become spans of their own when it ends."""

    def __init__(self, owner: SpanTracer, tracer: Tracer, span: Span) -> None:
        self._owner = owner
        self._tracer = tracer
        self._span = span
        self._queued_ns = self._deciding_ns = self._decided_ns = 0
        self._sent_ns = self._stored_ns = self._replying_ns = 0
        self._batch = (0, 0)

    def queued(self) -> None:
        """It waits to be decided."""
        self._queued_ns = time.time_ns()

    def deciding(self) -> None:
        """Its decision begins."""
        self._deciding_ns = time.time_ns()

    def decided(self) -> None:
        """Its decision was made."""
        self._decided_ns = time.time_ns()

    def sent(self, commands: int, events: int) -> None:
        """Its append was sent."""
        self._sent_ns, self._batch = time.time_ns(), (commands, events)

    def stored(self) -> None:
        """The log has acknowledged its append."""
        self._stored_ns = time.time_ns()

    def replying(self) -> None:
        """Its answer is known."""
        self._replying_ns = time.time_ns()

    def end(
        self,
        position: int,
        records: Sequence[Recorded],
        refusal: Refusal | None,
        task_of: Callable[[str], Task | None],
    ) -> None:
        """It was answered."""
        span = self._span
        for link in self._owner.links(records, task_of, span.get_span_context()):
            span.add_link(link.context, link.attributes)
        span.set_attribute("custody.position", position)
        if records:
            names = tuple(dict.fromkeys(f"{each.entity.value}.{each.name}" for each in records))
            span.set_attribute("custody.events", names)
        span.set_attribute("rpc.response.status_code", "ok" if refusal is None else refusal.code.value)
        if refusal is not None:
            span.set_attribute("error.type", refusal.code.value)
            if refusal.code in _FAULTS:
                span.set_status(Status(StatusCode.ERROR, refusal.message))
        self._stages(time.time_ns())
        span.end()

    def _stages(self, now_ns: int) -> None:
        """Make a span of each stage that it went through. Decided again, it shows its last decision."""
        commands, events = self._batch
        batch = {"messaging.system": "nats", "messaging.operation.name": "publish", "messaging.operation.type": "send"}
        counts = {"messaging.batch.message_count": events, "custody.batch.commands": commands}
        self._stage("custody.queue", self._queued_ns, self._deciding_ns)
        self._stage("custody.decide", self._deciding_ns, self._decided_ns)
        self._stage("custody.append", self._sent_ns, self._stored_ns, SpanKind.CLIENT, {**batch, **counts})
        self._stage("custody.reply", self._replying_ns, now_ns)

    def _stage(
        self,
        name: str,
        start_ns: int,
        end_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, str | int] | None = None,
    ) -> None:
        if start_ns and end_ns >= start_ns:
            parent = trace.set_span_in_context(self._span)
            self._tracer.start_span(name, parent, kind, attributes, start_time=start_ns).end(end_ns)


def _is_of_caller(request: Request) -> bool:
    """Return whether a caller sent the command, and not a part of the service."""
    return request.actor.partition("/")[0] in {"agent", "ops"}


def _context(traceparent: str) -> Context | None:
    return _W3C.extract({"traceparent": traceparent}) if traceparent else None


def _span_of(traceparent: str) -> SpanContext | None:
    found = trace.get_current_span(_context(traceparent)).get_span_context()
    return found if found.is_valid else None
