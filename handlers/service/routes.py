"""Routes: from a request's subject to the command or query, and the entities that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.actors import agent_actor
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS, Retry
from domain.commands.submit import SubmitMany
from domain.events import Entity
from domain.limits import NAME_PATTERN
from domain.names import is_name
from domain.refusal import Refusal
from handlers.service import reply_bodies
from projections.queries.questions import QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from domain.commands.command import Command
    from domain.entities import EntityKey
    from projections.queries.questions import Query

MAX_CACHED = 10_000
"""Parsed subjects that are cached; beyond that the cache is emptied. A fleet uses the same few subjects again."""


class CommandRoute(NamedTuple):
    """A command, asked by an agent or, without one, by an operator."""

    verb: str
    model: type[Command]
    agent_id: str | None = None
    actor: str | None = None
    """The agent; None for operators, whom a header names."""
    named: tuple[EntityKey, ...] = ()
    """What the subject names."""

    def read(self, body: bytes) -> Command:
        """Return the command that a body holds; raises pydantic's ValidationError."""
        return self.model.model_validate_json(body or b"{}")

    def names(self, command: Command) -> tuple[EntityKey, ...]:
        """Return the entities that subject and command name, and that may have left memory."""
        names = self.named
        for field, entity in _NAMING_FIELDS[self.model]:
            value = getattr(command, field)
            if type(value) is str:
                names += ((entity, value),)
            elif value is not None:
                names += tuple((entity, each) for each in value)
        further = _FURTHER_TASKS.get(self.model)
        return names if further is None else names + tuple((Entity.TASK, each) for each in further(command))


class QueryRoute(NamedTuple):
    """A query."""

    model: type[Query]


Route = CommandRoute | QueryRoute


class Routes:
    """Parses the subjects of one pool's requests."""

    def __init__(self, pool_id: str) -> None:
        self._prefix = f"custody.{pool_id}."
        self._cache: dict[str, Route] = {}

    def find(self, subject: str) -> Route | Refusal:
        """Return what the subject asks for, or the refusal of an unknown one."""
        route = self._cache.get(subject)
        if route is not None:
            return route
        found = self._read(subject.removeprefix(self._prefix).split("."))
        if not isinstance(found, Refusal):
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[subject] = found
        return found

    def _read(self, tokens: list[str]) -> Route | Refusal:
        match tokens:
            case ["agent", agent_id, verb]:
                if not is_name(agent_id):
                    return reply_bodies.invalid("agent", f"the subject's agent must match {NAME_PATTERN}")
                command = AGENT_COMMANDS.get(verb)
                if command is None:
                    return _unknown("verb", verb, AGENT_COMMANDS)
                return CommandRoute(verb, command, agent_id, agent_actor(agent_id), ((Entity.AGENT, agent_id),))
            case ["ops", verb]:
                operation = OPS_COMMANDS.get(verb)
                return _unknown("verb", verb, OPS_COMMANDS) if operation is None else CommandRoute(verb, operation)
            case ["query", view]:
                query = QUERIES.get(view)
                return _unknown("view", view, QUERIES) if query is None else QueryRoute(query)
        return reply_bodies.invalid(
            "subject", "must be agent.<agent>.<verb>, ops.<verb> or query.<view> after the pool, with known names"
        )


def _unknown(field: str, name: str, known: Mapping[str, object]) -> Refusal:
    return reply_bodies.invalid(field, f"{name!r} is not one of {', '.join(sorted(known))}")


_ENTITY_OF_FIELD = {
    "agent_id": Entity.AGENT,
    "from_agent": Entity.AGENT,
    "to_agent": Entity.AGENT,
    "task_id": Entity.TASK,
    "task_ids": Entity.TASK,
}
_FURTHER_TASKS: dict[type, Callable[[Any], Iterable[str]]] = {
    Retry: lambda command: command.candidates,
    SubmitMany: lambda command: [each.task_id for each in command.tasks if each.task_id is not None],
}
"""Tasks that a command names otherwise than in a field of its own."""
_NAMING_FIELDS: dict[type, tuple[tuple[str, Entity], ...]] = {
    model: tuple((field, entity) for field, entity in _ENTITY_OF_FIELD.items() if field in model.model_fields)
    for model in (*AGENT_COMMANDS.values(), *OPS_COMMANDS.values())
}
"""Computed beforehand, because asking a model for a field that it lacks is slow."""
