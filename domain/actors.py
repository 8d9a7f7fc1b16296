"""Actors, as events name who sent a command: an agent, an operator, or a part of the service itself."""

from __future__ import annotations

from typing import Final

SWEEPER: Final = "sweeper"
STEALER: Final = "stealer"
WRITER: Final = "writer"
_AGENT: Final = "agent/"
_OPERATOR: Final = "ops"


def agent_actor(agent_id: str) -> str:
    """Return the actor of an agent's commands, such as `agent/alice`."""
    return f"{_AGENT}{agent_id}"


def operator_actor(name: str = "") -> str:
    """Return the actor of an operator's commands: `ops/<name>`, or `ops` for one who gives no name."""
    return f"{_OPERATOR}/{name}" if name else _OPERATOR


def is_operator(actor: str) -> bool:
    """Return whether the actor is an operator, with a name or without."""
    return actor == _OPERATOR or actor.startswith(f"{_OPERATOR}/")


def acting_agent(actor: str) -> str | None:
    """Return the agent that the actor is, or None if it is none."""
    return actor.removeprefix(_AGENT) if actor.startswith(_AGENT) else None
