"""Child processes of a handler: they end with it, politely first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from typing import NamedTuple

KILL_AFTER_S = 5.0
"""After it was asked to end, a child is killed."""


class Finished(NamedTuple):
    """A child process that has ended."""

    status: int
    """Its exit status; of one that a signal ended the negative number of that."""
    stdout: bytes
    """What it wrote, if that was captured."""
    stderr: bytes


async def run_child(
    command: Sequence[str | os.PathLike[str]],
    *,
    stdin: bytes | None,
    capture: bool,
    check: bool,
    cwd: str | os.PathLike[str] | None,
    env: Mapping[str, str] | None,
    kill_after_s: float,
) -> Finished:
    """Run a program to its end; if this is cancelled, end it and what it started.

    Raises:
        subprocess.CalledProcessError: it ended with another status than 0, and `check` is set.
        OSError: it cannot be started.
    """
    output = PIPE if capture else None
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL if stdin is None else PIPE,
        stdout=output,
        stderr=output,
        cwd=cwd,
        env=env,
        start_new_session=sys.platform != "win32",
    )
    try:
        stdout, stderr = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            await end_child(process, kill_after_s)
    status = process.returncode or 0
    if check and status:
        raise subprocess.CalledProcessError(status, [os.fspath(each) for each in command], stdout, stderr)
    return Finished(status, stdout or b"", stderr or b"")


async def end_child(process: Process, kill_after_s: float) -> None:
    """Ask a process and all that it started to end; kill them if they are still there after a while."""
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(kill_after_s):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        _signal(process, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to the process's group, which is its own."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, number)
