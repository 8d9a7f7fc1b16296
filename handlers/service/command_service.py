"""The command service of one pool: requests in, replies out. It speaks the wire contract and knows no transport.

A request is checked completely before it reaches the writer's queue, so bad input costs nothing but its error reply.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from domain import limits
from domain.draft import Refusal, Request
from domain.events import Entity
from handlers.ports import LogUnavailableError
from handlers.service import reply_bodies
from handlers.service.repeated_commands import Repeats
from handlers.service.routes import QueryRoute, Routes
from handlers.writer.jobs import FAULT, OUTCOME_UNKNOWN, OVERLOADED, STOPPING, Answer, Job, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from domain.commands import Command
    from domain.draft import EntityKey
    from handlers.memory.lookup import Lookup
    from handlers.memory.outcomes import OutcomeKey
    from handlers.ports import Clock
    from handlers.service.query_service import QueryService
    from handlers.service.routes import CommandRoute
    from handlers.writer.writer import Writer
    from projections.queries.questions import Query

_LOG = logging.getLogger(__name__)
MAX_LOOKUPS = 10_000
"""Requests that may wait for a look-up in the log, or for a view, at once."""
MAX_LOOKUP_BYTES = 64 * 1024 * 1024
"""Bytes of the commands that may wait for a look-up at once."""


class Incoming(NamedTuple):
    """A request as the transport delivered it."""

    subject: str
    body: bytes
    reply: str
    """Where the answer goes; empty if nobody waits for one."""
    headers: Mapping[str, str]


class CommandService:
    """Answers one pool's requests."""

    def __init__(
        self,
        pool_id: str,
        writer: Writer,
        lookup: Lookup,
        queries: QueryService,
        clock: Clock,
        respond: Callable[[str, bytes, Mapping[str, str]], None],
    ) -> None:
        self._routes = Routes(pool_id)
        self._writer = writer
        self._lookup = lookup
        self._queries = queries
        self._repeats = Repeats(writer, lookup, queries)
        self._clock = clock
        self._respond = respond
        self._in_flight: dict[OutcomeKey, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking_up_bytes = 0
        self._open = True
        self._made = 0
        self._made_prefix = f"{uuid.uuid4().hex}-"
        self.refused_replies = 0
        """Requests dropped because their reply subject lay outside the inboxes."""

    def handle(self, incoming: Incoming) -> None:
        """Take one request; its reply follows when the writer has come to it. Never raises."""
        if incoming.reply and not incoming.reply.startswith(reply_bodies.REPLY_PREFIX):
            # The service's own rights would carry the reply there: into the log, say.
            self.refused_replies += 1
            if self.refused_replies.bit_count() == 1:
                # The first, the second, the fourth, ...: nobody fills the log with them.
                _LOG.warning(
                    "dropped a request on %s with the reply subject %s; it was number %d of its kind",
                    incoming.subject,
                    incoming.reply,
                    self.refused_replies,
                )
            return
        try:
            refusal = self._take(incoming)
        except Exception:  # noqa: BLE001 - the boundary: a fault must cost one request, not the service
            _LOG.exception("could not take a request on %s", incoming.subject)
            refusal = FAULT
        if refusal is not None:
            self._fail(incoming.reply, refusal)

    async def close(self) -> None:
        """Refuse what still comes, and wait until everything taken is answered."""
        self._open = False
        while self._tasks:
            await asyncio.wait(self._tasks)

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

    def _command(self, incoming: Incoming, route: CommandRoute, command: Command) -> Refusal | None:
        actor = route.actor
        if actor is None:
            name = incoming.headers.get(reply_bodies.ACTOR_HEADER, "")
            if name and not _is_actor(name):
                return reply_bodies.invalid(
                    reply_bodies.ACTOR_HEADER, f"must be at most {limits.MAX_ACTOR_CHARS} printable characters of ASCII"
                )
            actor = f"ops/{name}" if name else "ops"
        verb, command_id = route.verb, command.command_id
        request = Request(
            command,
            actor,
            command_id if command_id is not None else self._made_id(),
            route.agent_id,
            uuid.uuid4().hex if verb in _MAKES_IDS else "",
            verb,
            command_id is not None,
        )
        return self._admit(incoming, request, route.names(command))

    def _made_id(self) -> str:
        self._made += 1
        return f"{self._made_prefix}{self._made}"

    def _admit(self, incoming: Incoming, request: Request, names: tuple[EntityKey, ...]) -> Refusal | None:
        """Join an outcome that is known or under way, else queue the command."""
        reply = incoming.reply
        key: OutcomeKey | None = None
        if request.keyed:
            key = (request.actor, request.verb, request.causation_id)
            under_way = self._in_flight.get(key)
            if under_way is not None:
                self._join(under_way, reply)
                return None
            positions = self._writer.memory.outcomes.get(key)
            if positions is not None:
                if len(self._tasks) >= MAX_LOOKUPS:
                    return OVERLOADED
                self._spawn(self._repeat(reply, request, positions), lambda: self._fail(reply, FAULT))
                return None
        job = Job(
            request,
            partial(self._done, key),
            self._clock.now(),
            len(incoming.body),
            names,
            callers=[reply],
            overdue=self._overdue,
            look_up=self._look_up,
        )
        if key is not None:
            self._in_flight[key] = job
        memory = self._writer.memory
        if request.agent_id is not None:
            for entity, name in names:
                if entity is _TASK:
                    memory.directives.obeyed(request.agent_id, name)
        if memory.state.knows_all(names):
            self._writer.submit(job)
        else:
            self._look_up(job)
        return None

    def _join(self, job: Job, reply: str) -> None:
        """Let one more caller wait for the outcome of a command that is under way."""
        job.callers.append(reply)
        if job.overdue is None:
            # Those before were told already that it takes its time; this one has a patience of its own.
            job.overdue = self._overdue
            job.received_at = self._clock.now()

    def _look_up(self, job: Job) -> None:
        """Find in the log what the job names and memory lacks, then queue it."""
        position = self._writer.memory.state.committed_position
        if len(self._tasks) >= MAX_LOOKUPS or self._looking_up_bytes + job.size > MAX_LOOKUP_BYTES:
            job.done(Answer(position, (), None, OVERLOADED))
            return
        self._looking_up_bytes += job.size
        self._spawn(self._looked_up(job), lambda: job.done(Answer(position, (), None, FAULT)))

    async def _looked_up(self, job: Job) -> None:
        try:
            await self._find(job)
        finally:
            self._looking_up_bytes -= job.size

    async def _find(self, job: Job) -> None:
        while True:
            state = self._writer.memory.state
            job.known_at = state.committed_position
            try:
                found = [(name, await self._lookup.entity(name)) for name in job.names if not state.knows(name)]
            except LogUnavailableError:
                refusal = unavailable("the broker did not answer a look-up in time; nothing was done; try again")
                job.done(Answer(state.committed_position, (), None, refusal))
                return
            if self._writer.memory.state is state and state.evicted_through <= job.known_at:
                break
            # What was found may have changed, come into memory and left it again meanwhile.
        job.absent = frozenset(name for name, entity in found if entity is None or not self._writer.load(name, entity))
        self._writer.submit(job)

    async def _repeat(self, reply: str, request: Request, positions: tuple[int, ...]) -> None:
        try:
            answer = await self._repeats.first_answer(request, positions)
        except LogUnavailableError:
            self._fail(reply, unavailable("the broker did not answer in time; try again with the same command_id"))
        else:
            self._send(reply, answer)

    def _done(self, key: OutcomeKey | None, job: Job, answer: Answer) -> None:
        request = job.request
        if request.verb in _SHOWS_DIRECTIVES and answer.result is not None:
            answer = answer._replace(result=self._queries.directed(answer.result, request.agent_id or ""))
        if key is not None:
            del self._in_flight[key]
        for reply in job.callers:
            self._send(reply, answer)

    def _overdue(self, job: Job) -> None:
        callers, job.callers = job.callers, []
        for reply in callers:
            self._fail(reply, OUTCOME_UNKNOWN)

    def _send(self, reply: str, answer: Answer) -> None:
        if answer.refusal is not None:
            self._fail(reply, answer.refusal)
        elif reply:
            self._deliver(reply, reply_bodies.success(answer.position, answer.records, answer.result or {}))

    def _deliver(self, reply: str, body: bytes) -> None:
        if len(body) > limits.MAX_REPLY_BYTES:
            _LOG.error("a reply of %d bytes was too large to send", len(body))
            self._fail(reply, unavailable("the command was carried out, but its reply is too large to send"))
            return
        self._respond(reply, body, {})

    def _fail(self, reply: str, refusal: Refusal) -> None:
        if reply:
            body, headers = reply_bodies.failure(refusal)
            self._respond(reply, body, headers)

    def _query(self, incoming: Incoming, query: Query) -> Refusal | None:
        if not incoming.reply:
            return None
        if len(self._tasks) >= MAX_LOOKUPS:
            return OVERLOADED
        self._spawn(self._answer_query(incoming.reply, query), lambda: self._fail(incoming.reply, FAULT))
        return None

    async def _answer_query(self, reply: str, query: Any) -> None:
        try:
            answer = await self._queries.answer(query)
        except LogUnavailableError:
            self._fail(reply, unavailable("the broker did not answer in time; try again"))
        else:
            self._send(reply, answer)

    def _spawn(self, work: Coroutine[Any, Any, None], failed: Callable[[], None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None], failed: Callable[[], None]) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - the boundary: a fault must cost one request, not the service
            _LOG.exception("a request could not be answered")
            failed()


_TASK = Entity.TASK
"""Looking a member up in its enumeration costs more than comparing it, and every command does."""
_MAKES_IDS = frozenset({"submit", "steal"})
_SHOWS_DIRECTIVES = frozenset({"register", "heartbeat"})


def _is_actor(name: str) -> bool:
    return len(name) <= limits.MAX_ACTOR_CHARS and name.isascii() and name.isprintable()
