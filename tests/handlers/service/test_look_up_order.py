"""Commands on an id that is looked up in the log keep their order, and hold up no others."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from domain.entities import EntityKey, EntityState
from handlers.memory.lookup import Lookup
from tests.support.pool_harness import PoolHarness


@pytest.fixture
def uneven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look-ups take turns of the event loop, the first of them the most."""
    original, turns = Lookup.entity, itertools.cycle([40, 0, 3, 17, 1, 8])

    async def slow(self: Lookup, key: EntityKey) -> EntityState | None:
        for _ in range(next(turns)):
            await asyncio.sleep(0)
        return await original(self, key)

    monkeypatch.setattr(Lookup, "entity", slow)


@pytest.mark.usefixtures("uneven")
async def test_commands_on_an_id_that_is_looked_up_are_carried_out_in_their_order(pool: PoolHarness) -> None:
    asked = []
    for number in range(200):
        body = {"task_id": f"T{number}"}
        asked += [pool.post("ops.submit", body), pool.post("ops.cancel", body), pool.post("ops.submit", body)]
    await pool.rest()
    assert {each.answer.code for each in asked} == {None}
    assert all(each.answer.names == ["cancelled"] for each in asked[1::3])
    assert all(each.answer.names == [] for each in asked[2::3]), "the same definition again changes nothing"


async def test_a_look_up_holds_up_no_command_on_another_entity(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.holds("a", "KNOWN")
    original, gate = Lookup.entity, asyncio.Event()

    async def gated(self: Lookup, key: EntityKey) -> EntityState | None:
        await gate.wait()
        return await original(self, key)

    monkeypatch.setattr(Lookup, "entity", gated)
    late = pool.post("ops.submit", {"task_id": "T"})
    assert (await pool.request("ops.cancel", {"task_id": "KNOWN"})).ok
    assert not late.replies
    gate.set()
    await pool.rest()
    assert late.answer.ok


@pytest.mark.usefixtures("uneven")
async def test_a_look_up_that_fails_lets_the_next_command_go_on(pool: PoolHarness) -> None:
    pool.log.fail_reads(1)
    first, second = pool.post("ops.submit", {"task_id": "T"}), pool.post("ops.submit", {"task_id": "T"})
    await pool.rest()
    assert first.answer.code == "unavailable"
    assert second.answer.names == ["submitted"]
