"""taskiq on JetStream: a stream and a durable pull consumer; there is no report of progress."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from taskiq_nats import PullBasedJetStreamBroker

from tests.benchmarks.peers.contenders.worker_framework import WorkerFramework, report, server_url

BATCH = "PEERS_BATCH"
SUBMITS_AT_ONCE = 64


def make_broker(url: str, batch: int) -> Any:
    """Return the broker on this server, whose workers fetch so many messages at a time."""
    made = PullBasedJetStreamBroker(
        url,
        stream_config=StreamConfig(name="peers", subjects=["peers"], retention=RetentionPolicy.WORK_QUEUE),
        subject="peers",
        stream_name="peers",
        durable="workers",
        consumer_config=ConsumerConfig(durable_name="workers", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=10_000),
        pull_consume_batch=batch,
        pull_consume_timeout=5,
    )
    made.register_task(work, task_name="work")
    return made


async def work(task_id: str) -> None:
    """What a worker does."""
    report(task_id)


broker = make_broker(server_url(), int(os.environ.get(BATCH, "1")))


async def open_contender(address: dict[str, Any]) -> TaskiqOnNats:
    """Connect, and make the stream."""
    contender = TaskiqOnNats(address)
    await contender.broker.startup()
    return contender


class TaskiqOnNats(WorkerFramework):
    """A Framework."""

    def __init__(self, address: dict[str, Any]) -> None:
        super().__init__(address)
        self.broker = make_broker(self.url, 1)

    def command(self, workers: int) -> list[str]:
        os.environ[BATCH] = str(workers)
        quiet = ("--log-level", "WARNING")
        return ["taskiq", "worker", f"{__name__}:broker", "--workers", "1", "--max-async-tasks", str(workers), *quiet]

    async def submit(self, task_ids: list[str]) -> None:
        task = self.broker.find_task("work")
        for begin in range(0, len(task_ids), SUBMITS_AT_ONCE):
            await asyncio.gather(*(task.kiq(each) for each in task_ids[begin : begin + SUBMITS_AT_ONCE]))

    async def close(self) -> None:
        await self.broker.shutdown()
