"""What a person does from top: asked first, recorded under their name, refused without rights, and said in words."""

from typing import Any

from domain.recorded import Recorded
from tests.custody_top.conftest import Seat, Sit
from tests.support.cases import case
from tests.support.pool_harness import PoolHarness


async def done(seat: Seat, keys: tuple[str, ...], *typed: str) -> tuple[str, list[Recorded]]:
    """Press keys, type into one field after the other, and return what is seen then, and what was recorded."""
    before = seat.pool.position
    await seat.press(*keys)
    for words in typed:
        await seat.write(words)
        await seat.press("enter")
    shown = await seat.settled()
    return " ".join(shown.split()), seat.pool.records(before)


async def at_work(pool: PoolHarness, agent_id: str) -> None:
    """Register an agent that holds something, so that nothing is moved to it by itself."""
    await pool.holds(agent_id, f"{agent_id}-own")


async def test_each_verb_on_a_task(sit: Sit, pool: PoolHarness) -> None:
    await at_work(pool, "a2")
    await pool.holds("a1", "T1", "T2", "T3")
    await pool.submit("T4", budgets={"failures": 1, "expiries": 1, "releases": 1})
    token = await pool.assign("a1", "T4")
    await pool.given("agent.a1.release", task_id="T4", token=token, reason="too hard")
    await pool.submit("T5")
    token = await pool.assign("a1", "T5")
    await pool.given("agent.a1.block", task_id="T5", token=token, reason="?", question="MIT or Apache?")
    async with sit() as seat:
        await seat.press("tab", "s")
        for choose, key, typed, said, event in (
            ("T3", "m", ("a2", "balance"), "tasks moved from a1 to a2", {"to_agent": "a2"}),
            ("T1", "c", ("not needed",), "T1 is cancelled", {"reason": "not needed"}),
            ("T2", "x", ("hangs",), "T2 was taken from its holder", {"reason": "hangs"}),
            ("T4", "e", ("again",), "T4 is in the queue again", {}),
            ("T5", "u", ("MIT", "asked legal"), "T5 is in the queue again", {"answer": "MIT"}),
        ):
            with case(said):
                await seat.press("slash")
                await seat.write(choose)
                await seat.press("enter")
                shown, records = await done(seat, (key,), *typed)
                assert said in shown
                assert f"on record at position {records[-1].position}" in shown
                assert {record.actor for record in records} == {"ops/ann"}
                assert records[0].causation_id.startswith("top-")
                assert {name: getattr(records[0].event, name) for name in event} == event
                await pool.advance(1)
        await seat.press("f", "f", "f", "f", "f", "f", "f", "slash")
        await seat.write("T1")
        shown, records = await done(seat, ("enter", "t"), "after all")
        assert "T1 was submitted again, as T1-r1" in shown


async def test_each_verb_on_an_agent_and_on_the_pool(sit: Sit, pool: PoolHarness) -> None:
    await at_work(pool, "a2")
    await pool.holds("a1", "T1", "T2")
    async with sit() as seat:
        await seat.press("s")
        for keys, typed, said in (
            (("p",), ("hot",), "a1 gets no more tasks"),
            (("r",), ("cool",), "a1 gets tasks again"),
            (("d",), ("60", "update"), "a1 is asked to hand over"),
            (("m",), ("a2", "1", "idle"), "tasks moved from a1 to a2"),
            (("A", "p"), ("night",), "the pool grants no more tasks"),
            (("A", "r"), ("",), "the pool grants tasks again"),
            (("A", "d"), ("upgrade",), "every agent is asked to hand over"),
        ):
            with case(said):
                shown, records = await done(seat, keys, *typed)
                assert said in shown, shown
                assert {record.actor for record in records} == {"ops/ann"}
                await pool.advance(1)
        assert "pool is draining" in await seat.text()


async def test_the_menu_offers_what_is_possible(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        assert "a1: p pause  d drain  m steal  Escape leaves" in await seat.press("a")
        assert "Pause a1?" in await seat.press("p")
        assert "Pause a1?" not in await seat.press("escape")
        assert "T1: x revoke  m steal  c cancel" in await seat.press("tab", "a")
        assert "c cancel" not in await seat.press("escape")


async def test_nothing_is_done_before_it_is_confirmed(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        shown = await seat.press("tab", "c")
        assert "Cancel T1?" in shown
        assert "It ends for good; who holds it is asked to stop." in shown
        assert "Enter does it, on record as ann; Escape leaves it" in shown
        before = pool.position
        await seat.write("q is typed, it does not quit")
        await seat.press("escape")
        await seat.settled()
        assert pool.position == before
        assert not seat.app._exit  # noqa: SLF001 - the library tells it nowhere else


async def test_what_is_not_possible_is_said_before_anything_is_asked(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        assert "cancel is not for an agent" in await seat.press("c")
        shown = await seat.press("tab", "e")
        assert "requeue is not possible for T1 now; possible: revoke, steal, cancel" in shown


async def test_a_refusal_is_said_and_what_was_typed_stays(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        shown, records = await done(seat, ("tab", "m"), "nobody", "why not")
        assert "unknown_agent" in shown
        assert "To agent: nobody" in shown
        assert "Enter tries again" in shown
        assert records == []
        shown, _ = await done(seat, ("escape", "shift+tab", "d"), "soon", "x")
        assert "deadline_s" in shown


async def test_an_unknown_outcome_is_asked_for_again_under_the_same_id(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit() as seat:
        seat.connection.client.silent = True
        shown, records = await done(seat, ("tab", "c"), "hangs")
        assert "whether it was done is not known" in shown
        assert "Enter asks again" in shown
        assert records == []
        seat.connection.client.silent = False
        before = pool.position
        await seat.press("enter")
        assert "T1 is cancelled" in await seat.settled()
        (record,) = [each for each in pool.records(before) if each.name == "cancelled"]
        assert record.keyed


async def test_without_rights_nothing_is_done(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    for options, may_operate, why in (
        ({"read_only": True}, True, "top was started with --read-only"),
        ({}, False, "the broker does not let this user send commands of operators"),
        ({}, None, "it is not known yet whether the broker allows commands"),
    ):
        with case(why):
            await without_rights(sit, pool, options, may_operate=may_operate, why=why)


async def without_rights(
    sit: Sit, pool: PoolHarness, options: dict[str, Any], *, may_operate: bool | None, why: str
) -> None:
    async with sit(**options) as seat:
        seat.watch.may_operate = may_operate
        before = pool.position
        shown = await seat.text()
        assert ("a act" in shown) is (may_operate is None)
        for keys in (("p",), ("a",), ("A",), ("tab", "c"), ("enter", "c"), ("escape", "a")):
            shown = await seat.press(*keys)
            assert why in shown
            assert "?" not in shown.replace("? help", "")
        assert pool.position == before


async def test_a_person_without_a_name(sit: Sit, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    async with sit(person=None) as seat:
        assert "on record without a name" in await seat.press("p")
