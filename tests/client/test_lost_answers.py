"""A completion whose answer was lost is carried out once."""

import asyncio

from custody_client import Client
from tests.client.conftest import Place
from tests.support.tcp_proxy import TcpProxy

RESULT_S = 60.0


async def test_a_completion_whose_answer_was_lost_is_sent_again_and_counts_once(place: Place, client: Client) -> None:
    async with TcpProxy(place.url) as proxy:
        worker = place.worker(url=proxy.url.replace("//", f"//{place.url.split('//')[1].rpartition('@')[0]}@"))

        @worker.task("report")
        async def report() -> str:
            proxy.drop_answers()
            return "done"

        async with place.working(worker):
            task = await client.submit("report")
            assert await task.result(RESULT_S) == "done"
            proxy.cut()
            other = await client.submit("report", {"other": True}, task_id="after")
            await asyncio.sleep(0)
            proxy.cut()
            assert await other.result(RESULT_S) == "done"
            proxy.cut()
        names = []
        async for event in client.watch(task_id=task.task_id, after=0):
            names.append(event.name)
            if event.name == "completed":
                break
        assert names.count("leased") == 1
