"""The events of an agent."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from domain.events.base import Entity, Event
from domain.timestamps import Timestamp


class SystemLoad(BaseModel):
    """How busy the agent's machine is, in percent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cpu: float = 0.0
    memory: float = 0.0


class AgentEvent(Event):
    """An event about an agent."""

    entity: ClassVar[Entity] = Entity.AGENT


class Registered(AgentEvent):
    """An agent joined the pool, or described itself anew."""

    name: ClassVar[str] = "registered"

    capabilities: tuple[str, ...] = ()
    priority: float = 1.0
    capacity: int = 1
    labels: tuple[str, ...] = ()
    session: str | None = None
    """The session of the process that registered; absent if it gave none."""
    clears_load: bool = False
    """Whether the load reported before counts no more; false in logs from before it did."""


class Heartbeat(AgentEvent):
    """The agent was heard, and something changed (its load status, whether it vouches), or a minute had passed."""

    name: ClassVar[str] = "heartbeat"

    load: SystemLoad | None = None
    vouches: bool = False
    """Whether it names the tasks that it vouches for: from then on its commands renew only what they name."""


class LoadReported(AgentEvent):
    """The agent's load was reported, by itself or by others, without a sign of life."""

    name: ClassVar[str] = "load_reported"

    load: SystemLoad


class AgentDraining(AgentEvent):
    """The agent gets no new grants and is asked to hand over what it holds."""

    name: ClassVar[str] = "draining"

    reason: str | None = None
    deadline: Timestamp | None = None
    """When what the agent still holds is taken from it."""


class AgentPaused(AgentEvent):
    """The agent gets no new grants."""

    name: ClassVar[str] = "paused"

    reason: str | None = None


class AgentResumed(AgentEvent):
    """The agent gets grants again."""

    name: ClassVar[str] = "resumed"

    reason: str | None = None


IntakeEvent = AgentDraining | AgentPaused | AgentResumed
"""The events that open or close an agent's intake."""


class Lost(AgentEvent):
    """The agent was not heard for too long; any command of it makes it live again."""

    name: ClassVar[str] = "lost"

    silence_s: float
    threshold_s: float
    heard_at: Timestamp | None = None
    """When it was heard last, or did last what is on record; null in logs of earlier versions.

    A start, and an outage of the pool, begin `silence_s` anew, for no agent could be heard.
    """


class Deregistered(AgentEvent):
    """The agent left, or an operator deregistered it; what it held was given back."""

    name: ClassVar[str] = "deregistered"

    released: int = 0
    """Tasks released because it left, earlier appends of the same command included."""
    reason: str | None = None
    """Why an operator deregistered it."""


class AgentNoted(AgentEvent):
    """An operator or a service recorded a note on the agent, which may have left; changes no status."""

    name: ClassVar[str] = "noted"

    kind: str
    """What kind of note it is, such as `maintenance`."""
    note: str | None = None
    """A text for people."""
    data: Any = None
    """Any JSON of at most 16 KiB."""
