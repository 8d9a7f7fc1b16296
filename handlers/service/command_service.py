"""The command service of one pool: requests in, replies out. It knows the wire contract and no transport.

A request is checked completely before it reaches the writer's queue, so bad input costs only its error reply.
"""

from __future__ import annotations

import logging
import uuid
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from domain import limits
from domain.actors import operator_actor
from domain.commands.command_digest import body_digest
from domain.commands.operator_commands import Cancel, Requeue
from domain.refusal import Refusal
from domain.request import Request
from domain.timestamps import seconds_between
from handlers.ports import ACTOR_HEADER, LogUnavailableError
from handlers.service import repeated_commands, reply_bodies
from handlers.service.filtered_commands import FilteredCommands
from handlers.service.guarded_tasks import GuardedTasks
from handlers.service.name_resolution import NameResolution
from handlers.service.repeated_commands import HOLDINGS_VERBS, RepeatedCommands
from handlers.service.reply_sender import ReplySender
from handlers.service.routes import QueryRoute, Routes
from handlers.service.trace_context import traceparent_in
from handlers.telemetry import NO_TELEMETRY
from handlers.writer.jobs import FAULT, OUTCOME_UNKNOWN, OVERLOADED, STOPPING, Answer, Job, unavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from domain.commands.command import Command
    from domain.entities import EntityKey
    from handlers.memory.lookup import Lookup
    from handlers.memory.outcomes import OutcomeKey
    from handlers.ports import Clock
    from handlers.service.query_service import QueryService
    from handlers.service.routes import CommandRoute
    from handlers.telemetry import CommandTrace, Telemetry
    from handlers.writer.pool_access import PoolAccess
    from handlers.writer.writer import Writer
    from projections.queries.questions import Query

_LOG = logging.getLogger(__name__)
_NEED_NEW_IDS = frozenset({"submit", "submit_many", "steal"})


class Incoming(NamedTuple):
    """A request as the transport delivered it."""

    subject: str
    body: bytes
    reply: str
    """The reply subject; empty if no answer is expected."""
    headers: Mapping[str, str]


