"""When an agent counts as lost: later than its time, not at it."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.timestamps import TICK
from handlers.ports import Steady, steadily_after
from handlers.writer.agent_liveness import AgentLiveness

START = Steady(datetime(2026, 11, 21, 8, tzinfo=UTC))
LOST_AFTER_S = 60.0
AT_THE_LIMIT = steadily_after(START, LOST_AFTER_S)
BEYOND = Steady(AT_THE_LIMIT + TICK)


def test_at_the_very_limit_an_agent_is_not_lost_yet() -> None:
    liveness = AgentLiveness(LOST_AFTER_S)
    liveness.heard("A", START, START)
    assert not liveness.is_silent("A", AT_THE_LIMIT)
    assert liveness.silent(AT_THE_LIMIT) == []
    assert liveness.is_silent("A", BEYOND)
    assert liveness.silent(BEYOND) == [("A", LOST_AFTER_S + TICK.total_seconds())]


def test_who_was_heard_since_or_is_forgotten_is_not_lost() -> None:
    liveness = AgentLiveness(LOST_AFTER_S)
    for agent_id in "ABC":
        liveness.heard(agent_id, START, START)
    liveness.heard("B", steadily_after(START, 1), START)
    liveness.forget("C")
    assert [agent_id for agent_id, _ in liveness.silent(BEYOND)] == ["A"]
    assert not liveness.is_silent("C", steadily_after(AT_THE_LIMIT, 3600))
    liveness.reset_all(AT_THE_LIMIT)
    assert liveness.silent(steadily_after(AT_THE_LIMIT, 59)) == []
