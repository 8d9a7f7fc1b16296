"""A worker with the client library: it writes reports, and goes on where the last holder of a task stopped.

    .venv/bin/python examples/worker.py           beside `custody up`; or CUSTODY_NATS=nats://user:password@host:4222
    .venv/bin/python examples/submit.py           submits a report, and waits for it

Stop it with Ctrl-C, kill it, restart `custody up`: the report is finished, by this process or by the next one.
"""

# ruff: noqa: INP001, T201 - a script; it prints to its user

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from custody_client import Held, Retry, Worker


@dataclass
class Report:
    """What is to be done; a pydantic model, a msgspec struct or a dict does as well."""

    pages: int


async def write(page: int, fence: int) -> None:
    """Write a page. What is written to should refuse a lower fence than the highest that it has seen."""
    print(f"page {page + 1}, under token {fence}", flush=True)
    await asyncio.sleep(0.1)


worker = Worker("builder-1", slots=4)  # finds ./.custody, or what CUSTODY_NATS says


@worker.task("report", retry=Retry(3, delay_s=2, backoff=2), progress_within=timedelta(minutes=10))
async def report(job: Report, held: Held[int]) -> str:
    """Write a report, page by page."""
    for page in range(held.checkpoint or 0, job.pages):  # goes on where the last holder stopped
        await write(page, fence=held.token)
        await held.progress(page + 1, of=job.pages, checkpoint=page + 1)
    return "report.pdf"  # an exception fails it, and it is tried again; LeaseLost: somebody else has it


if __name__ == "__main__":
    worker.run()  # until SIGTERM or Ctrl-C: then it drains, and hands over with the last checkpoint
