"""More callers at once than any pool has, and callers that do not listen."""

import asyncio
from pathlib import Path

import pytest

from infra.broker.embedded import EmbeddedBroker
from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.processes import serve
from tests.system.streams import last_position, read_log

pytestmark = pytest.mark.system

CALLERS = 5_000
PATIENCE_S = 60.0


async def test_five_thousand_callers_at_once_are_all_served(
    broker: EmbeddedBroker, connect: Connect, pool: str, tmp_path: Path
) -> None:
    ask = Caller(await connect(), pool)
    # In a process of its own: it does not stand still while so many callers here are busy.
    async with serve(broker, tmp_path, pool=pool, reply_timeout_s=PATIENCE_S) as service:
        await service.ready()
        submits = (
            ask.ask("ops.submit", task_id=f"T{number}", command_id=str(number), patience_s=PATIENCE_S)
            for number in range(CALLERS)
        )
        replies = await asyncio.gather(*submits)
    assert [reply.body for reply in replies if not reply.ok] == []
    log = await read_log(ask.nc, pool)
    submitted = {event.entity_id: event.position for event in log if event.name == "task.submitted"}
    assert submitted == {reply.result["task_id"]: reply.position for reply in replies}
    assert len(submitted) == CALLERS


async def test_a_flood_of_views_holds_up_no_other_caller(ask: Caller, connect: Connect, pool: str) -> None:
    for start in range(0, 300, 100):
        await asyncio.gather(*(ask.done("ops.submit", task_id=f"T{number}") for number in range(start, start + 100)))
    greedy = await connect()
    at = await last_position(greedy, pool)
    for _ in range(1_500):
        await greedy.publish(f"custody.{pool}.query.tasks", b'{"limit":1000}', reply="_INBOX.nobody")
    await greedy.flush()
    assert (await ask.ask("query.health", patience_s=10)).ok
    assert (await ask.ask("ops.submit", patience_s=10)).position > at, "no agent was thought silent meanwhile"
    assert {event.name for event in await read_log(greedy, pool, after=at)} == {"task.submitted"}
