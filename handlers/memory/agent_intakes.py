"""The intake that an agent had at a position of the log: whether it took new grants then."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from domain.events import Entity
from domain.events import agent as ev
from domain.lifecycles import INTAKE, IntakeStatus
from handlers.memory.shared_results import NOT_KEPT, Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import Event
    from handlers.memory.log_reads import LogReads
    from handlers.ports import StoredMessage

_INTAKE_AFTER: dict[type[Event], IntakeStatus] = {
    **{kind: to for kind in get_args(ev.IntakeEvent) if (to := INTAKE.leads_to(kind.name)) is not None},
    ev.Deregistered: IntakeStatus.OPEN,
}


class _Intake(NamedTuple):
    """An agent's intake between two positions."""

    intake: IntakeStatus
    since: int
    through: int


class AgentIntakes:
    """Looks up intakes in one pool's log."""

    def __init__(self, reads: LogReads) -> None:
        self._reads = reads

    async def at(self, agent_id: str, position: int) -> IntakeStatus:
        """Return an agent's intake as it was at a position that is in the log. Raises LogUnavailableError."""
        shared, key = self._reads.shared, ("intake", agent_id)
        known: _Intake | None = shared.kept(key)
        if known is None or not known.since <= position <= known.through:
            through = max(position, self._reads.committed_position)
            known = await shared.share((*key, position), lambda: self._look_up(agent_id, position, through))
            latest: _Intake | None = shared.kept(key)
            if latest is None or known.through > latest.through:
                shared.keep(key, Found(known, 0))
        return known.intake

    async def _look_up(self, agent_id: str, position: int, through: int) -> Found[_Intake]:
        subject = self._reads.subject(Entity.AGENT, agent_id)
        subjects = [f"{subject}.{kind.name}" for kind in _INTAKE_AFTER]
        found = [await self._reads.last(each) for each in subjects]
        last = max((each for each in found if each is not None), key=lambda each: each.position, default=None)
        if last is not None and last.position > position:
            through = position
            last = await self._last_before(subjects, position)
        decoded = self._reads.decoded([last] if last is not None else [])
        if not decoded:
            return Found(_Intake(IntakeStatus.OPEN, 0, through), NOT_KEPT)
        latest = decoded[0]
        return Found(_Intake(_INTAKE_AFTER[type(latest.event)], latest.position, through), NOT_KEPT)

    async def _last_before(self, subjects: Sequence[str], position: int) -> StoredMessage | None:
        """Return the last message of these subjects at or before a position."""
        last: StoredMessage | None = None

        def take(messages: Sequence[StoredMessage]) -> None:
            nonlocal last
            last = messages[-1] if messages else last

        await self._reads.take_chunks(subjects, 0, position, take)
        return last
