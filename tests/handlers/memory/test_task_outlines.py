"""Outlines of tasks: what they fall back to where the log holds what every fold skips."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain.events import task as ev
from domain.hash_chain import GENESIS_HASH
from domain.recorded import Recorded
from handlers.memory.lookup import Lookup, fold_task
from handlers.memory.task_outlines import TaskOutlines
from handlers.ports import NewMessage
from infra.codec import CloudEventsCodec
from tests.handlers.memory.worked_log import POOL, log_of, worked_on
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import Scenario


def outlines(log: MemoryEventLog, s: Scenario) -> TaskOutlines:
    return TaskOutlines(Lookup(POOL, log, s.codec))


def foreign(recorded: Recorded) -> NewMessage:
    """Return a message of another writer that every fold skips, at the end of the log."""
    messages, _ = CloudEventsCodec(POOL).encode([recorded], GENESIS_HASH)
    return messages[0]


@pytest.mark.parametrize("version", [3, 99])
async def test_an_outline_with_an_event_that_every_fold_skips_is_not_believed(version: int) -> None:
    s = worked_on(20)
    log = log_of(s)
    false = replace(s.log[-1], position=len(s.log) + 1, version=version, event=ev.Cancelled(reason="not so"))
    log.append_foreign(foreign(false))
    false = replace(
        false, position=len(s.log) + 2, version=s.task("T").version + 1, event=ev.Started(token=s.token("T"))
    )
    log.append_foreign(foreign(false))
    records = [s.codec.decode(message) for message in log.messages]
    expected = fold_task(each for each in records if each.entity_id == "T")
    assert expected is not None
    assert expected.status == "in_progress"

    assert await outlines(log, s).at("T", len(records)) == expected


async def test_an_outline_with_an_unreadable_message_is_not_believed() -> None:
    s = worked_on(20)
    log = log_of(s)
    log.append_foreign(NewMessage(f"custody.{POOL}.evt.task.T.started", b"{}"))

    assert await outlines(log, s).at("T", len(log.messages)) == s.task("T")


async def test_an_outline_with_a_first_report_that_every_fold_skips_is_not_believed() -> None:
    s = worked_on(20)
    log = log_of(s)
    (report,) = [each for each in s.log if isinstance(each.event, ev.Progressed)][-1:]
    false = replace(report, position=len(s.log) + 1, version=s.task("T").version + 1)
    log.append_foreign(foreign(false))

    assert await outlines(log, s).at("T", len(log.messages)) == s.task("T")


async def test_what_never_was_has_no_outline() -> None:
    s = worked_on(1)
    found = outlines(log_of(s), s)
    assert await found.at("never", 3) is None
    assert await found.held_at("never", 3) is None
    assert await found.at("T", 1) is None, "not yet"
