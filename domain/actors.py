"""Who an event or a command is by: `agent/<id>`, `ops/<name>`, `ops`, or a part of the service."""

from __future__ import annotations

SWEEPER, STEALER, WRITER = "sweeper", "stealer", "writer"
_AGENT = "agent/"


def agent_actor(agent_id: str) -> str:
    """Return the actor that an agent is."""
    return f"{_AGENT}{agent_id}"


def acting_agent(actor: str) -> str | None:
    """Return the id of the agent that an actor is; None for operators and the service."""
    return actor[len(_AGENT) :] if actor.startswith(_AGENT) else None
