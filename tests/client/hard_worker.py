"""A worker for tests that kill, stop and starve it: what it does is told by the payload, and written to a journal."""

import asyncio
import time
from pathlib import Path
from typing import Any

from custody_client import Held, SyncHeld, Worker

worker = Worker()


def note(held: Held[int] | SyncHeld[int], what: str) -> None:
    """Append a line to the task's journal: which lease does what."""
    with Path(held.payload["journal"]).open("a", encoding="utf-8") as journal:
        journal.write(f"{held.task_id} {held.token} {what}\n")


@worker.task("steps")
async def steps(job: dict[str, Any], held: Held[int]) -> int:
    """Go on from the checkpoint, step by step."""
    note(held, f"began at {held.checkpoint or 0}")
    try:
        for step in range(held.checkpoint or 0, job["steps"]):
            await asyncio.sleep(job["step_s"])
            await held.progress(step + 1, of=job["steps"], checkpoint=step + 1)
    finally:
        note(held, "stopped" if held.cancelled else "ended")
    return held.attempt


@worker.task("blocks")
async def blocks(job: dict[str, Any], held: Held[int]) -> int:
    """Block the event loop, as no handler should."""
    note(held, "began")
    time.sleep(job["for_s"])  # noqa: ASYNC251 - the point
    return held.attempt


@worker.task("sleeps")
def sleeps(held: SyncHeld[int]) -> None:
    """Sleep in a thread for ever."""
    note(held, "began")
    try:
        while True:
            time.sleep(0.05)
    finally:
        note(held, "stopped")


@worker.task("runs")
def runs(job: dict[str, Any], held: SyncHeld[int]) -> None:
    """Run a program that does not end by itself."""
    held.run(["sh", "-c", 'echo $$ > "$0"; exec sleep 1000', job["pid"]])


@worker.task("quick")
async def quick(held: Held[int]) -> int:
    """Do nothing much."""
    await held.progress(50)
    return held.attempt
