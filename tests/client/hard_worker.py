"""A worker for tests that kill, stop and starve it: what it does is told by the payload, and written to a journal."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from custody_client import Held, SyncHeld, Worker, working_on

worker = Worker()


def note(held: Held[int] | SyncHeld[int], what: str) -> None:
    """Append a line to the task's journal: which lease does what."""
    with Path(held.payload["journal"]).open("a", encoding="utf-8") as journal:
        journal.write(f"{held.task_id} {held.token} {what}\n")


def may_go(job: dict[str, Any]) -> bool:
    """Say whether the test lets those go on that stay where they are."""
    return Path(job["go"]).exists()


@worker.task("steps")
async def steps(job: dict[str, Any], held: Held[int]) -> int:
    """Go on from the checkpoint, step by step; at the step `stays_at` only once the test lets it."""
    note(held, f"began at {held.checkpoint or 0}")
    try:
        for step in range(held.checkpoint or 0, job["steps"]):
            while step == job.get("stays_at") and not may_go(job):  # noqa: ASYNC110 - the test is another process
                await asyncio.sleep(0.02)
            await asyncio.sleep(job["step_s"])
            await held.progress(step + 1, of=job["steps"], checkpoint=step + 1)
    finally:
        note(held, "stopped" if held.cancelled else "ended")
    return held.attempt


@worker.task("blocks")
async def blocks(job: dict[str, Any], held: Held[int]) -> int:
    """Block the event loop, as no handler should, until the test lets it go on."""
    note(held, "began")
    while not may_go(job):
        time.sleep(0.02)  # noqa: ASYNC251 - the point
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


@worker.task("first hangs")
async def first_hangs(held: Held[int]) -> int | None:
    """Get to a checkpoint, and stay there for ever in the first attempt; a later one returns what it began with."""
    note(held, f"began at {held.checkpoint or 0}")
    if held.attempt > 1:
        return held.checkpoint
    try:
        await held.progress(30, checkpoint=3)
        await asyncio.sleep(1000)
    finally:
        note(held, "stopped")
    return None


@worker.task("stands still")
async def stands_still(job: dict[str, Any], held: Held[int]) -> int:
    """Stop the whole process before anything is reported, in the agent that the payload names; else just end."""
    working = working_on()
    if working is None or working.agent != job["in"]:
        note(held, "ended")
        return held.token
    note(held, "began")
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        await asyncio.sleep(1000)
    finally:
        note(held, f"stopped, lost to {held.lost.holder if held.lost else None}")
    return held.token


@worker.task("quick")
async def quick(held: Held[int]) -> int:
    """Do nothing much."""
    await held.progress(50)
    return held.attempt
