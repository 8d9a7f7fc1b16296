"""Deciding one job on the tentative state."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domain.commands.agent_commands import is_sign_of_life
from domain.commands.service_commands import Judge, MarkLost
from domain.decision import Decision
from domain.decisions.dispatch import decide
from domain.errors import RefusalCode
from domain.limits import MAX_EVENTS_PER_COMMAND
from handlers.writer.jobs import FAULT

if TYPE_CHECKING:
    from datetime import datetime

    from domain.rules import Rules
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, Steady
    from handlers.writer.agent_liveness import AgentLiveness
    from handlers.writer.broker_link import BrokerLink
    from handlers.writer.jobs import Job

_LOG = logging.getLogger(__name__)
_FAULT = Decision([], {}, refusal=FAULT)
_JUDGEMENTS = (Judge, MarkLost)


class Decider:
    """Decides jobs by the pool's rules. A fault in the rules costs one command, not the pool."""

    def __init__(
        self, memory: Memory, rules: Rules, liveness: AgentLiveness, broker_link: BrokerLink, clock: Clock
    ) -> None:
        self._memory = memory
        self._rules = rules
        self._liveness = liveness
        self._broker_link = broker_link
        self._clock = clock

    def decide(self, job: Job, now: datetime, steady: Steady) -> Decision:
        """Return what a job comes to at a time of the log, and of the steady clock.

        An agent's own command is a sign of life. A claim that waited and is decided again is none, and neither is what
        an earlier session of the agent says, nor a report of its load alone.
        """
        trace = job.trace
        if trace is not None:
            trace.deciding()
        decision = self._decide(job, now)
        if trace is not None:
            trace.decided()
        if decision.waits:
            job.asked(now)
        agent_id = job.request.agent_id
        alive = job.wait_until is None and is_sign_of_life(job.request.command)
        if agent_id is not None and alive and not is_of_stale_session(decision):
            self._liveness.heard(agent_id, steady, now)
        return decision

    def _decide(self, job: Job, now: datetime) -> Decision:
        request = job.request_now
        command = request.command
        if isinstance(command, _JUDGEMENTS) and not self._may_judge(command):
            return Decision([], {}, {})
        try:
            decision = decide(self._memory.state, request, now, self._rules)
        except Exception:  # noqa: BLE001 - the boundary: see the class
            _LOG.exception("could not decide %s for %s", request.verb, request.actor)
            return _FAULT
        if len(decision.records) > MAX_EVENTS_PER_COMMAND:
            _LOG.error("%s for %s came to %d events", request.verb, request.actor, len(decision.records))
            return _FAULT
        return decision

    def _may_judge(self, command: Judge | MarkLost) -> bool:
        """Return whether silence may be judged: agents can be heard, and this one is still silent."""
        now = self._clock.steady()
        if self._broker_link.cannot_judge(now):
            return False
        return isinstance(command, Judge) or self._liveness.is_silent(command.agent_id, now)


def is_of_stale_session(decision: Decision) -> bool:
    """Return whether a command was refused because an earlier session of its agent sent it."""
    refusal = decision.refusal
    return refusal is not None and refusal.code is RefusalCode.STALE_SESSION