class CommandService:
    """Answers one pool's requests."""

    def __init__(
        self,
        pool_id: str,
        writer: Writer,
        access: PoolAccess,
        lookup: Lookup,
        queries: QueryService,
        clock: Clock,
        respond: Callable[[str, bytes, Mapping[str, str]], None],
        telemetry: Telemetry = NO_TELEMETRY,
    ) -> None:
        self._routes = Routes(pool_id)
        self._memory = writer.memory
        self._queries = queries
        self._clock = clock
        self._tasks = GuardedTasks()
        self._names = NameResolution(writer, lookup, self._tasks)
        self._filtered = FilteredCommands(writer, access, self._tasks)
        self._repeated = RepeatedCommands(access, lookup, queries)
        self._figures, self._tracer = telemetry
        self._replies = ReplySender(respond, self._figures)
        self._under_way: dict[OutcomeKey, Job] = {}
        self._open = True
        self._ids_made = 0
        self._id_prefix = f"{uuid.uuid4().hex}-"
        self.refused_replies = 0
        """Requests dropped because their reply subject lay outside the inboxes."""

    def handle(self, incoming: Incoming) -> None:
        """Take one request; its reply follows when it was carried out. Never raises."""
        if incoming.reply and not reply_bodies.is_inbox(incoming.reply):
            self._drop(incoming)
            return
        try:
            refusal = self._take(incoming)
        except Exception:  # noqa: BLE001 - the boundary: a fault must cost one request, not the service
            _LOG.exception("could not take a request on %r", incoming.subject)
            refusal = FAULT
        if refusal is not None:
            self._replies.refuse(incoming.reply, refusal)

    async def close(self) -> None:
        """Refuse further requests, and wait until every look-up and query is answered."""
        self._open = False
        await self._tasks.finished()

    def cancel(self) -> list[asyncio.Task[None]]:
        """Refuse further requests, and cancel look-ups and queries without an answer; return their tasks."""
        self._open = False
        return self._tasks.cancel()

    def _drop(self, incoming: Incoming) -> None:
        """Drop a request whose reply the service's own rights would carry elsewhere: into the log, say."""
        self.refused_replies += 1
        # Callers choose both subjects, so both are escaped. Warn of the 1st, 2nd, 4th, 8th ...: no flood of lines.
        if self.refused_replies.bit_count() == 1:
            _LOG.warning(
                "dropped a request on %r with the reply subject %r; it was number %d of its kind",
                incoming.subject,
                incoming.reply,
                self.refused_replies,
            )

    def _take(self, incoming: Incoming) -> Refusal | None:
        """Pass the request on, or return why not."""
        if not self._open:
            return STOPPING
        if len(incoming.body) > limits.MAX_REQUEST_BYTES:
            return reply_bodies.invalid("(body)", f"must be at most {limits.MAX_REQUEST_BYTES} bytes")
        route = self._routes.find(incoming.subject)
        if isinstance(route, Refusal):
            return route
        try:
            if isinstance(route, QueryRoute):
                return self._query(incoming, route.model.model_validate_json(incoming.body or b"{}"))
            return self._command(incoming, route, route.read(incoming.body))
        except ValidationError as error:
            return reply_bodies.malformed(error)

    # Commands

    def _command(self, incoming: Incoming, route: CommandRoute, command: Command) -> Refusal | None:
        actor = route.actor
        if actor is None:
            name = incoming.headers.get(ACTOR_HEADER, "")
            if name and not _is_actor(name):
                return reply_bodies.invalid(
                    ACTOR_HEADER, f"must be at most {limits.MAX_ACTOR_CHARS} printable characters of ASCII"
                )
            actor = operator_actor(name)
        verb, command_id = route.verb, command.command_id
        request = Request(
            command,
            actor,
            causation_id=command_id if command_id is not None else self._make_id(),
            agent_id=route.agent_id,
            new_id=uuid.uuid4().hex if verb in _NEED_NEW_IDS else "",
            verb=verb,
            keyed=command_id is not None,
            digest=body_digest(command) if command_id is not None else "",
            traceparent=traceparent_in(incoming.headers),
        )
        return self._admit(incoming, request, route.names(command))

    def _make_id(self) -> str:
        self._ids_made += 1
        return f"{self._id_prefix}{self._ids_made}"

    def _admit(self, incoming: Incoming, request: Request, names: tuple[EntityKey, ...]) -> Refusal | None:
        """Answer with an outcome that is recorded or under way, else queue the command."""
        reply = incoming.reply
        if self._figures is not None:
            self._figures.commands[request.verb] += 1
        key: OutcomeKey | None = None
        if request.keyed:
            key = (request.actor, request.verb, request.causation_id)
            under_way = self._under_way.get(key)
            if under_way is not None:
                if under_way.request.digest != request.digest:
                    return repeated_commands.command_conflict(request)
                under_way.join(reply, self._time_out, self._clock.steady())
                return None
            positions = self._memory.outcomes.get(key)
            if positions is not None:
                return self._replay(reply, request, positions)
        job = Job(
            request,
            partial(self._answer, key),
            self._clock.steady(),
            len(incoming.body),
            names,
            callers=[reply],
            on_timeout=self._time_out,
            on_stale_look_up=self._names.resolve,
            trace=self._begin_trace(request),
        )
        if key is not None:
            self._under_way[key] = job
        command = request.command
        if isinstance(command, Cancel | Requeue) and command.filters:
            self._filtered.submit(job, command)
        else:
            self._names.submit(job)
        return None

    def _begin_trace(self, request: Request) -> CommandTrace | None:
        return None if self._tracer is None else self._tracer.begin(request)

    def _replay(self, reply: str, request: Request, positions: tuple[int, ...]) -> Refusal | None:
        if self._tasks.full:
            return OVERLOADED
        self._tasks.spawn(self._replay_outcome(reply, request, positions), lambda: self._replies.refuse(reply, FAULT))
        return None

    async def _replay_outcome(self, reply: str, request: Request, positions: tuple[int, ...]) -> None:
        trace = self._begin_trace(request)
        try:
            answer = await self._repeated.first_answer(request, positions)
        except LogUnavailableError:
            refusal = unavailable("the broker did not answer in time; try again with the same command_id")
            answer = Answer(self._memory.state.committed_position, refusal=refusal)
        self._replies.send(reply, answer)
        if trace is not None:
            trace.end(answer.position, answer.records, answer.refusal, self._memory.state.task)

    def _answer(self, key: OutcomeKey | None, job: Job, answer: Answer) -> None:
        if key is not None:
            del self._under_way[key]
        request, trace = job.request, job.trace
        if trace is not None:
            trace.replying()
        if request.verb in HOLDINGS_VERBS and answer.result is not None:
            answer = answer._replace(result=self._queries.with_directives(answer.result, request.agent_id or ""))
        for reply in job.callers:
            self._replies.send(reply, answer)
        if self._figures is not None and job.wait_until is None:
            self._figures.command_s.add(seconds_between(job.received_at, self._clock.steady()))
        if trace is not None:
            trace.end(answer.position, answer.records, answer.refusal, self._memory.state.task)

    def _time_out(self, job: Job) -> None:
        for reply in job.take_callers():
            self._replies.refuse(reply, OUTCOME_UNKNOWN)

    # Queries

    def _query(self, incoming: Incoming, query: Query) -> Refusal | None:
        reply = incoming.reply
        if not reply:
            return None
        if self._tasks.full:
            return OVERLOADED
        self._tasks.spawn(self._answer_query(reply, query), lambda: self._replies.refuse(reply, FAULT))
        return None

    async def _answer_query(self, reply: str, query: Query) -> None:
        try:
            answer = await self._queries.answer(query)
        except LogUnavailableError:
            self._replies.refuse(reply, unavailable("the broker did not answer in time; try again"))
        else:
            self._replies.send(reply, answer)


def _is_actor(name: str) -> bool:
    return len(name) <= limits.MAX_ACTOR_CHARS and name.isascii() and name.isprintable()
