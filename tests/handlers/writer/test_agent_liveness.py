"""When an agent counts as lost: later than its time, not at it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.timestamps import TICK
from handlers.writer.agent_liveness import AgentLiveness

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
LOST_AFTER_S = 60.0
AT_THE_LIMIT = START + timedelta(seconds=LOST_AFTER_S)


def test_at_the_very_limit_an_agent_is_not_lost_yet() -> None:
    liveness = AgentLiveness(LOST_AFTER_S)
    liveness.heard("A", START)
    assert not liveness.is_silent("A", AT_THE_LIMIT)
    assert liveness.silent(AT_THE_LIMIT) == []
    assert liveness.is_silent("A", AT_THE_LIMIT + TICK)
    assert liveness.silent(AT_THE_LIMIT + TICK) == [("A", LOST_AFTER_S + TICK.total_seconds())]


def test_who_was_heard_since_or_is_forgotten_is_not_lost() -> None:
    liveness = AgentLiveness(LOST_AFTER_S)
    for agent_id in "ABC":
        liveness.heard(agent_id, START)
    liveness.heard("B", START + timedelta(seconds=1))
    liveness.forget("C")
    assert [agent_id for agent_id, _ in liveness.silent(AT_THE_LIMIT + TICK)] == ["A"]
    assert not liveness.is_silent("C", AT_THE_LIMIT + timedelta(hours=1))
    liveness.reset_all(AT_THE_LIMIT)
    assert liveness.silent(AT_THE_LIMIT + timedelta(seconds=59)) == []
