"""What browsers are shown is the pool, and what is not true now is never called live."""

import asyncio
import json
from typing import Any

from custody_dashboard.watch.hub import Hub
from custody_dashboard.watch.pool_watch import PoolWatch
from domain.timestamps import format_timestamp
from infra.cli.watching.rights import may_operate
from infra.nats.connection import PermissionViolation
from tests.custody_dashboard.conftest import Desk, closed, take
from tests.support.cases import case
from tests.support.pool_harness import PoolHarness


async def stream(hub: Hub, pool: PoolHarness, seconds: float) -> list[tuple[str, Any]]:
    """What a new browser gets within some time."""
    async with closed(hub.frames(None)) as frames:
        found = await take(frames, 1)
        await pool.advance(seconds)
        (browser,) = hub._browsers  # noqa: SLF001 - what waits for it is what it will get
        return found + await take(frames, len(browser.waiting))


def applied(events: list[tuple[str, Any]]) -> dict[str, Any]:
    """The document that a browser has after these events."""
    shown: dict[str, Any] = {}
    for name, document in events:
        if name == "state":
            shown = document
        elif name == "delta":
            agents = document.pop("agents", None)
            lanes = document.pop("lanes", None)
            shown |= document
            if agents is not None:
                shown["agents"] |= agents["set"]
                for gone in agents["gone"]:
                    del shown["agents"][gone]
            for agent_id, segments in (lanes or {"agents": {}})["agents"].items():
                by_token = {each["token"]: each for each in shown["lanes"]["agents"].get(agent_id, [])}
                by_token |= {each["token"]: each for each in segments}
                shown["lanes"]["agents"][agent_id] = list(by_token.values())
    return shown


