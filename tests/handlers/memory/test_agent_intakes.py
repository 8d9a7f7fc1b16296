"""The intake that an agent had at a position of the log."""

from __future__ import annotations

from handlers.memory.agent_intakes import AgentIntakes
from handlers.memory.log_reads import LogReads
from tests.handlers.memory.worked_log import POOL, log_of
from tests.support.scenario import OPS, Scenario


async def test_agents_intake_is_told_as_it_was() -> None:
    s = Scenario()
    s.given("a", "register")
    told = [("open", s.log[-1].position)]
    for verb, intake in (("drain", "draining"), ("pause", "paused"), ("resume", "open"), ("drain", "draining")):
        s.given(OPS, verb, agent_id="a")
        told.append((intake, s.log[-1].position))
        s.wait(100).given("a", "heartbeat")
        told.append((intake, s.log[-1].position))
    s.given("a", "deregister")
    told.append(("open", s.log[-1].position))
    log = log_of(s)

    for order in (told, told[::-1]):
        intakes = AgentIntakes(LogReads(POOL, log, s.codec, lambda: s.state.committed_position))
        for intake, position in order * 2:
            assert await intakes.at("a", position) == intake, position
        reads = log.reads
        await intakes.at("a", told[-1][1])
        assert log.reads == reads
