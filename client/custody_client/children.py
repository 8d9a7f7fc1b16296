"""Child processes of a handler: they end with it, politely first."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

KILL_AFTER_S = 5.0
"""After it was asked to end, a child is killed."""


_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the worker is gone")
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""
"""Asks Linux for SIGTERM at the end of the worker, and becomes the program.

Who is killed cannot end its children, and they would go on with a task that another worker has by then. A script of
its own in place of a `preexec_fn`, which may deadlock in a program with threads.
"""


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
    process = await start_child(
        command, stdin=DEVNULL if stdin is None else PIPE, stdout=output, stderr=output, cwd=cwd, env=env
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


async def start_child(command: Sequence[str | os.PathLike[str]], **options: Any) -> Process:
    """Start a program in a process group of its own. On Linux it is asked to end when this process is killed.

    Raises:
        OSError: it cannot be started.
    """
    words = [os.fspath(each) for each in command]
    if sys.platform == "linux":
        if os.sep not in words[0] and shutil.which(words[0]) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), words[0])
        words = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *words]
    return await asyncio.create_subprocess_exec(*words, start_new_session=sys.platform != "win32", **options)


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