async def test_the_state_and_the_changes_after_it_are_the_state_then(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1", "T2")
    hub = desk.watch.hub
    async with closed(hub.frames(None)) as frames:
        found = await take(frames, 1)
        (browser,) = hub._browsers  # noqa: SLF001 - what waits for it is what it will get
        for number in range(10):
            await pool.submit(f"U{number}")
            await pool.assign("a1", f"U{number}")
            await pool.advance(0.3)
            if number == 4:
                await pool.register("a2")
                await pool.given("ops.steal", from_="a1", to="a2", count=2)
            if number == 8:
                await pool.given("agent.a2.deregister")
        await pool.advance(1)
        found += await take(frames, len(browser.waiting))
    shown = applied(found)
    now = (await stream(hub, pool, 0))[0][1]
    for name in ("position", "mode", "needs", "agents", "steals", "recent", "tasks_changed"):
        assert shown[name] == now[name], name
    assert shown["position"] == pool.position
    assert {name: value for name, value in shown["strip"].items() if "wait" not in name} == {
        name: value for name, value in now["strip"].items() if "wait" not in name
    }
    ours = {agent_id: {each["token"]: each for each in lane} for agent_id, lane in shown["lanes"]["agents"].items()}
    assert ours == {
        agent_id: {each["token"]: each for each in lane} for agent_id, lane in now["lanes"]["agents"].items()
    }


async def test_changes_are_gathered_and_beats_come_every_second(desk: Desk, pool: PoolHarness) -> None:
    hub = desk.watch.hub
    async with closed(hub.frames(None)) as frames:
        await take(frames, 1)
        (browser,) = hub._browsers  # noqa: SLF001 - same
        for number in range(20):
            await pool.submit(f"T{number}")
            await pool.advance(0.1)
        found = await take(frames, len(browser.waiting))
    deltas = [document for name, document in found if name == "delta"]
    beats = [document for name, document in found if name == "beat"]
    assert len(beats) == 2
    assert 8 <= len(deltas) <= 11
    assert [each["position"] for each in deltas] == sorted({each["position"] for each in deltas})
    assert all(each["mode"] == "live" for each in beats)
    assert beats[-1]["served_by"] == "host:1:1"


async def test_a_quiet_pool_costs_a_browser_a_beat_a_second(desk: Desk, pool: PoolHarness) -> None:
    await pool.advance(5)
    found = await stream(desk.watch.hub, pool, 10)
    assert [name for name, _ in found].count("beat") == 10
    assert [name for name, _ in found].count("delta") <= 10


async def test_before_the_log_is_read_nothing_is_called_live(desk: Desk, pool: PoolHarness) -> None:
    watch = PoolWatch(desk.watch.settings, pool.clock)
    watch.unlinked("cannot use the broker at nats://127.0.0.1:1: connection refused")
    assert watch.beat()["mode"] == "starting"
    assert "connection refused" in watch.beat()["why"]
    ((name, document),) = await stream(watch.hub, pool, 0)
    assert (name, document["mode"], document["position"]) == ("state", "starting", 0)
    desk.context.watch = watch
    for path in (
        *("/api/tasks", "/api/task?id=T1", "/api/agent?id=a", "/api/statistics", "/api/at?position=0"),
        *("/api/diff?from=0&to=0", "/api/timeline", "/api/morning", "/api/postmortem?task=T1"),
    ):
        answer = await desk.http.get(path)
        assert answer.status_code == 503, path
        assert "connection refused" in answer.json()["error"]["message"]
    assert (await desk.get("/api/session"))["position"] == 0


async def test_a_broker_that_does_not_answer_is_not_live_until_it_does(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    await pool.advance(1)
    assert desk.watch.beat()["mode"] == "live"
    pool.log.fail_reads(40)
    await pool.advance(4)
    beat = desk.watch.beat()
    assert (beat["mode"], beat["served_by"]) == ("disconnected", None)
    assert beat["why"]
    assert (await desk.get("/api/tasks"))["total"] == 1, "what was known is still shown"
    await pool.advance(60)
    assert desk.watch.beat()["mode"] == "live"
    assert desk.watch.beat()["why"] is None


async def test_a_link_that_ended_is_not_live(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    await pool.advance(1)
    desk._works[0].cancel()  # noqa: SLF001 - the link, as its owner ends it
    await asyncio.gather(desk._works[0], return_exceptions=True)  # noqa: SLF001 - same
    desk.watch.unlinked("the broker has another address now")
    found = await stream(desk.watch.hub, pool, 3)
    assert found[0][1]["mode"] == "disconnected"
    assert {document["mode"] for name, document in found if name == "beat"} == {"disconnected"}
    assert "another address" in desk.watch.beat()["why"]
    desk._works[0] = asyncio.create_task(desk.watch.watch(desk.link))  # noqa: SLF001 - a new link
    await pool.submit("T2")
    await pool.advance(2)
    assert desk.watch.beat()["mode"] == "live"
    assert (await desk.get("/api/tasks"))["total"] == 2


async def test_while_the_broker_is_gone_time_stands_still_and_no_agent_turns_silent(
    desk: Desk, pool: PoolHarness
) -> None:
    await pool.holds("a1", "T1")
    await pool.advance(2)
    await pool.kill()
    pool.log.fail_reads(10_000)
    desk.connection.is_connected = False
    await pool.advance(3)
    known = desk.watch.beat()
    assert known["mode"] == "disconnected"
    found = await stream(desk.watch.hub, pool, 10)
    await pool.advance(900)
    found += await stream(desk.watch.hub, pool, 10)
    assert {name for name, _ in found} == {"state", "beat"}, "nothing changes"
    assert {document["now"] for _, document in found} == {known["now"]}
    shown = applied(found)
    assert shown["agents"]["a1"]["tone"] == "ok"
    assert shown["needs"]["items"] == []
    assert (await desk.get("/api/tasks"))["now"] == known["now"]
    pool.log.fail_reads(0)
    desk.connection.is_connected = True
    await pool.start()
    await pool.advance(2)
    assert desk.watch.mode == "live"
    assert desk.watch.beat()["now"] == format_timestamp(pool.clock.now())


async def test_a_link_that_ended_holds_the_clock(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    await pool.advance(1)
    desk._works[0].cancel()  # noqa: SLF001 - the link, as its owner ends it
    await asyncio.gather(desk._works[0], return_exceptions=True)  # noqa: SLF001 - same
    desk.watch.unlinked("the broker has another address now")
    ended_at = format_timestamp(pool.clock.now())
    found = await stream(desk.watch.hub, pool, 10)
    await pool.advance(900)
    found += await stream(desk.watch.hub, pool, 10)
    assert {document["now"] for _, document in found} == {ended_at}
    assert applied(found)["agents"]["a1"]["tone"] == "ok"


async def test_a_service_that_is_gone_is_told_though_the_log_is_live(desk: Desk, pool: PoolHarness) -> None:
    await pool.advance(2)
    assert desk.watch.beat()["served_by"] == "host:1:1"
    await pool.kill()
    await pool.advance(6)
    assert (desk.watch.beat()["mode"], desk.watch.beat()["served_by"]) == ("live", None)
    found = (await stream(desk.watch.hub, pool, 0))[0][1]
    assert found["strip"]["served"] is False
    assert [each["kind"] for each in found["needs"]["items"]] == ["writer_down"]
    await pool.start()
    await pool.advance(3)
    assert desk.watch.beat()["served_by"] == "host:1:2"
    assert (await stream(desk.watch.hub, pool, 0))[0][1]["needs"]["items"] == []


async def test_while_no_service_answers_no_agent_turns_silent(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    await pool.advance(2)
    await pool.kill()
    await pool.advance(900)
    found = (await stream(desk.watch.hub, pool, 0))[0][1]
    assert found["mode"] == "live"
    assert found["agents"]["a1"]["tone"] == "ok", "nothing could hear it"
    assert [each["kind"] for each in found["needs"]["items"]] == ["writer_down"]
    await pool.start()
    await pool.advance(3)
    assert (await stream(desk.watch.hub, pool, 0))[0][1]["agents"]["a1"]["tone"] == "ok", "it has as long as before"


async def test_agents_are_heard_by_the_service_where_the_log_says_nothing(desk: Desk, pool: PoolHarness) -> None:
    await pool.register("a1")
    async with closed(desk.watch.hub.frames(None)) as frames:
        await take(frames, 1)
        await pool.advance(20)
        await pool.given("agent.a1.heartbeat")
        heard_at = format_timestamp(pool.clock.now())
        await pool.advance(8)
        assert desk.watch.view.agents.rows()["a1"]["heard_at"] == heard_at
        assert heard_at not in [each.time for each in pool.records()]


async def test_when_agents_were_heard_is_known_soon_after_the_first_look(desk: Desk, pool: PoolHarness) -> None:
    await pool.register("a1")
    for unwatched_s in (10.0, 11.0, 12.0, 13.0, 14.0):  # wherever in the rhythm of questions the look falls
        await pool.advance(unwatched_s)
        await pool.given("agent.a1.heartbeat")
        heard_at = format_timestamp(pool.clock.now())
        async with closed(desk.watch.hub.frames(None)) as frames:
            await take(frames, 1)
            await pool.advance(2.2)
            with case(unwatched_s):
                assert desk.watch.view.agents.rows()["a1"]["heard_at"] == heard_at


async def test_a_log_that_was_replaced_is_shown_anew(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    await pool.advance(1)
    messages = [*pool.log.messages]
    assert "1 submitted" in json.dumps(await desk.get("/api/morning", since="0"))
    async with closed(desk.watch.hub.frames(None)) as frames:
        await take(frames, 1)
        await pool.kill()
        await pool.advance(2)
        pool.log.truncate_to(2)
        await pool.advance(5)
        (browser,) = desk.watch.hub._browsers  # noqa: SLF001 - same
        states = [each for each in await take(frames, 1) if each[0] == "state"]
        assert states, browser
        assert states[0][1]["position"] == 2
    assert (await desk.get("/api/tasks"))["total"] == 0
    assert (await desk.refused("/api/task", id="T1"))[0] == 404
    assert "submitted" not in json.dumps(await desk.get("/api/morning", since="0"))
    assert len(messages) > 2
    pool.foreign = True


async def test_rights_are_asked_of_the_broker(desk: Desk, pool: PoolHarness) -> None:
    assert desk.watch.may_operate is True
    assert "cancelled" not in {each.name for each in pool.records()}

    class Refusing:
        connected_url = None

        async def request(self, subject: str, *_: Any, **__: Any) -> Any:
            violation = PermissionViolation("publish", subject.lower())
            asyncio.get_running_loop().call_soon(desk.connection.violated.notify, violation)
            await asyncio.Event().wait()

    connection: Any = desk.connection
    connection.client = Refusing()
    assert await may_operate(connection, "p") is False
