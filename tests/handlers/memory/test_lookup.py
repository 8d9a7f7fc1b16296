"""Look-ups of single entities: what is not found, and what is kept."""

from __future__ import annotations

from domain.events import Entity
from handlers.memory.lookup import Lookup
from tests.handlers.memory.worked_log import POOL, log_of, worked_on


async def test_who_never_was_is_not_found() -> None:
    s = worked_on(1)
    lookup = Lookup(POOL, log_of(s), s.codec)
    assert await lookup.entity((Entity.TASK, "never")) is None
    assert await lookup.records((Entity.AGENT, "never")) == []
    assert await lookup.grant("T", 1) is None
    assert await lookup.task_at("T", 1) is None, "not yet"


async def test_what_was_found_is_kept() -> None:
    s = worked_on(3)
    log = log_of(s)
    lookup = Lookup(POOL, log, s.codec)
    position = s.task("T").position
    assert await lookup.task_at("T", position) == s.task("T")
    reads = log.reads
    assert await lookup.task_at("T", position) == s.task("T")
    assert log.reads == reads
