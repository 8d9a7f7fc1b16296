"""An agent's state, and the fold of its events. Its leases are not part of it: they are indexed from the tasks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from domain.errors import no_beginning, out_of_order
from domain.events import agent as ev
from domain.lifecycles import AGENT, INTAKE, AgentStatus, IntakeStatus
from domain.timestamps import after

if TYPE_CHECKING:
    from domain.events import Event
    from domain.recorded import Recorded


class Agent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The state of an agent after its events."""

    agent_id: str
    version: int
    position: int
    """Position of the agent's last event."""
    registered_position: int
    """Position of the registration by which it joined, or joined again: the order in which agents are considered."""
    status: AgentStatus
    intake: IntakeStatus = IntakeStatus.OPEN
    capabilities: frozenset[str] = frozenset()
    priority: float = 1.0
    capacity: int = 1
    labels: tuple[str, ...] = ()
    session: str | None = None
    """The session of the process that registered last; None if it gave none."""
    cpu: float = 0.0
    memory: float = 0.0
    load_at: datetime | None = None
    """When its load was last recorded."""
    vouches: bool = False
    """Whether it names the tasks that it vouches for: its commands then renew only what they name."""
    last_recorded_at: datetime | None = None
    """When its last registration or heartbeat was recorded; commands in between leave no event of the agent."""
    heard_before_loss_at: datetime | None = None
    """When it was heard last before its last loss, as that tells: by its silence, in a log of an earlier version."""
    drain_deadline: datetime | None = None
    """While it drains: when what it still holds is taken from it."""

    @property
    def last_heard_at(self) -> datetime | None:
        """When it was heard last, by its own events on record."""
        signs = [at for at in (self.last_recorded_at, self.heard_before_loss_at) if at is not None]
        return max(signs, default=None)

    def cpu_since(self, moment: datetime) -> float:
        """Return the cpu in percent that counts: as reported, but 0 if the report is from before a moment."""
        return 0.0 if self.load_at is not None and self.load_at < moment else self.cpu

    @property
    def may_be_stolen_from(self) -> bool:
        """Whether tasks may be stolen from it: it is live, whether it takes grants or not."""
        return self.status is AgentStatus.LIVE

    @property
    def accepts_grants(self) -> bool:
        """Whether it is live and neither paused nor draining."""
        return self.status is AgentStatus.LIVE and self.intake is IntakeStatus.OPEN


def evolve_agent(agent: Agent | None, recorded: Recorded) -> Agent:
    """Return the agent after one more event.

    A registration sets every field, so it may also be the first event that is folded: earlier ones have left memory.

    Raises:
        FoldError: the event is not the next one of this agent.
        IllegalTransitionError: the lifecycle forbids it.
    """
    event = recorded.event
    if agent is None:
        if not isinstance(event, ev.Registered):
            raise no_beginning(recorded)
        agent = Agent(recorded.entity_id, recorded.version - 1, 0, recorded.position, AgentStatus.NEW)
    if recorded.version != agent.version + 1:
        raise out_of_order(recorded, agent.version)
    if isinstance(event, ev.AgentNoted):
        return replace(agent, version=recorded.version, position=recorded.position)
    joined = isinstance(event, ev.Registered) and agent.status in {AgentStatus.NEW, AgentStatus.DEREGISTERED}
    agent = replace(
        agent,
        version=recorded.version,
        position=recorded.position,
        registered_position=recorded.position if joined else agent.registered_position,
        status=AGENT.next[agent.status, event.name],
    )
    return _apply(agent, event, recorded)


def _apply(agent: Agent, event: Event, recorded: Recorded) -> Agent:
    """Return the agent with what this event says of it; status and version are set already."""
    if isinstance(event, ev.Registered):
        if event.clears_load:
            agent = replace(agent, cpu=0.0, memory=0.0, load_at=None)
        return replace(
            agent,
            capabilities=frozenset(event.capabilities),
            priority=event.priority,
            capacity=event.capacity,
            labels=event.labels,
            session=event.session,
            vouches=False,
            last_recorded_at=recorded.time,
            heard_before_loss_at=None,
        )
    if isinstance(event, ev.Heartbeat):
        agent = replace(agent, vouches=event.vouches, last_recorded_at=recorded.time)
        return agent if event.load is None else _loaded(agent, event.load, recorded.time)
    if isinstance(event, ev.Lost):
        return replace(agent, heard_before_loss_at=event.heard_at or after(recorded.time, -event.silence_s))
    if isinstance(event, ev.LoadReported):
        return _loaded(agent, event.load, recorded.time)
    if isinstance(event, ev.IntakeEvent):
        deadline = event.deadline if isinstance(event, ev.AgentDraining) else None
        return replace(agent, intake=INTAKE.next[agent.intake, event.name], drain_deadline=deadline)
    if isinstance(event, ev.Deregistered):
        return replace(
            agent, intake=IntakeStatus.OPEN, drain_deadline=None, session=None, cpu=0.0, memory=0.0, load_at=None
        )
    return agent


def _loaded(agent: Agent, load: ev.SystemLoad, at: datetime) -> Agent:
    return replace(agent, cpu=load.cpu, memory=load.memory, load_at=at)
