"""A request body of the wire contract: what the commands of all callers have in common.

Unknown fields are refused, so that a misspelt one is never silently ignored; types are strict. The field names and
limits are the contract's. The agent and the pool are named by the subject, not by the body.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from domain import limits
from domain.json_values import JsonDocument, Note, Reason, Session, check_text


class Command(BaseModel):
    """A request body."""

    # A client builds the one model that it needs; the service builds all of them before it serves.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        defer_build=True,
    )

    verb: ClassVar[str]
    command_id: Annotated[str, Field(min_length=1, max_length=limits.MAX_COMMAND_ID_CHARS)] | None = None
    """Makes the command idempotent: the same id again is answered with the first outcome."""

    @field_validator("command_id")
    @classmethod
    def _command_id_is_text(cls, value: str | None) -> str | None:
        return None if value is None else check_text(value)


def require_one_at_most(command: Command, one: str, other: str) -> None:
    """Raise ValueError if both of two fields are given that exclude each other."""
    if getattr(command, one) is not None and getattr(command, other) is not None:
        msg = f"{one} and {other} exclude each other"
        raise ValueError(msg)


class OpsCommand(Command):
    """Sent by an operator or a service."""


class AgentCommand(Command):
    """Sent by an agent, which the subject names."""

    session: Session | None = None
    """The session that sends it: what its process registered with; of an earlier session it is refused."""


class Completing(Command):
    """Ends a task that is done."""

    result: JsonDocument = None
    """The result: any JSON of at most 64 KiB."""


class Failing(Command):
    """Says that a task failed."""

    error: Note
    """What went wrong."""
    retryable: bool = True
    """Whether another attempt may succeed."""


class Blocking(Command):
    """Sets a task aside until it is unblocked."""

    reason: Reason
    """Why."""
    question: Note | None = None
    """What has to be answered before it can go on; the next hand-off carries it."""


class LoadReport(BaseModel):
    """Percent of the agent's machine in use."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    cpu: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Percent of the processors."""
    memory: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Percent of the memory."""
