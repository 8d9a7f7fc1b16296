"""The bare client of these tests: a test that cancels what asks again and again can wait for its end."""

import asyncio
import json
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.system.caller import Caller

ANSWER = json.dumps({"ok": True, "position": 1, "events": [], "result": {}}).encode()


class Waiting:
    """A client of the broker that waits for an answer as the library does."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

    async def request(self, _subject: str, _payload: bytes, patience_s: float, **_: Any) -> Msg:
        return await asyncio.wait_for(self.answer, patience_s)


async def test_asking_ends_by_a_cancellation_that_comes_together_with_the_answer() -> None:
    nc = Waiting()
    asking = asyncio.create_task(Caller(cast("Client", nc), "default").ask("query.health"))
    await asyncio.sleep(0)
    nc.answer.set_result(Msg(_client=cast("Client", nc), data=ANSWER))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
