"""The commands of agents: the pool's holders of work, each named by the subject."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain import limits
from domain.commands.command import AgentCommand, Blocking, Completing, Failing, LoadReport
from domain.json_values import Capabilities, JsonDocument, Labels, Note, Reason, Session, TaskId

Token = Annotated[int, Field(ge=1, le=limits.MAX_INT64)]


class Register(AgentCommand):
    """Join the pool, or update what the pool knows of the agent."""

    verb: ClassVar[str] = "register"

    session: Session | None = None
    """Chosen anew by each process. Another one than the current begins a new session of the agent."""

    capabilities: Capabilities = []
    """What the agent can do."""
    priority: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Preference as the target of steals."""
    capacity: Annotated[int, Field(ge=1, le=limits.MAX_CAPACITY)] = 1
    """How many leases it may hold at once."""
    labels: Labels = []
    """Free labels."""


class VouchedTask(BaseModel):
    """A task that an agent vouches for: it works on it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task_id: TaskId
    """The task."""
    token: Token
    """The lease's fencing token."""


class Heartbeat(AgentCommand):
    """A sign of life for everything the agent holds, or for the tasks that it vouches for."""

    verb: ClassVar[str] = "heartbeat"

    load: LoadReport | None = None
    """How busy the agent's machine is."""
    tasks: Annotated[list[VouchedTask], Field(max_length=limits.MAX_CAPACITY)] | None = None
    """The tasks that the agent vouches for: only their leases are renewed; absent: all that it holds."""
    alive: bool = True
    """Whether this is a sign of life; if not, it reports the load alone and renews nothing."""

    @model_validator(mode="after")
    def _vouching_is_a_sign_of_life(self) -> Self:
        if self.tasks is not None and not self.alive:
            msg = "tasks are vouched for by a sign of life; leave them out with alive: false"
            raise ValueError(msg)
        return self


class Claim(AgentCommand):
    """Ask for tasks."""

    verb: ClassVar[str] = "claim"

    max: Annotated[int, Field(ge=1, le=limits.MAX_CLAIM)] = 1
    """The largest number of leases to grant."""
    wait_s: Annotated[float, Field(ge=0, le=limits.MAX_CLAIM_WAIT_S)] = 0.0
    """How long to wait for a task if there is none, in seconds."""


class OnTask(AgentCommand):
    """A holder's command on one task."""

    task_id: TaskId
    """The task."""
    token: Token
    """The lease's fencing token."""


class ReadLease(OnTask):
    """Read a held lease again: after a steal, an assignment or a lost reply."""

    verb: ClassVar[str] = "lease"


class Start(OnTask):
    """Report that work on the task begins."""

    verb: ClassVar[str] = "start"


class Progress(OnTask):
    """Report progress, which renews the lease."""

    verb: ClassVar[str] = "progress"

    percent: Annotated[int, Field(ge=0, le=100)]
    """Progress in percent; it may be lower than before."""
    message: Note | None = None
    """A note for people and for the next holder."""
    checkpoint: JsonDocument = None
    """Where to continue: any JSON of at most 64 KiB, handed to the next holder."""


class Silence(OnTask):
    """Announce a silence."""

    verb: ClassVar[str] = "silence"

    for_s: Annotated[float, Field(gt=0, le=limits.MAX_SILENCE_S)]
    """How long, in seconds, at most an hour."""
    reason: Reason
    """Why."""


class Release(OnTask):
    """Return a task to the queue."""

    verb: ClassVar[str] = "release"

    checkpoint: JsonDocument = None
    """Where to continue: any JSON of at most 64 KiB, handed to the next holder."""
    reason: Reason | None = None
    """Why, for the record."""
    delay_s: Annotated[float, Field(ge=0, le=limits.MAX_DELAY_S)] = 0.0
    """How long the task is granted to no agent, in seconds."""


class Block(Blocking, OnTask):
    """Give up a task until an operator unblocks it."""

    verb: ClassVar[str] = "block"


class Complete(Completing, OnTask):
    """Finish a task."""

    verb: ClassVar[str] = "complete"


class Fail(Failing, OnTask):
    """Report that the attempt failed."""

    verb: ClassVar[str] = "fail"
    delay_s: Annotated[float, Field(ge=0, le=limits.MAX_DELAY_S)] | None = None
    """Seconds for which the next attempt waits; absent: as the task's `retry` says."""


class Deregister(AgentCommand):
    """Leave the pool and release everything held."""

    verb: ClassVar[str] = "deregister"


AGENT_COMMANDS: dict[str, type[AgentCommand]] = {
    cls.verb: cls
    for cls in (
        Register, Heartbeat, Claim, ReadLease, Start, Progress, Silence, Release, Block, Complete, Fail, Deregister,
    )
}  # fmt: skip


def is_sign_of_life(command: object) -> bool:
    """Return whether a command of an agent says that it lives, as all do but a report of the load alone."""
    return not isinstance(command, Heartbeat) or command.alive
