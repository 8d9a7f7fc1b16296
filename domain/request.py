"""A command with its envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from domain.commands.command import Command
    from domain.commands.service_commands import ServiceCommand


class Request(msgspec.Struct, frozen=True):
    """A command with its envelope: who sent it, and as an effect of what."""

    command: Command | ServiceCommand
    actor: str
    """`agent/<id>`, `ops/<name>`, `ops`, `sweeper`, `stealer` or `writer`."""
    causation_id: str
    """The caller's `command_id`, or one made for it."""
    agent_id: str | None = None
    """The agent that the subject names, if one does."""
    new_id: str = ""
    """A new id, for a command that creates an entity and does not name it."""
    verb: str = ""
    keyed: bool = False
    """Whether the caller chose `causation_id`."""
    digest: str = ""
    """Digest of the body of a keyed command, by which the same id with another body is noticed."""
    traceparent: str = ""
    """The W3C trace context in which the caller sent it; empty: none."""
    asked_at: datetime | None = None
    """When a claim was sent that has waited since; None for any other command. What it comes to now is no sign of life
    of its agent."""
