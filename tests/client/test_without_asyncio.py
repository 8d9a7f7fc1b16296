"""The forms for programs without asyncio."""

import asyncio

import pytest

from custody_client import SyncClient, SyncHeld, SyncWorker, TaskFailed
from tests.client.conftest import Place


async def test_a_program_without_asyncio_submits_works_and_waits(place: Place) -> None:
    def program() -> list[object]:
        seen: list[object] = []
        with SyncClient(place.url, pool=place.pool) as client:
            task = client.submit("report", {"pages": 3}, task_id="T")
            failed = client.submit("report", {"pages": 0}, task_id="F")
            with SyncWorker("w1", url=place.url, pool=place.pool, capabilities=["report"], slots=2) as worker:
                for held in worker.tasks():
                    if not held.payload["pages"]:
                        held.fail("nothing to do", retryable=False)
                        worker.stop()
                        continue
                    held.progress(1, of=3, checkpoint=1)
                    held.complete(held.payload["pages"])
            seen += [task.result(60), task.state().status, task.explain().status, client.task("T").was]
            with pytest.raises(TaskFailed):
                failed.result(60)
            for event in client.watch(task_id="T", after=0):
                seen.append(event.name)
                if event.name == "completed":
                    break
            seen.append(client.query("health")["queued"])
            client.act("annotate", kind="review", task_id="T", note="good")
        return seen

    said = await asyncio.to_thread(program)
    assert said == [3, "completed", "completed", None, "submitted", "leased", "progressed", "completed", 0]


async def test_a_sync_worker_has_handlers_too(place: Place) -> None:
    worker = SyncWorker("w1", url=place.url, pool=place.pool)

    @worker.task("report")
    def report(held: SyncHeld[int]) -> str:
        held.sleep(0.01)
        return str(held.run(["sh", "-c", "cat; exit 3"], stdin=b"in", capture=True, check=False))

    with pytest.raises(ValueError, match="comes first"):
        next(iter(worker.tasks()))
    await place.ask.done("ops.submit", task_id="T", required_capabilities=["report"])
    await worker.worker.serve(burst=True)  # `run` would have an event loop of its own
    task = await place.ask.task("T")
    assert task["outcome"]["result"] == "Finished(status=3, stdout=b'in', stderr=b'')"
