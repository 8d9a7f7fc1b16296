"""A fault that nothing expects ends the service, and what it took is answered first."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events.task import Submitted
from domain.policies.lease import LeasePolicy
from handlers.ports import NewMessage
from handlers.writer.watchdog import LONGEST_PAUSE_S
from tests.handlers.conftest import EITHER_WAY
from tests.support.pool_harness import PoolHarness

pytestmark = EITHER_WAY


class FaultError(Exception):
    """Something that no code expects."""


async def ends_with_the_fault(pool: PoolHarness) -> None:
    with pytest.raises(FaultError):
        await pool.service.served()
    await pool.kill()


async def test_a_fault_of_an_append_leaves_no_caller_without_an_answer(pool: PoolHarness) -> None:
    def fail(_: NewMessage) -> None:
        raise FaultError

    pool.log.on_message = fail
    asked = [pool.post("ops.submit", {"task_id": f"T{number}"}) for number in range(3)]
    await pool.rest()
    assert ["the outcome is unknown" in each.answer["error"]["message"] for each in asked] == [True] * 3
    await ends_with_the_fault(pool)


async def test_a_fault_of_the_watchdog_ends_the_service(pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise FaultError

    monkeypatch.setattr(pool.service.writer, "end_timed_out", fail)
    await pool.advance(LONGEST_PAUSE_S)
    await ends_with_the_fault(pool)


async def test_a_fault_of_a_refold_shows_no_state_that_is_folded_in_part(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise FaultError

    pool.log.append_foreign(*pool.by_another(("task/T", Submitted(request_digest="theirs", lease=LeasePolicy()))))
    monkeypatch.setattr(pool.log, "read", fail)
    pool.post("ops.submit")
    query = pool.post("query.tasks")
    await pool.rest()
    late = pool.post("query.tasks")
    await pool.rest()
    assert [query.answer.code, late.answer.code] == ["unavailable"] * 2
    await ends_with_the_fault(pool)
