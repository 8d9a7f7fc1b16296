"""kill -9, of the service and of the broker, under load: nothing acknowledged is lost, nothing is done twice.

What is killed is what `custody up` runs, with `sync_interval: always`. That a killed process loses nothing says nothing
about power cuts: what the kernel has survives it either way.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from infra.broker.embedded import EmbeddedBroker
from tests.system.caller import Caller
from tests.system.load import SHORT, Attempt, Load, check_fold, check_promises
from tests.system.processes import Service, access, client, operator, serve
from tests.system.streams import Feed, in_log, last_position, moment, read_log

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

AGENTS = 12
POOL = "default"


async def sleepers(ask: Caller, name: str) -> set[str]:
    """Tasks that are held by a silent agent."""
    await ask.done(f"agent.{name}.register", capacity=5)
    held = [await ask.assigned(name, task_id=f"{name}-{number}", lease=SHORT) for number in range(3)]
    return {lease["task_id"] for lease in held}


async def check_rearmed(ask: Caller, before: int) -> None:
    """Right after the lead there is a floor under what was held; or one of an earlier start lies later still."""
    events = await read_log(ask.nc, ask.pool)
    led = next(event for event in events[before:] if event.name == "pool.led")
    follows = next(iter(events[led.position :]), None)
    if follows is not None and follows.name == "pool.rearmed":
        assert follows.data["blind_s"] > 0
        floor = moment(led.body["time"]) + timedelta(seconds=follows.data["blind_s"])
        assert moment(follows.data["not_before"]) >= floor
    else:
        blind = moment(led.body["time"]) - moment(events[led.position - 2].body["time"])
        floors = [event.data["not_before"] for event in events[: led.position] if event.name == "pool.rearmed"]
        assert moment(max(floors)) >= moment(led.body["time"]) + blind


async def test_kill_9_of_everything_under_load(tmp_path: Path) -> None:
    attempts: list[Attempt] = []
    held: set[str] = set()
    async with Service("up", tmp_path) as service:
        for number in range(3):
            await service.ready()
            async with client(**access(tmp_path / "data"), allow_reconnect=False) as nc:
                ask = Caller(nc, POOL)
                if attempts:
                    await check_promises(ask, attempts)
                held = await sleepers(ask, f"s{number}")
                load = Load(ask, f"r{number}", number)
                load.start(AGENTS)
                await load.answered(60 + 37 * number)
                await service.kill()
                await load.stop()
            attempts += load.attempts
            assert any(attempt.acknowledged for attempt in attempts)
            await service.start()
            if number == 1:
                # Once more, while it finds out what was.
                await service.line("^broker ")
                await service.kill()
                await service.start()
        await service.ready()
        async with client(**access(tmp_path / "data")) as nc, Feed(nc, POOL) as feed:
            ask = Caller(nc, POOL)
            last_led = [event.position for event in await read_log(nc, POOL) if event.name == "pool.led"][-1]
            await check_rearmed(ask, last_led - 1)
            await check_promises(ask, attempts)
            for task_id in held:
                if (await ask.task(task_id))["status"] == "assigned":
                    await feed.until("task.expired", task_id)
            await ask.done("ops.pause")
            await check_promises(ask, [])


async def test_kill_9_of_the_service_only(tmp_path: Path) -> None:
    async with (
        EmbeddedBroker(tmp_path / "broker") as broker,
        serve(broker, tmp_path) as service,
        operator(broker) as nc,
    ):
        ask = Caller(nc, POOL)
        for number in range(2):
            await service.ready()
            await sleepers(ask, f"s{number}")
            load = Load(ask, f"r{number}", number)
            load.start(AGENTS)
            await load.answered(150)
            before = len(await read_log(nc, POOL))
            await service.kill()
            await load.stop()
            await service.start()
            await service.ready()
            await check_rearmed(ask, before)
            await check_promises(ask, load.attempts)


async def test_kill_9_of_the_broker_only(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker")
    await broker.start()
    try:
        async with (
            serve(broker, tmp_path) as service,
            operator(broker) as nc,
        ):
            ask = Caller(nc, POOL)
            await service.ready()
            for number in range(2):
                await sleepers(ask, f"s{number}")
                load = Load(ask, f"r{number}", number)
                load.start(AGENTS)
                await load.answered(150)
                before = await last_position(nc, POOL)
                await broker.kill()
                await load.stop()
                await broker.start()
                await in_log(nc, POOL, "pool.rearmed", after=before)
                await check_promises(ask, load.attempts)
            leaders = [event for event in await read_log(nc, POOL) if event.name == "pool.led"]
            assert len(leaders) == 1, "the service goes on"
    finally:
        await broker.stop()


async def test_views_are_the_fold_of_the_log_after_a_crash(tmp_path: Path) -> None:
    async with Service("up", tmp_path) as service:
        await service.ready()
        async with client(**access(tmp_path / "data"), allow_reconnect=False) as nc:
            load = Load(Caller(nc, POOL), "one", 7)
            load.start(AGENTS)
            await load.answered(200)
            await service.kill()
            await load.stop()
        await service.start()
        await service.ready()
        async with client(**access(tmp_path / "data")) as nc:
            await check_fold(Caller(nc, POOL))
