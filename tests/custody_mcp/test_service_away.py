"""The service is away for longer than a lease: the term has run out here, and the task may be held all the same."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest

from custody_client import Client
from infra.broker.embedded import EmbeddedBroker
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.client.conftest import Place, eventually
from tests.custody_mcp.conftest import beside
from tests.support.broker import Connect
from tests.system.caller import Caller

LEASE = {"mode": "fixed", "lease_s": 1.0, "grace_s": 2.0}
"""A lease that is awaited to run out, and outlives a machine that stands still for a moment."""


class Away(NamedTuple):
    """A pool whose service can be taken away and brought back."""

    place: Place
    stop: Callable[[], Awaitable[bool]]
    start_again: Callable[[], Awaitable[object]]


@pytest.fixture
async def away(broker: EmbeddedBroker, connect: Connect, pool: str) -> AsyncIterator[Away]:
    first, second = (PoolServer(Settings(pool=pool), broker.url) for _ in range(2))
    await first.start(broker.auth, sync_interval="2m")
    url = broker.url.replace("//", f"//operator:{broker.credentials('operator')['password']}@")
    yield Away(
        Place(url, pool, Caller(await connect(), pool)),
        first.stop,
        lambda: second.start(broker.auth, sync_interval="2m"),
    )
    await second.stop()


async def until_its_term_ran_out(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until the beats have given a lease up."""
    await eventually(lambda: any("T1 is lost: its term ran out here" in each for each in caplog.messages))


async def test_what_is_held_still_is_gone_on_with(away: Away, caplog: pytest.LogCaptureFixture) -> None:
    async with Client(away.place.url, pool=away.place.pool) as client, beside(away.place) as model:
        task = await client.submit(task_id="T1", lease=LEASE)
        await model.claimed()
        await model.call("report", percent=40, note="half", checkpoint=[1])
        token = (await task.state()).token
        await away.stop()
        await until_its_term_ran_out(caplog)
        # The outage of the service is no silence of its agents, so the lease goes on.
        await away.start_again()
        assert (await model.call("report", percent=60))["note"] == "Noted; the task is yours."
        state = await task.state()
        assert (state.token, state.percent, state.attempt, state.expiries) == (token, 60, 1, 0)
        work = (await model.call("my_work"))["work"]
        assert [(each["task_id"], each["checkpoint"]) for each in work] == [("T1", [1])]
        assert (await model.call("finish", result="ok"))["status"] == "completed"


async def test_what_is_held_no_more_is_told_with_what_is_so(away: Away, caplog: pytest.LogCaptureFixture) -> None:
    async with Client(away.place.url, pool=away.place.pool) as client, beside(away.place) as model:
        await client.submit(task_id="T1", lease=LEASE)
        await model.claimed()
        await away.stop()
        await until_its_term_ran_out(caplog)
        await away.start_again()
        await client.act("cancel", task_id="T1", reason="too late")
        said = await model.refused("report", percent=60)
        assert "T1 has ended: it is cancelled" in said
        assert "Stop working on it" in said
        assert (await model.call("my_work"))["work"] == []
